package pebblekv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

func TestRestore(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": nil} {
		root := t.TempDir()
		if fs != nil {
			root = "/r"
		}
		ctx := context.Background()
		s, err := pebblekv.Open(root+"/db", quiet(fs))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			if _, err := put(s, fmt.Sprint("k", i), make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.Backup(ctx, root+"/backups/1"), s.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := pebblekv.Restore(ctx, fs, root+"/backups/1", root+"/db"); err == nil {
			t.Errorf("%s: restored over a store", name)
		}
		if err := pebblekv.Restore(ctx, fs, root+"/backups", root+"/restored"); err == nil {
			t.Errorf("%s: restored what is no backup", name)
		}
		if err := pebblekv.Restore(ctx, fs, root+"/backups/1", root+"/restored"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s, err = pebblekv.Open(root+"/restored", quiet(fs))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := s.Revision()
		if rev, err := put(s, "more", nil); err != nil || rev != before+1 {
			t.Errorf("%s: revision %d after %d, %v", name, rev, before, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		report, err := pebblekv.VerifyFS(orDefault(fs), root+"/restored")
		if err != nil || report.Keys != 51 {
			t.Errorf("%s: verify: %+v, %v", name, report, err)
		}
	}
}

// TestOwnerOnly looks at who may enter a store, its backup and what was restored.
func TestOwnerOnly(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s, err := pebblekv.Open(root+"/db", quiet(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := errors.Join(s.Backup(ctx, root+"/backup"), s.Close(), pebblekv.Restore(ctx, nil, root+"/backup", root+"/restored")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db", "backup", "restored"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func orDefault(fs vfs.FS) vfs.FS {
	if fs == nil {
		return vfs.Default
	}
	return fs
}

// TestRestoreTwice makes two stores of one backup, one after the other. Who
// watched the store it was taken from, or the first, is told that the second
// has another history.
func TestRestoreTwice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	clock := newManualClock()
	opts := quiet(vfs.NewMem())
	opts.Clock = clock
	open := func(dir string) *pebblekv.Store {
		s, err := pebblekv.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open("/db")
	_, err := put(s, "a", nil)
	if err := errors.Join(err, s.Backup(ctx, "/backup"), s.Close()); err != nil {
		t.Fatal(err)
	}
	var seen []kv.Revision
	for _, dir := range []string{"/db", "/first", "/second"} {
		if dir != "/db" {
			clock.advance(time.Millisecond)
			if err := pebblekv.Restore(ctx, opts.FS, "/backup", dir); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // also when it is opened again
			s := open(dir)
			for _, rev := range seen {
				if _, err := s.Watch(ctx, nil, rev); !errors.Is(err, kv.ErrCompacted) {
					t.Errorf("%s at %d: watch after %d: %v", dir, s.Revision(), rev, err)
				}
			}
			before := s.Revision()
			rev, err := put(s, "b", nil)
			if err != nil || rev != before+1 {
				t.Errorf("%s: revision %d after %d, %v", dir, rev, before, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s := open(dir)
		seen = append(seen, 0, 1, s.Revision()-1, s.Revision())
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupUnderLoad takes backups while writers write: each holds all that
// was acknowledged before it began, and is whole.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	opts := quiet(fs)
	opts.MemTableBytes = 64 << 10
	s := mustOpen(t, opts)
	defer s.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := put(s, fmt.Sprint(i), make([]byte, 2000)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range 5 {
		before := s.Revision()
		dir := fmt.Sprintf("/backup%d", i)
		if err := s.Backup(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
		report, err := pebblekv.VerifyFS(fs, dir)
		if err != nil || report.Revision < before || report.Keys != uint64(report.Revision) {
			t.Errorf("backup begun at %d: %+v, %v", before, report, err)
		}
	}
	close(stop)
	<-done
}
