package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"hyzer/multicast/igmp"
	"hyzer/multicast/master"
	"hyzer/multicast/mirror"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
	"hyzer/netsvc/control"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// rateMbpsDefault bounds a session to under half of a gigabit link. Loss lowers
// it further.
const rateMbpsDefault = 400

// reportSeconds is how often loaders report their progress.
const reportSeconds = 1

func (a *Appliance) openFrisbee() error {
	if !a.cfg.Frisbee.Listen.IsValid() {
		return nil
	}
	c := a.cfg.Multicast
	images, err := a.images()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", a.cfg.Frisbee.Listen.String())
	if err != nil {
		return fmt.Errorf("frisbee: %w", err)
	}
	rate := c.RateMbps
	if rate == 0 {
		rate = rateMbpsDefault
	}
	pace := server.Pace{Dynamic: true, BitsPerSec: int64(rate) * 1_000_000}
	sessions := master.NewSessions(master.SessionsConfig{
		Iface: c.Interface, ShareHost: c.LoopbackLab, GroupBase: c.Groups.Addr().Next(),
		PortBase: int(c.FirstPort), PortNum: int(c.LastPort) - int(c.FirstPort) + 1,
		Mode2: a.cfg.Frisbee.Mode2, Key: a.imageKeys.of, FirstParityPort: c.FirstParityPort, LastParityPort: c.LastParityPort,
		Pace: pace, HeartbeatSeconds: reportSeconds, Store: sessionStore{a.store}, OnEvent: a.loaderEvent, Log: a.log,
	})
	uploads, err := a.openUploads()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	masterServer := master.NewServer(master.ServerConfig{Catalog: images, Sessions: sessions, Uploads: uploads, HTTPPort: a.httpPort, Log: a.log})
	if a.mirror != nil {
		a.mirror.UsedBy(sessions.Sends)
	}
	a.add("frisbee", func(ctx context.Context) error {
		defer sessions.Close()
		if ctx.Err() != nil {
			return listener.Close()
		}
		if err := sessions.Resume(); err != nil {
			a.log.Error("image sessions of the last run are not resumed; loaders will ask again", "error", err)
		}
		return masterServer.Serve(ctx, listener)
	}, listener.Addr().String())
	if c.QuerierSecs > 0 {
		a.add("igmp querier", func(ctx context.Context) error {
			return igmp.RunQuerier(ctx, c.Interface, time.Duration(c.QuerierSecs)*time.Second, a.log)
		})
	}
	a.explain = append(a.explain, a.explainFrisbee)
	a.counts = append(a.counts, func(out map[string]int64) { out["frisbee.sessions"] = int64(len(sessions.List())) })
	return nil
}

// images is whom the master server and HTTP ask: the registry, or the parent of
// a mirror.
func (a *Appliance) images() (master.Catalog, error) {
	f := a.cfg.Frisbee
	if !f.Parent.IsValid() {
		return catalog{a.reg}, nil
	}
	if a.mirror != nil {
		return a.mirror, nil
	}
	m, err := mirror.New(mirror.Config{Parent: f.Parent, Iface: a.cfg.Multicast.Interface, ShareHost: a.cfg.Multicast.LoopbackLab,
		Dir: a.cfg.mirrorDir(), BytesMax: f.Mirror.BytesMax, FreeBytesMin: f.Mirror.FreeBytesMin, Log: a.log})
	if err != nil {
		return nil, fmt.Errorf("frisbee: mirror: %w", err)
	}
	a.mirror = m
	a.closers = append(a.closers, func() error { m.Close(); return nil })
	return m, nil
}

// MayProxy implements master.Proxies: a subboss asks for the nodes that it
// serves.
func (c catalog) MayProxy(_ context.Context, caller, client netip.Addr) error {
	s := c.reg.Snapshot()
	asks, known := s.NodeByIP(caller)
	if !known {
		return fmt.Errorf("%s is no node: %w", caller, wire.MasterNoHost)
	}
	port, ok := s.NodeByIP(client)
	if !ok {
		return fmt.Errorf("%s is no node: %w", client, wire.MasterNoHost)
	}
	if port.Node.Subbosses["frisbee"] != asks.Node.ID {
		return fmt.Errorf("node %s does not serve images to node %s: %w", asks.Node.ID, port.Node.ID, wire.MasterFailed)
	}
	return nil
}

// catalog is the registry as the master server sees it: a node may have the
// images that it has been told to load, its project's and global ones.
type catalog struct{ reg *registry.Registry }

// Lookup implements master.Catalog.
func (c catalog) Lookup(_ context.Context, client netip.Addr, id string) (master.Image, error) {
	s := c.reg.Snapshot()
	port, ok := s.NodeByIP(client)
	if !ok {
		return master.Image{}, fmt.Errorf("client %s is no node: %w", client, wire.MasterNoHost)
	}
	ref, err := imageRef(id)
	if err != nil {
		return master.Image{}, fmt.Errorf("%w: %w", err, wire.MasterNoImage)
	}
	ref = plannedVersion(s, port.Node, ref)
	image, version := s.ImageVersion(ref)
	if version == nil {
		return master.Image{}, fmt.Errorf("image %s: %w", ref, wire.MasterNoImage)
	}
	ref.Version = version.Version
	if mayLoad(s, port.Node, image, ref) == "" {
		return master.Image{}, fmt.Errorf("node %s may not have image %s: %w", port.Node.ID, ref, wire.MasterNoAccess)
	}
	return master.Image{ID: ref.String(), Path: version.Path}, nil
}

// plannedVersion is the version that a node's load names, if the client asks
// without one: a newer version may have come since the load was planned.
func plannedVersion(s *registry.Snapshot, node *registry.Node, ref registry.Ref) registry.Ref {
	load := s.Load(node.ID)
	if load == nil || ref.Version != registry.Head {
		return ref
	}
	for _, l := range load.Images {
		if l.Image.Same(ref) {
			return l.Image
		}
	}
	return ref
}

// mayLoad says why a node may have a version of an image; "" if it may not.
func mayLoad(s *registry.Snapshot, node *registry.Node, image *registry.Image, ref registry.Ref) string {
	if load := s.Load(node.ID); load != nil {
		for _, l := range load.Images {
			if l.Image == ref {
				return "it has to load it"
			}
		}
	}
	if image.Global {
		return "it is global"
	}
	held := s.Reservation(node.ID)
	if held != nil && strings.HasPrefix(held.Experiment, image.Project+"/") {
		return "it is of the node's project"
	}
	return ""
}

// imageRef reads an image's name as loaders write it: "pid,gid,name[:version]"
// from loadinfo, or "pid/name[:version]".
func imageRef(id string) (registry.Ref, error) {
	if parts := strings.Split(id, ","); len(parts) == 3 {
		id = parts[0] + "/" + parts[2]
	}
	return registry.ParseRef(id)
}

// sessionStore keeps running sessions beside the registry's records, so that
// they go on at the same address after a restart.
type sessionStore struct{ store kv.Store }

const (
	sessionPrefix  = "session/"
	sessionTimeout = 10 * time.Second // for one write
)

// Load implements master.Store.
func (s sessionStore) Load() (list []master.Assignment, err error) {
	err = s.store.View(context.Background(), func(r kv.Reader) error {
		return r.Scan([]byte(sessionPrefix), func(key, value []byte) error {
			var a master.Assignment
			if err := json.Unmarshal(value, &a); err != nil {
				return fmt.Errorf("session record %s: %w", key, err)
			}
			list = append(list, a)
			return nil
		})
	})
	return list, err
}

// Save implements master.Store.
func (s sessionStore) Save(a master.Assignment) error {
	value, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return s.update(func(tx kv.Tx) error { return tx.Put([]byte(sessionPrefix+a.Key()), value) })
}

// Delete implements master.Store.
func (s sessionStore) Delete(key string) error {
	return s.update(func(tx kv.Tx) error { return tx.Delete([]byte(sessionPrefix + key)) })
}

func (s sessionStore) update(fn func(kv.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), sessionTimeout)
	defer cancel()
	_, err := s.store.Update(ctx, fn)
	return err
}

// progress is the newest report of each loading node. It is not stored: the
// next report comes in a second.
type progress struct {
	mu     sync.Mutex
	byNode map[string]control.Progress
}

func newProgress() *progress { return &progress{byNode: map[string]control.Progress{}} }

// progressAgeMax is when a report is forgotten: its loader died without a word.
const progressAgeMax = time.Minute

func (p *progress) all() map[string]control.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.byNode, func(_ string, r control.Progress) bool { return time.Since(r.At) > progressAgeMax })
	return maps.Clone(p.byNode)
}

// loaderEvent takes what clients say of themselves.
func (a *Appliance) loaderEvent(session master.Assignment, event server.Event) {
	node := a.progress.take(a.reg.Snapshot(), session, event)
	switch {
	case node == "":
	case event.Kind == server.ClientReport:
		a.loads.Beat(node, int(event.Report.Summary.ChunksOut))
	case event.Kind == server.ClientLeft:
		a.loads.BeatsEnd(node)
	}
}

// take returns the node that the event is of; "" if it is a stranger, whose
// progress is nobody's.
func (p *progress) take(s *registry.Snapshot, session master.Assignment, event server.Event) (node string) {
	port, ok := s.NodeByIP(event.Client)
	if !ok {
		return ""
	}
	node = port.Node.ID
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event.Kind {
	case server.ClientReport:
		p.byNode[node] = control.Progress{
			Image: session.ImageID, ChunksDone: int(event.Report.Summary.ChunksOut),
			ChunksTotal: int((session.Version.Bytes + wire.ChunkBytes - 1) / wire.ChunkBytes), At: time.Now().UTC(),
		}
	case server.ClientLeft:
		delete(p.byNode, node)
	}
	return node
}
