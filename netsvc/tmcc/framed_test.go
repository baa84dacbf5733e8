package tmcc

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// legacyServer answers as the C server does: a request in text, and an empty
// end to everything else. greetings counts the connections that began with
// something else.
func legacyServer(t *testing.T) (port uint16, greetings func() int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	framed := 0
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := conn.Read(buf)
			if bytes.HasPrefix(buf[:n], []byte("VERSION=")) {
				_, _ = io.Copy(io.Discard, conn)
				_, _ = io.WriteString(conn, "old reply\n")
			} else {
				mu.Lock()
				framed++
				mu.Unlock()
			}
			conn.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return framed
	}
}

// TestFallsBackAndRemembers: the second call of one boot asks in text at once;
// that of the next boot says hello again.
func TestFallsBackAndRemembers(t *testing.T) {
	t.Parallel()
	port, greetings := legacyServer(t)
	n := node{root: t.TempDir(), env: func(string) string { return "" }}
	boot := func(id string) {
		path := n.root + bootIDFile
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(id+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, tc := range []struct {
		boot   string
		hellos int
	}{
		{"00000000-0000-0000-0000-000000000001", 1}, {"00000000-0000-0000-0000-000000000001", 1}, {"00000000-0000-0000-0000-000000000002", 2},
	} {
		boot(tc.boot)
		var stdout, stderr bytes.Buffer
		status := n.main(context.Background(), []string{"-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), "status"}, &stdout, &stderr)
		if status != 0 || stdout.String() != "old reply\n" || greetings() != tc.hellos {
			t.Errorf("call %d: exit %d, %q, %s, %d hellos, want %d", i, status, &stdout, &stderr, greetings(), tc.hellos)
		}
	}
}

// TestExitStatusOfAnswers: without the option every answer is exit 0, as in C.
func TestExitStatusOfAnswers(t *testing.T) {
	t.Parallel()
	port, _ := startServer(t)
	for _, tc := range []struct {
		words  string
		reply  string
		status int
	}{
		{"nodeid", "n1\n", 0},
		{"nonsense", "", 10},
		{"-n nobody nodeid", "", 30},
		{"ifconfig", "", 21},
		{"state", "", 11},
	} {
		env := map[string]string{"HYZER_BIND": "127.0.1.1"}
		n := node{root: t.TempDir(), env: func(key string) string { return env[key] }}
		for _, option := range []string{"--exit-status", "-i"} {
			want := tc.status
			if option == "-i" {
				want = 0
			}
			var stdout, stderr bytes.Buffer
			args := append([]string{"-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), option}, strings.Fields(tc.words)...)
			if got := n.main(context.Background(), args, &stdout, &stderr); got != want || stdout.String() != tc.reply {
				t.Errorf("tmcc %v: exit %d, %q, %s; want %d", args, got, &stdout, &stderr, want)
			}
		}
	}
}
