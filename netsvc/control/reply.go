package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/storage/bloblog"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// failure is an error with the HTTP status that it is answered with.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func badRequest(err error) error { return &failure{http.StatusBadRequest, err} }

func notFound(kind, name string) error {
	return &failure{http.StatusNotFound, fmt.Errorf("there is no %s %q", kind, name)}
}

func refused(format string, args ...any) error {
	return &failure{http.StatusConflict, fmt.Errorf(format, args...)}
}

func statusOf(err error) int {
	var known *failure
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known.status
	case errors.As(err, &tooLarge), errors.Is(err, kv.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, bloblog.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrInvalid), errors.Is(err, stated.ErrRefused), errors.Is(err, fs.ErrExist):
		return http.StatusConflict
	case errors.Is(err, kv.ErrCompacted):
		return http.StatusGone
	case errors.Is(err, kv.ErrFutureRevision):
		return http.StatusBadRequest
	case errors.Is(err, kv.ErrDiskFull):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// streamEnd is the last line of every stream: that it is complete, or why it
// is not. A stream without one was cut off.
type streamEnd struct {
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
}

// reply writes an answer: one value, lines of a stream, or plain bytes.
type reply struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool // bytes were written
	stream  bool // it is a stream of lines
}

// Write writes plain bytes. The client has writeTimeout to take them.
func (r *reply) Write(p []byte) (int, error) {
	r.started = true
	_ = r.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return r.w.Write(p)
}

func (r *reply) value(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json")
	_, err = r.Write(append(data, '\n'))
	return err
}

// begin sends the headers of a stream that may have nothing to say for long.
func (r *reply) begin() error {
	r.started, r.stream = true, true
	r.w.Header().Set("Content-Type", "application/x-ndjson")
	r.w.WriteHeader(http.StatusOK)
	return r.control.Flush()
}

// line writes one value of a stream that has begun.
func (r *reply) line(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := r.Write(append(data, '\n')); err != nil {
		return err
	}
	return r.control.Flush()
}

func (r *reply) fail(err error) {
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(statusOf(err))
	data, _ := json.Marshal(streamEnd{Error: err.Error()})
	_, _ = r.Write(append(data, '\n'))
}

// readBody reads a request's body, at most max bytes, in at most
// readBodyTimeout.
func (r *reply) readBody(req *http.Request, max int64) ([]byte, error) {
	_ = r.control.SetReadDeadline(time.Now().Add(readBodyTimeout))
	data, err := io.ReadAll(http.MaxBytesReader(r.w, req.Body, max))
	// The answer may take longer than the question: a deadline that stays
	// would end the request's context.
	_ = r.control.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return nil, badRequest(fmt.Errorf("request cut off: %w", err))
	}
	return data, err
}

// body decodes a request: one JSON value of known fields.
func body[T any](req *http.Request, out *reply) (v T, err error) {
	data, err := out.readBody(req, requestBytesMax)
	if err != nil {
		return v, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, badRequest(fmt.Errorf("request is not what was expected: %w", err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, badRequest(errors.New("request has more than one JSON value"))
	}
	return v, nil
}

// someNodes checks the nodes of a request and drops repeated ones.
func (s *Server) someNodes(names []string) ([]string, error) {
	if len(names) == 0 || len(names) > nodesMax {
		return nil, badRequest(fmt.Errorf("%d nodes, want 1 to %d", len(names), nodesMax))
	}
	snap, seen := s.snapshot(), map[string]bool{}
	var nodes []string
	for _, id := range names {
		if snap.Node(id) == nil {
			return nil, notFound("node", id)
		}
		if !seen[id] {
			seen[id] = true
			nodes = append(nodes, id)
		}
	}
	return nodes, nil
}
