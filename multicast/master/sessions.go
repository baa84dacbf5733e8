package master

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// Defaults of Sessions.
const (
	SessionsMaxDefault = 256
	LingerDefault      = 180 * time.Second
	keepaliveDefault   = 15 * time.Second
)

// ErrSessionsFull is wrapped when no more sessions may run.
var ErrSessionsFull = errors.New("too many image sessions")

// SessionsConfig is what Sessions needs.
type SessionsConfig struct {
	Iface     netip.Addr // address that the sessions send from
	ShareHost bool       // clients run on this machine too

	// GroupBase is the group of index 0; not valid: 239.192.1.1.
	GroupBase netip.Addr
	// PortBase and PortNum are the range of ports; PortNum 0: any free port.
	PortBase, PortNum int
	// FirstIndex is where the counter of addresses starts.
	FirstIndex uint32

	// Broadcast is the address of broadcast sessions; not valid: that of the
	// interface's subnet.
	Broadcast netip.Addr

	Pace             server.Pace
	Linger           time.Duration // as in server.Config; 0: LingerDefault; to keep for ever, a long time
	HeartbeatSeconds uint32
	Mode2            bool // as in server.Config, like the following
	FirstParityPort  uint16
	LastParityPort   uint16
	// Key is the key of an image's sessions, nil: none has one.
	Key         func(imageID string) *wire.Key
	SessionsMax int
	// ReadBytesMax bounds what all sessions together hold of their images, read
	// ahead or sent lately; 0: server.ReadBytesDefault.
	ReadBytesMax int64

	Store Store // nil: sessions end with the process
	// OnEvent is told what the clients of a session said, from that session's
	// goroutine; nil: nobody.
	OnEvent func(Assignment, server.Event)
	Log     *slog.Logger // nil: slog.Default()
}

// Sessions runs the sessions of all images.
type Sessions struct {
	cfg    SessionsConfig
	store  Store
	reads  *server.ReadPool
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	lock     sync.Mutex
	plan     addressPlan
	running  map[string]*running
	starting map[string]bool // by one caller of Join each
	started  *sync.Cond      // or could not be
}

// running is one session.
type running struct {
	Assignment
	server *server.Server
}

// NewSessions returns a manager without sessions; Resume starts what ran
// before.
func NewSessions(cfg SessionsConfig) *Sessions {
	if !cfg.GroupBase.IsValid() {
		cfg.GroupBase = netip.AddrFrom4([4]byte{239, 192, 1, 1})
	}
	if !cfg.Broadcast.IsValid() {
		cfg.Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	if cfg.Linger == 0 {
		cfg.Linger = LingerDefault
	}
	if cfg.SessionsMax <= 0 {
		cfg.SessionsMax = SessionsMaxDefault
	}
	if cfg.ReadBytesMax <= 0 {
		cfg.ReadBytesMax = server.ReadBytesDefault
	}
	s := &Sessions{cfg: cfg, reads: server.NewReadPool(cfg.ReadBytesMax), store: cfg.Store, log: cfg.Log, running: make(map[string]*running), starting: make(map[string]bool)}
	s.started = sync.NewCond(&s.lock)
	s.plan = addressPlan{base: cfg.GroupBase, portBase: cfg.PortBase, portNum: cfg.PortNum, index: cfg.FirstIndex}
	if s.store == nil {
		s.store = noStore{}
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close stops all sessions and waits for them. They stay in the store, to be
// resumed.
func (s *Sessions) Close() {
	s.lock.Lock()
	s.cancel() // under the lock: nothing starts after it
	s.lock.Unlock()
	s.all.Wait()
}

// Find returns the session that sends this version of the image, if one runs.
// For unicast it is that of the client.
func (s *Sessions) Find(img Image, file *server.File, method wire.Methods, client netip.Addr) (Session, bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	r, ok := s.running[assignment(img, file, method, client).Key()]
	if !ok {
		return Session{}, false
	}
	return r.session(), true
}

// Join returns the session that sends this version of the image, and starts it
// if there is none. It takes the file and closes it.
func (s *Sessions) Join(img Image, file *server.File, method wire.Methods, client netip.Addr) (Session, error) {
	a := assignment(img, file, method, client)
	if a.Pace == (server.Pace{}) {
		a.Pace = s.cfg.Pace
	}
	r := s.enter(a.Key())
	if r != nil {
		file.Close()
		return r.session(), nil
	}
	defer s.leave(a.Key())
	r, err := s.launch(a, file)
	if err != nil {
		file.Close()
		return Session{}, fmt.Errorf("starting a session for image %s: %w", img.ID, err)
	}
	return r.session(), nil
}

// enter returns the session of a key, or nil to the one caller that is to start
// it, and then calls leave. Others wait, but not for other sessions: the disk of
// an image may be slow.
func (s *Sessions) enter(key string) *running {
	s.lock.Lock()
	defer s.lock.Unlock()
	for s.starting[key] {
		s.started.Wait()
	}
	if r, ok := s.running[key]; ok && r.server.Touch() {
		return r
	}
	s.starting[key] = true
	return nil
}

func (s *Sessions) leave(key string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.starting, key)
	s.started.Broadcast()
}

func assignment(img Image, file *server.File, method wire.Methods, client netip.Addr) Assignment {
	a := Assignment{ImageID: img.ID, Path: img.Path, Version: file.Identity(), Method: method, Pace: img.Pace}
	if method == wire.Unicast {
		a.Address = netip.AddrPortFrom(client, 0)
	}
	return a
}

// launch finds an address, stores it and starts the session.
func (s *Sessions) launch(a Assignment, file *server.File) (*running, error) {
	list := s.manifest(a, file)
	s.lock.Lock()
	defer s.lock.Unlock()
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.running) >= s.cfg.SessionsMax {
		return nil, fmt.Errorf("%w: %d run already", ErrSessionsFull, len(s.running))
	}
	srv, err := s.openAnywhere(a, file, list)
	if err != nil {
		return nil, err
	}
	a.Address = srv.Address()
	if err := s.store.Save(a); err != nil {
		srv.Close()
		return nil, fmt.Errorf("storing session address %v: %w", a.Address, err)
	}
	return s.start(a, srv), nil
}

// openAnywhere opens the session at the first free address.
func (s *Sessions) openAnywhere(a Assignment, file *server.File, list []byte) (*server.Server, error) {
	group, start, err := s.plan.next(s.groupUsed)
	if err != nil {
		return nil, err
	}
	to := map[wire.Methods]netip.Addr{
		wire.Multicast: group, wire.Broadcast: s.cfg.Broadcast, wire.Unicast: a.Address.Addr(),
	}[a.Method]
	var srv *server.Server
	found := s.plan.ports(start, func(port uint16) bool {
		if port != 0 && s.portUsed(port) {
			return false
		}
		a.Address = netip.AddrPortFrom(to, port)
		srv, err = s.open(a, file, list)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	if !found {
		return nil, fmt.Errorf("%w: all %d ports from %d on are in use", ErrNoAddress, s.plan.portNum, s.plan.portBase)
	}
	return srv, err
}

// manifest reads the image's manifest, and some of the image to compare.
func (s *Sessions) manifest(a Assignment, file *server.File) []byte {
	list, err := server.ReadManifest(a.Path, file)
	if err != nil { // as while the image is being replaced
		s.log.Warn("image is sent without a manifest", "service", "frisbee", "image", a.ImageID, "err", err)
	}
	return list
}

func (s *Sessions) open(a Assignment, file *server.File, list []byte) (*server.Server, error) {
	var tell func(server.Event)
	if s.cfg.OnEvent != nil {
		tell = func(e server.Event) { s.cfg.OnEvent(a, e) }
	}
	var key *wire.Key
	if s.cfg.Key != nil {
		key = s.cfg.Key(a.ImageID)
	}
	return server.Open(server.Config{
		Key: key, Manifest: list, Image: file, Address: a.Address, Iface: s.cfg.Iface, Broadcast: a.Method == wire.Broadcast,
		ShareHost: s.cfg.ShareHost, Pace: a.Pace, Linger: s.cfg.Linger, HeartbeatSeconds: s.cfg.HeartbeatSeconds,
		Keepalive: keepaliveDefault, Mode2: s.cfg.Mode2, FirstParityPort: s.cfg.FirstParityPort, LastParityPort: s.cfg.LastParityPort,
		Reads: s.reads, OnEvent: tell, Log: s.log,
	})
}

// start runs a session until it is over. The caller holds the lock.
func (s *Sessions) start(a Assignment, srv *server.Server) *running {
	srv.Touch() // clients are told of it, or were
	r := &running{a, srv}
	s.running[a.Key()] = r
	s.all.Go(func() {
		err := srv.Run(s.ctx)
		s.lock.Lock()
		defer s.lock.Unlock()
		if s.running[a.Key()] != r {
			return // another has taken its place
		}
		delete(s.running, a.Key())
		if s.ctx.Err() != nil {
			return // it stays in the store, to be resumed
		}
		if err := errors.Join(err, s.store.Delete(a.Key())); err != nil {
			s.log.Error("image session ended", "service", "frisbee", "image", a.ImageID, "address", a.Address.String(), "err", err)
		}
	})
	return r
}

// Sends says whether a session sends the file at a path.
func (s *Sessions) Sends(path string) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, r := range s.running {
		if r.Path == path {
			return true
		}
	}
	return false
}

func (s *Sessions) groupUsed(g netip.Addr) bool {
	for _, r := range s.running {
		if a := r.Address.Addr(); a.Is4() && a.IsMulticast() && sameEthernet(a, g) {
			return true
		}
	}
	return false
}

// portUsed keeps ports apart even where the kernel would let them be shared.
func (s *Sessions) portUsed(port uint16) bool {
	for _, r := range s.running {
		if r.Address.Port() == port {
			return true
		}
	}
	return false
}

// Session is a session as clients and operators see it.
type Session struct {
	Assignment
	Server netip.Addr // sends the image
}

func (r *running) session() Session { return Session{r.Assignment, r.server.Self()} }

// Status is a session with its counts.
type Status struct {
	Session
	Stats server.Stats
}

// List returns the sessions, by image.
func (s *Sessions) List() []Status {
	s.lock.Lock()
	defer s.lock.Unlock()
	list := make([]Status, 0, len(s.running))
	for _, r := range s.running {
		list = append(list, Status{r.session(), r.server.Stats()})
	}
	slices.SortFunc(list, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.ImageID, b.ImageID), a.Address.Compare(b.Address))
	})
	return list
}
