package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Client talks to an appliance.
type Client struct {
	http *http.Client
	base string
}

// Dial makes a client for "unix:/path", a path, "host:port" or a URL. Nothing
// is sent yet.
func Dial(address string) *Client {
	path, isUnix := strings.CutPrefix(address, "unix:")
	// A transport of its own: no proxy stands between operator and appliance.
	transport := &http.Transport{}
	client := &Client{&http.Client{Transport: transport}, "http://" + address}
	switch {
	case isUnix || strings.HasPrefix(address, "/"):
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		client.base = "http://localhost"
	case strings.Contains(address, "://"):
		client.base = strings.TrimSuffix(address, "/")
	}
	return client
}

// Close closes connections that are idle. The client can be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an error that the appliance answered with.
type Error struct {
	Status int // HTTP status
	Text   string
}

func (e *Error) Error() string { return e.Text }

// Call sends in (nil: nothing) and decodes the answer into out (nil: ignored).
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return cut(err)
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the appliance: %w", cut(err))
	}
	return nil
}

// Copy sends in and copies the answer's bytes to w.
func (c *Client) Copy(ctx context.Context, method, path string, in any, w io.Writer) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return cut(err)
}

// cut says what an end in the middle of an answer means.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// lineBytesMax bounds one line of a stream.
const lineBytesMax = 16 << 20

// ErrCut ends a stream that did not come to its end: the appliance or the
// network went away in the middle.
var ErrCut = errors.New("the appliance's answer was cut off")

// Stream sends in and calls fn with each line of the answer until it ends or
// fn returns an error. It returns nil only if the appliance said that the
// stream is complete.
func (c *Client) Stream(ctx context.Context, method, path string, in any, fn func(line []byte) error) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, lineBytesMax)
	for scanner.Scan() {
		if end, ok := parseEnd(scanner.Bytes()); ok {
			if end.End {
				return nil
			}
			return &Error{http.StatusInternalServerError, end.Error}
		}
		if err := fn(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrCut, err)
	}
	return ErrCut
}

// parseEnd tells the last line of a stream from the others, none of which
// begins with its fields.
func parseEnd(line []byte) (end streamEnd, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"end":`)) && !bytes.HasPrefix(line, []byte(`{"error":`)) {
		return end, false
	}
	return end, json.Unmarshal(line, &end) == nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var reader io.Reader
	switch v := in.(type) {
	case nil:
	case io.Reader:
		reader = v
	default:
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("cannot reach the appliance (is hyzerd running, and is this its control address?): %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

func readError(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return err
	}
	var answer struct{ Error string }
	if json.Unmarshal(text, &answer) != nil || answer.Error == "" {
		answer.Error = strings.TrimSpace(resp.Status + " " + string(text))
	}
	return &Error{resp.StatusCode, answer.Error}
}
