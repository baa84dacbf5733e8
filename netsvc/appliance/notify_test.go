package appliance

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// notifySocket is systemd's end of sd_notify.
type notifySocket struct {
	path string
	conn *net.UnixConn
}

// startTimeout is how long a process may take to say something.
const startTimeout = 2 * time.Minute

func listenNotify(t *testing.T) *notifySocket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notifySocket{path, conn}
}

func (n *notifySocket) await(t *testing.T, want string) {
	t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(startTimeout)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	got, err := n.conn.Read(buf)
	if err != nil || string(buf[:got]) != want {
		t.Fatalf("notified %q, %v; want %q", buf[:got], err, want)
	}
}

func TestNotify(t *testing.T) {
	n := listenNotify(t)
	t.Setenv("NOTIFY_SOCKET", n.path)
	notify("READY=1")
	n.await(t, "READY=1")
	t.Setenv("NOTIFY_SOCKET", n.path+".gone")
	notify("READY=1") // nobody there: no matter
	t.Setenv("NOTIFY_SOCKET", "")
	notify("READY=1")
}
