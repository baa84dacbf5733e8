package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// BootLogs reads stored boot logs.
type BootLogs interface {
	// List lists a node's logs, newest first.
	List(ctx context.Context, node string) ([]BootLog, error)
	// Copy writes a log, or the newest if id is empty, to w.
	Copy(ctx context.Context, node, id string, w io.Writer) error
}

// Config is what a Server needs.
type Config struct {
	Listener net.Listener
	Registry *registry.Registry
	Runner   *stated.Runner
	Loads    *load.Manager
	BootLogs BootLogs
	// Explain says what each service would answer about a subject.
	Explain func(Subject) []Section
	// Progress is the newest report of each loading node.
	Progress func() map[string]Progress
	Status   func() Status
	// ImageDir is where image files must lie.
	ImageDir string
	Log      *slog.Logger
}

// Limits of a server.
const (
	requestBytesMax   = 64 << 20 // a site file
	connectionsMax    = 256
	readHeaderTimeout = 10 * time.Second
	shutdownTimeout   = 2 * time.Second
)

// Server serves the API.
type Server struct {
	cfg  Config
	http *http.Server
}

// New makes a Server on cfg.Listener.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: readHeaderTimeout}
	return s
}

// Run serves until ctx ends. Streams end with it.
func (s *Server) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := s.http.Shutdown(grace); err != nil {
			s.http.Close()
		}
	})
	defer stop()
	err := s.http.Serve(&limitListener{Listener: s.cfg.Listener, slots: make(chan struct{}, connectionsMax)})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("control: %w", err)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]func(*http.Request, *reply) error{
		"GET /v1/status":             s.status,
		"GET /v1/nodes":              s.listNodes,
		"POST /v1/nodes":             s.addNode,
		"GET /v1/nodes/{node}":       s.showNode,
		"DELETE /v1/nodes/{node}":    s.deleteNode,
		"GET /v1/nodes/{node}/log":   s.stateLog,
		"GET /v1/nodes/{node}/boots": s.listBootLogs,
		"GET /v1/nodes/{node}/boot":  s.bootLog,
		"GET /v1/changes":            s.changes,
		"POST /v1/import":            s.importSite,
		"GET /v1/export":             s.exportSite,
		"GET /v1/images":             s.listImages,
		"POST /v1/images":            s.addImage,
		"GET /v1/loads":              s.listLoads,
		"POST /v1/loads":             s.startLoad,
		"GET /v1/loads/{job}":        s.showLoad,
		"GET /v1/loads/{job}/follow": s.followLoad,
		"DELETE /v1/loads/{job}":     s.cancelLoad,
		"POST /v1/commands":          s.command,
		"POST /v1/select":            s.selectOS,
		"POST /v1/wait":              s.wait,
		"GET /v1/explain":            s.explain,
		"POST /v1/backup":            s.backup,
	} {
		mux.HandleFunc(pattern, s.serve(handler))
	}
	return mux
}

// serve wraps a handler: bounds the body, writes the error.
func (s *Server) serve(handler func(*http.Request, *reply) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, requestBytesMax)
		out := &reply{w: w}
		err := handler(req, out)
		if err == nil {
			return
		}
		s.cfg.Log.Debug("request failed", "service", "control", "path", req.URL.Path, "error", err)
		if out.started {
			// The status is gone: the client sees a line that says why.
			_ = out.line(map[string]string{"error": err.Error()})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(statusOf(err))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
	}
}

// errBadRequest marks errors of the caller's making.
var errBadRequest = errors.New("bad request")

func badRequest(err error) error { return fmt.Errorf("%w: %w", errBadRequest, err) }

func statusOf(err error) int {
	switch {
	case errors.Is(err, errBadRequest):
		return http.StatusBadRequest
	case errors.Is(err, registry.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrInvalid), errors.Is(err, stated.ErrRefused):
		return http.StatusConflict
	case errors.Is(err, kv.ErrDiskFull):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// reply writes an answer: one value, or lines of a stream.
type reply struct {
	w       http.ResponseWriter
	started bool
}

func (r *reply) value(v any) error {
	r.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(r.w).Encode(v)
}

func (r *reply) line(v any) error {
	if !r.started {
		r.started = true
		r.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	if err := json.NewEncoder(r.w).Encode(v); err != nil {
		return err
	}
	return http.NewResponseController(r.w).Flush()
}

// begin sends the headers of a stream that may have nothing to say for long.
func (r *reply) begin() error {
	r.started = true
	r.w.Header().Set("Content-Type", "application/x-ndjson")
	r.w.WriteHeader(http.StatusOK)
	return http.NewResponseController(r.w).Flush()
}

func body[T any](req *http.Request) (v T, err error) {
	dec := json.NewDecoder(req.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, badRequest(err)
	}
	return v, nil
}

// limitListener bounds open connections; more wait in the backlog.
type limitListener struct {
	net.Listener
	slots chan struct{}
}

func (l *limitListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitConn{Conn: conn, slots: l.slots}, nil
}

type limitConn struct {
	net.Conn
	slots  chan struct{}
	closed bool
}

func (c *limitConn) Close() error {
	err := c.Conn.Close()
	if !c.closed {
		c.closed = true
		<-c.slots
	}
	return err
}
