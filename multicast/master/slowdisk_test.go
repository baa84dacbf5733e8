package master_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestSlowImageHoldsNoOther: while the disk of one image is waited for, others
// are had, and those who ask for the same get the same session.
func TestSlowImageHoldsNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeImage(t, dir, "slow.img", make([]byte, 5000), 1000)
	writeImage(t, dir, "other.img", make([]byte, 5000), 1000)
	pipe := server.ManifestPath(filepath.Join(dir, "slow.img"))
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	sessions := newSessions(t, nil, 0)
	join := func(name string) (master.Session, error) {
		path := filepath.Join(dir, name)
		file, err := server.OpenFile(path)
		if err != nil {
			return master.Session{}, err
		}
		return sessions.Join(master.Image{ID: name, Path: path}, file, wire.Multicast, nodeAddr)
	}
	type result struct {
		master.Session
		err error
	}
	slow := make(chan result)
	for range 2 {
		go func() { s, err := join("slow.img"); slow <- result{s, err} }()
	}
	disk, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until one of them reads
	if err != nil {
		t.Fatal(err)
	}
	other := make(chan error)
	go func() { _, err := join("other.img"); other <- err }()
	select {
	case err = <-other:
	case r := <-slow:
		t.Fatalf("began without its disk: %+v", r)
	case <-t.Context().Done():
	}
	if err != nil {
		t.Error(err)
	}
	if n := len(sessions.List()); n != 1 {
		t.Errorf("%d sessions, want the other image's", n)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	first, second := <-slow, <-slow
	if first.err != nil || second.err != nil || first.Address != second.Address {
		t.Errorf("the same image: %+v and %+v", first, second)
	}
}
