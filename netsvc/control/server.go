package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
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
	// Order gives a node's boot loader an order.
	Order    func(ctx context.Context, node string, order states.LoaderOrder, force bool) error
	BootLogs BootLogs
	// WantLog asks a node to send its boot log, and says how many watches of
	// it were told; nil: nobody can be asked.
	WantLog func(node string) (asked int)
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
	siteFileBytesMax  = 64 << 20
	requestBytesMax   = 4 << 20 // every other body; 20 000 node names fit
	nodesMax          = 20_000  // in one request
	connectionsMax    = 256
	headerBytesMax    = 64 << 10
	readHeaderTimeout = 10 * time.Second
	readBodyTimeout   = 60 * time.Second
	idleTimeout       = 60 * time.Second
	// writeTimeout is how long a client may leave what it was sent unread:
	// somebody may be paging through it.
	writeTimeout = 5 * time.Minute
	// stopTimeout is how long requests may go on when the server stops;
	// then their connections are closed.
	stopTimeout = 500 * time.Millisecond
)

// Server serves the API.
type Server struct {
	cfg  Config
	http *http.Server

	mu       sync.Mutex
	stopped  bool
	requests sync.WaitGroup
}

// New makes a Server on cfg.Listener, which Run closes.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.http = &http.Server{
		Handler: s.guard(s.routes()), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytesMax,
		ErrorLog:       log.New(slogLines{cfg.Log}, "", 0),
	}
	return s
}

// slogLines takes what net/http has to say.
type slogLines struct{ log *slog.Logger }

func (l slogLines) Write(line []byte) (int, error) {
	l.log.Debug("http", "service", "control", "text", string(line))
	return len(line), nil
}

// Run serves until ctx ends and every request has ended. Streams are told that
// the appliance stops.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(netutil.LimitListener(s.cfg.Listener, connectionsMax)) }()
	var failed error
	select {
	case failed = <-served:
		cancel()
	case <-ctx.Done():
	}
	s.shutdown()
	if failed != nil {
		return fmt.Errorf("control: %w", failed)
	}
	<-served
	return nil
}

func (s *Server) shutdown() {
	grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if s.http.Shutdown(grace) != nil {
		s.http.Close() // cuts off who does not read or has asked nothing yet
	}
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.requests.Wait()
}

// enter books a request; it fails once the server has stopped.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.requests.Add(1)
	}
	return !s.stopped
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
		"POST /v1/nodes/{node}/boot": s.wantLog,
		"GET /v1/changes":            s.changes,
		"POST /v1/import":            s.importSite,
		"GET /v1/export":             s.exportSite,
		"GET /v1/images":             s.listImages,
		"POST /v1/images":            s.addImage,
		"GET /v1/grants":             s.listGrants,
		"POST /v1/grants":            s.grant,
		"DELETE /v1/grants/{node}":   s.revoke,
		"GET /v1/loads":              s.listLoads,
		"POST /v1/loads":             s.startLoad,
		"GET /v1/loads/{job}":        s.showLoad,
		"GET /v1/loads/{job}/follow": s.followLoad,
		"DELETE /v1/loads/{job}":     s.cancelLoad,
		"POST /v1/commands":          s.command,
		"POST /v1/orders":            s.order,
		"POST /v1/select":            s.selectOS,
		"POST /v1/wait":              s.wait,
		"GET /v1/explain":            s.explain,
		"POST /v1/backup":            s.backup,
	} {
		mux.HandleFunc(pattern, s.serve(handler))
	}
	return mux
}

// guard keeps web pages out: a browser on the operator's machine can be made
// to send requests to loopback, by a page of another origin or by a name that
// resolves there. It also starts the time for each answer.
func (s *Server) guard(next http.Handler) http.Handler {
	loopback := isLoopback(s.cfg.Listener.Addr())
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !s.enter() {
			panic(http.ErrAbortHandler)
		}
		defer s.requests.Done()
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		if loopback && !isLocalName(req.Host) {
			http.Error(w, "address the appliance as localhost or by its IP address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

func isLocalName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	_, err = netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

// serve wraps a handler: it writes the end of a stream, or the error.
func (s *Server) serve(handler func(*http.Request, *reply) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		out := &reply{w: w, control: http.NewResponseController(w)}
		err := handler(req, out)
		s.report(req, out, err)
		switch {
		case out.stream && err == nil:
			_ = out.line(streamEnd{End: true})
		case out.stream: // the status is gone: the last line says why
			_ = out.line(streamEnd{Error: err.Error()})
		case err != nil && out.started: // the client sees a cut answer
			panic(http.ErrAbortHandler)
		case err != nil:
			out.fail(err)
		}
	}
}

// report logs orders, and failures that are ours.
func (s *Server) report(req *http.Request, out *reply, err error) {
	level, text := slog.LevelDebug, "request"
	switch {
	case err != nil && req.Context().Err() == nil && statusOf(err) >= http.StatusInternalServerError:
		level, text = slog.LevelError, "request failed"
	case err == nil && req.Method != http.MethodGet && !out.stream:
		level, text = slog.LevelInfo, "order taken"
	}
	attrs := []any{"service", "control", "method", req.Method, "path", req.URL.Path}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	s.cfg.Log.Log(req.Context(), level, text, attrs...)
}

// errStopping ends streams when the server stops.
var errStopping = errors.New("the appliance is stopping; ask again when it is back")
