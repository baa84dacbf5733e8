package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// fetch starts to fetch an image, unless that goes on, or just failed.
func (m *Mirror) fetch(client netip.Addr, id, path string, size int64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.ctx.Err() != nil || m.fetching[id] || len(m.fetching) >= fetchesMax || time.Now().Before(m.retryAt[id]) {
		return
	}
	m.fetching[id] = true
	m.all.Go(func() {
		began := time.Now()
		bytes, err := m.run(client, id, path, size)
		m.lock.Lock()
		defer m.lock.Unlock()
		delete(m.fetching, id)
		now := time.Now()
		maps.DeleteFunc(m.retryAt, func(_ string, at time.Time) bool { return now.After(at) })
		delete(m.retryAt, id)
		if err != nil {
			m.retryAt[id] = now.Add(fetchRetry)
			m.log.Error("image not fetched; it is tried again when a client asks", "image", id, "err", err)
			return
		}
		m.log.Info("image fetched", "image", id, "bytes", bytes, "elapsed", time.Since(began))
	})
}

// run fetches an image of that size and puts it in its place. Its room is made
// before the parent is asked to send.
func (m *Mirror) run(client netip.Addr, id, path string, size int64) (int64, error) {
	if err := m.cache.reserve(path, size); err != nil {
		return 0, err
	}
	defer m.cache.release(path)
	q := m.query(client, id, false)
	answer, err := m.get(q)
	if err != nil {
		return 0, err
	}
	if answer.FileBytes != uint64(size) {
		return 0, fmt.Errorf("%w: the parent said %d bytes, and now %d", server.ErrImageChanged, size, answer.FileBytes)
	}
	temp := path + tempSuffix
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	err = m.receive(f, q, answer)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	mtime, timed := answer.Signature.MTime()
	if err == nil && timed {
		err = os.Chtimes(temp, time.Now(), time.Unix(int64(mtime), 0))
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(temp))
	}
	return int64(answer.FileBytes), syncDir(filepath.Dir(path))
}

// get asks the parent to send, again while it is busy, but not so long that other
// images are not fetched.
func (m *Mirror) get(q master.Query) (master.Answer, error) {
	ctx, cancel := context.WithTimeout(m.ctx, m.busyTime)
	defer cancel()
	for {
		a, err := master.Get(ctx, q)
		if !errors.Is(err, wire.MasterTryAgain) {
			return a, err
		}
		select {
		case <-time.After(parentPause):
		case <-ctx.Done():
			return a, fmt.Errorf("after %v: %w", m.busyTime, err)
		}
	}
}

// receive takes the image as it is. Its room is made first: a disk that is too
// full is found before a byte is sent.
func (m *Mirror) receive(f *os.File, q master.Query, a master.Answer) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, int64(a.FileBytes))
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("making room for %d bytes: %w", a.FileBytes, os.NewSyscallError("fallocate", err))
	}
	c := client.Config{
		Address: netip.AddrPortFrom(a.Addr, a.Port), Server: a.Server, Iface: a.Local, ShareHost: m.cfg.ShareHost,
		Broadcast: a.Method == wire.Broadcast, Raw: true, Mode2: true, Sink: client.RawSink{W: f}, Log: m.log,
		JoinTimeout: joinTimeout, IdleTimeout: idleTimeout,
	}
	if http := a.Carrier(q); http != nil {
		c.Fetcher = http
		defer http.Close()
	}
	r, err := client.Run(m.ctx, c)
	if err == nil && uint64(r.FileBytes) != a.FileBytes {
		err = fmt.Errorf("%w: %d bytes came, the parent said %d", client.ErrImageChanged, r.FileBytes, a.FileBytes)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var _ master.Catalog = (*Mirror)(nil)
