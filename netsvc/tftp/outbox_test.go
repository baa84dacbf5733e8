package tftp

import (
	"bytes"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestUncutWindow: where the kernel refuses to cut a window, each block goes
// out by itself, then and from then on.
func TestUncutWindow(t *testing.T) {
	t.Parallel()
	client := newRawClient(t, "127.0.0.1:0")
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := newSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := content(1000)
	to := client.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &session{
		client: to, to: socket.name(to, 0), file: translated{bytes.NewReader(want)},
		machine: newTransfer(terms{blockBytes: 300, window: 4, fileBytes: 1000}), segment: segmentControl(nil, 304),
	}
	o := newOutbox(socket, raw)
	for _, refusal := range []syscall.Errno{syscall.EINVAL, 0} { // refused once; then as usual
		before := s.segment
		if err := o.blocks(s, 1, 4); err != nil {
			t.Fatal(err)
		}
		if refusal != 0 {
			o.single(0, refusal)
			o.used, o.fill = 0, 0
			if before == nil || s.segment != nil {
				t.Error("the next window would be refused again")
			}
			s.segment = before
		}
		o.send()
		var got []byte
		for block := range uint16(4) {
			p, _ := client.recv()
			if p.Op != OpData || p.Block != block+1 {
				t.Fatalf("refused with %v: %+v", refusal, p)
			}
			got = append(got, p.Data...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("refused with %v: %d other bytes", refusal, len(got))
		}
	}
	o.single(0, syscall.EPERM) // a firewall's answer: the timer's business
	client.conn.SetReadDeadline(time.Now())
	if n, err := client.conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d more bytes came", n)
	}
}
