package master

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"hyzer/multicast/server"
)

// resumePause is between tries to have a session back.
const resumePause = time.Second

// Resume starts the sessions that the store has, at the addresses that their
// clients know. One whose image is gone or changed is dropped from the store; one
// whose address cannot be had yet, as while the interface is away, is tried again
// for as long as it would have lingered.
func (s *Sessions) Resume() error {
	stored, err := s.store.Load()
	if err != nil {
		return fmt.Errorf("loading the image sessions that ran before: %w", err)
	}
	var failed []error
	for _, a := range stored {
		err := s.resume(a)
		if err == nil {
			continue
		}
		s.log.Warn("image session cannot be resumed", "service", "frisbee", "image", a.ImageID, "address", a.Address.String(), "err", err)
		if imageGone(err) {
			failed = append(failed, s.store.Delete(a.Key()))
		} else {
			s.resumeLater(a)
		}
	}
	return errors.Join(failed...)
}

// imageGone says whether a session can never be resumed.
func imageGone(err error) bool {
	return errors.Is(err, server.ErrImageChanged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, server.ErrNotRegular)
}

// resumeLater tries again, until the session runs or has lingered.
func (s *Sessions) resumeLater(a Assignment) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	s.all.Go(func() {
		for end := time.Now().Add(s.cfg.Linger); time.Now().Before(end); {
			select {
			case <-time.After(resumePause):
			case <-s.ctx.Done():
				return // it stays in the store
			}
			if err := s.resume(a); err == nil {
				return
			} else if imageGone(err) {
				end = time.Time{}
			}
		}
		s.drop(a)
	})
}

// drop takes a session out of the store, unless one like it runs by now.
func (s *Sessions) drop(a Assignment) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.running[a.Key()] != nil {
		return
	}
	if err := s.store.Delete(a.Key()); err != nil {
		s.log.Error("image session is not forgotten", "service", "frisbee", "image", a.ImageID, "address", a.Address.String(), "err", err)
	}
}

func (s *Sessions) resume(a Assignment) error {
	file, err := server.OpenFile(a.Path)
	if err != nil {
		return err
	}
	if file.Identity() != a.Version {
		file.Close()
		return fmt.Errorf("%w: %s", server.ErrImageChanged, a.Path)
	}
	list := s.manifest(a, file)
	s.lock.Lock()
	defer s.lock.Unlock()
	if _, twice := s.running[a.Key()]; twice {
		return file.Close()
	}
	srv, err := s.open(a, file, list)
	if err != nil {
		file.Close()
		return err
	}
	s.start(a, srv)
	return nil
}
