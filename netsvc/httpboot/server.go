package httpboot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/netsvc/bootfiles"
)

// Config is what a Server is made from. Files and one of Listener and Addr are
// needed; zero elsewhere means the default in limits.go.
type Config struct {
	Files bootfiles.Files
	// Images, if set, is asked first for names below ImagesPath, without that.
	Images bootfiles.Files
	// Listener is the bound socket. Run closes it.
	Listener net.Listener
	// Addr is bound by Run if Listener is nil.
	Addr netip.AddrPort
	// Log gets one line for each request; nil: slog.Default.
	Log *slog.Logger
	// OnDone, if set, is called once for each request, when it ends. Calls come
	// from several goroutines and must not block.
	OnDone func(Transfer)

	ConnectionsMax          int           // at one time
	ConnectionsPerClientMax int           // at one time and address
	WriteTimeout            time.Duration // of one piece of a body, not of the whole
}

// ImagesPath is what the paths of images begin with.
const ImagesPath = "/images/"

// Stats are counts since the start of the server.
type Stats struct {
	Requests int64 // answered, whatever the status
	Failures int64 // broken off: client gone or silent, read error
	Refused  int64 // answered with a status from 400 on
	Dropped  int64 // connections over a limit
	Bytes    int64 // of bodies, handed to the kernel
	Active   int   // connections now
}

// Server is the HTTP boot service. Make it with New, run it once with Run.
type Server struct {
	cfg   Config
	log   *slog.Logger
	ready chan struct{}
	limit *limitedListener // set before ready
	grace time.Duration    // for requests under way when Run ends

	mu       sync.Mutex
	stopping bool
	handlers sync.WaitGroup // requests being answered

	requests, failures, refused, dropped, bytes atomic.Int64
}

// New prepares a server; it opens nothing yet.
func New(cfg Config) *Server {
	if cfg.ConnectionsMax <= 0 {
		cfg.ConnectionsMax = connectionsMaxDefault
	}
	if cfg.ConnectionsPerClientMax <= 0 {
		cfg.ConnectionsPerClientMax = connectionsPerClientMaxDefault
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = writeTimeoutDefault
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Server{cfg: cfg, log: cfg.Log.With("service", "httpboot"), ready: make(chan struct{}), grace: shutdownTimeMax}
}

// Ready is closed once requests are answered.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address of the listening socket, valid once Ready.
func (s *Server) Addr() netip.AddrPort {
	addr, ok := s.limit.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.AddrPort().Addr().Unmap(), addr.AddrPort().Port())
}

// Run serves until ctx ends, then gives requests under way shutdownTimeMax,
// closes everything and returns nil. It returns an error if it cannot start or
// the socket fails.
func (s *Server) Run(ctx context.Context) error {
	listener := s.cfg.Listener
	if listener == nil {
		var err error
		listener, err = net.Listen("tcp", s.cfg.Addr.String())
		if err != nil {
			return fmt.Errorf("httpboot: %w (is another web server running?)", err)
		}
	}
	s.limit = &limitedListener{
		Listener: listener, max: s.cfg.ConnectionsMax, perClientMax: s.cfg.ConnectionsPerClientMax,
		byClient: map[netip.Addr]int{}, refused: s.drop,
	}
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytesMax, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.limit) }()
	close(s.ready)
	select {
	case err := <-served:
		server.Close()
		s.stop()
		return fmt.Errorf("httpboot: %w", err)
	case <-ctx.Done():
	}
	err := errors.Join(s.shutdown(server), ignoreClosed(<-served))
	s.stop()
	return err
}

// enter books a request; it fails once the server stops.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.handlers.Add(1)
	return true
}

// stop waits for the requests being answered; their connections are closed.
func (s *Server) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.handlers.Wait()
}

func (s *Server) shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close() // cuts off who is still reading
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Stats reads the counters. They are not one consistent cut. Call it once Ready.
func (s *Server) Stats() Stats {
	return Stats{
		Requests: s.requests.Load(), Failures: s.failures.Load(), Refused: s.refused.Load(),
		Dropped: s.dropped.Load(), Bytes: s.bytes.Load(), Active: s.limit.active(),
	}
}

func (s *Server) drop(client netip.Addr) {
	s.dropped.Add(1)
	s.log.Debug("connection over the limit", "client", client)
}

// report counts, logs and passes on one ended request.
func (s *Server) report(t Transfer) {
	s.requests.Add(1)
	s.bytes.Add(t.Bytes)
	level, text := slog.LevelInfo, "sent"
	switch {
	case t.Status >= http.StatusBadRequest:
		s.refused.Add(1)
		level, text = slog.LevelWarn, "request refused"
		if t.Status == http.StatusNotFound {
			level = slog.LevelInfo
		}
	case t.Err != nil:
		s.failures.Add(1)
		level, text = slog.LevelWarn, "transfer failed"
	}
	attrs := []any{"client", t.Client, "method", bootfiles.LogName(t.Method), "name", bootfiles.LogName(t.Name),
		"status", t.Status, "bytes", t.Bytes, "size", t.Size, "duration", t.Duration}
	if t.Err != nil {
		attrs = append(attrs, "err", bootfiles.LogName(t.Err.Error()))
	}
	s.log.Log(context.Background(), level, text, attrs...)
	if s.cfg.OnDone != nil {
		s.cfg.OnDone(t)
	}
}
