package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/imaging/partition/scheme"
	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/server"
)

// frisbee runs the command.
func frisbee(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = client.Main(args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

func TestMainUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"-m", "239.1.1.1", "-p", "5", "a", "b"}, {"-m", "::1", "-p", "5", "out"}, {"-m", "239.1.1.1", "out"},
		{"-F", "img", "out"}, {"-S", "10.0.0.1", "-Q", ""}, {"-p", "0", "out"}, {"-Z"}, {"-m"}, {"-X", "carrier-pigeon"}, {"-h"},
	} {
		if status, out, errs := frisbee(args...); status != 1 || out != "" || !strings.Contains(errs, "usage: frisbee") {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errs)
		}
	}
}

type anyImage struct{ dir string }

func (c anyImage) Lookup(_ context.Context, _ netip.Addr, id string) (master.Image, error) {
	return master.Image{ID: id, Path: filepath.Join(c.dir, id)}, nil
}

// masterAt runs a master server and returns the options that lead to it.
func masterAt(t *testing.T, dir string) []string {
	t.Helper()
	sessions := master.NewSessions(master.SessionsConfig{
		Iface: serverAddr, ShareHost: true, PortBase: int(group(t).Port()), PortNum: 20, Log: quiet,
		Pace: server.Pace{BitsPerSec: 400_000_000},
	})
	t.Cleanup(sessions.Close)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- master.NewServer(master.ServerConfig{Catalog: anyImage{dir}, Sessions: sessions, Log: quiet}).Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return []string{"-S", "127.0.0.1", "-i", "127.7.77.1", "-p", fmt.Sprint(l.Addr().(*net.TCPAddr).Port)}
}

// TestMainLoadsGoldenImage asks the master server and decompresses the golden
// image as the C client did.
func TestMainLoadsGoldenImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := shared.ReadFile(t, "vectors/frisbee/a.ndz")
	if err := os.WriteFile(filepath.Join(dir, "a.ndz"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	at := masterAt(t, dir)
	for _, c := range []struct {
		option, want string
	}{
		{"-z", "21342a53a7f2824c36015b9f8cceeea8b1086b5050a1b6e9666a2a7b720a0957"}, // MANIFEST: raw_disk_written_by_client_sha256
		{"-N", "084a7ec8125f0be0cdf49f83a122d66c06451d1d34d11e662a08cbdf180838e2"}, // MANIFEST: a.ndz
	} {
		out := filepath.Join(dir, "out"+c.option)
		const joined = "File is 1 chunks (1048576 bytes)\n"
		args := append([]string{c.option, "-q", "--spill", dir, "-T", "20", "-F", "a.ndz"}, at...)
		status, stdout, errs := frisbee(append(args, out)...)
		data, err := os.ReadFile(out)
		if status != 0 || err != nil || stdout != "" || !strings.Contains(errs, "Left the team after") || !strings.Contains(errs, joined) {
			t.Fatalf("%s: status %d, %v\n%s%s", c.option, status, err, stdout, errs)
		}
		const rawDiskBytes = 7364608 // the old client leaves the free end out
		if c.option == "-z" && len(data) > rawDiskBytes && len(bytes.Trim(data[rawDiskBytes:], "\x00")) == 0 {
			data = data[:rawDiskBytes]
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != c.want {
			t.Errorf("%s: %d bytes, sha256 %x, want %s", c.option, len(data), sum, c.want)
		}
	}
}

// TestMainToNull loads to /dev/null, the old way to try out a session.
func TestMainToNull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.ndz"), shared.ReadFile(t, "vectors/frisbee/a.ndz"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"-z", "-n", "-N", "-k9999"} {
		args := append([]string{option, "-T", "20", "-F", "a.ndz"}, masterAt(t, dir)...)
		if status, _, errs := frisbee(append(args, os.DevNull)...); status != 0 || !strings.Contains(errs, "\nLeft the team after") {
			t.Errorf("%s: status %d: %s", option, status, errs)
		}
	}
}

// TestMainRefusesUsed gives the client a device that is claimed, as by a mount:
// it is not written to, and loaded once it is free.
func TestMainRefusesUsed(t *testing.T) {
	t.Parallel()
	const deviceBytes = 16 << 20
	dir := t.TempDir()
	image := shared.ReadFile(t, "vectors/frisbee/a.ndz")
	if err := os.WriteFile(filepath.Join(dir, "a.ndz"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("garbage "), deviceBytes/8)
	backing := filepath.Join(dir, "backing")
	if err := os.WriteFile(backing, garbage, 0o600); err != nil {
		t.Fatal(err)
	}
	device, _ := tools.Loop(t, backing)
	mounted, err := os.OpenFile(device, os.O_RDONLY|os.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	load := append(append([]string{"-T", "20", "-F", "a.ndz"}, masterAt(t, dir)...), device)
	status, _, errs := frisbee(load...)
	data, err := os.ReadFile(device)
	if status == 0 || !strings.Contains(errs, device) || !strings.Contains(errs, scheme.ErrBusy.Error()) {
		t.Errorf("status %d: %s", status, errs)
	}
	if err != nil || !bytes.Equal(data, garbage) {
		t.Errorf("the device was written to: %d bytes, %v", len(data), err)
	}
	if err := mounted.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := frisbee(load...); status != 0 {
		t.Errorf("once free: status %d: %s", status, errs)
	}
	if data, err := os.ReadFile(device); err != nil || bytes.Equal(data, garbage) {
		t.Errorf("once free, nothing was written: %v", err)
	}
}

func TestMainStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 77), 0o600); err != nil {
		t.Fatal(err)
	}
	at := masterAt(t, dir)
	status, out, _ := frisbee(append(at, "-Q", "absent")...)
	if want := "imageid=absent\nerror=3\n"; status != 0 || out != want {
		t.Errorf("status %d, %q, want %q", status, out, want)
	}
	status, out, _ = frisbee(append(at, "-Q", "a")...)
	if !strings.HasPrefix(out, "imageid=a\nerror=0\nmethod=0x3\nsize=77\nsigtype=0x1\nsig=0x") || !strings.HasSuffix(out, "\nrunning=0\n") || status != 0 {
		t.Errorf("status %d, %q", status, out)
	}
	if status, narrow, _ := frisbee(append(at, "-X", "bcast", "-Q", "a")...); status != 0 || narrow != out {
		t.Errorf("-Q with -X: status %d, %q, want %q: it asks about all ways", status, narrow, out)
	}
	status, _, errs := frisbee(append(at, "-X", "bcast", "-F", "a", filepath.Join(dir, "out"))...)
	if status != 255 || !strings.Contains(errs, "server returned error: not available via specified method") {
		t.Errorf("status %d, %q", status, errs)
	}
}
