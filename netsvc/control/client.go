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
	switch {
	case isUnix || strings.HasPrefix(address, "/"):
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}}
		return &Client{&http.Client{Transport: transport}, "http://hyzer"}
	case strings.Contains(address, "://"):
		return &Client{&http.Client{}, strings.TrimSuffix(address, "/")}
	}
	return &Client{&http.Client{}, "http://" + address}
}

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
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the appliance: %w", err)
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
	return err
}

// lineBytesMax bounds one line of a stream.
const lineBytesMax = 16 << 20

// Stream sends in and calls fn with each line of the answer until it ends or
// fn returns an error.
func (c *Client) Stream(ctx context.Context, method, path string, in any, fn func(line []byte) error) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, lineBytesMax)
	for scanner.Scan() {
		var failed struct{ Error string }
		if json.Unmarshal(scanner.Bytes(), &failed) == nil && failed.Error != "" && bytes.HasPrefix(scanner.Bytes(), []byte(`{"error"`)) {
			return &Error{http.StatusInternalServerError, failed.Error}
		}
		if err := fn(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
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
		return nil, fmt.Errorf("cannot reach the appliance: %w", err)
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
