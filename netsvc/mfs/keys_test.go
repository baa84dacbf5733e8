package mfs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/bench/tools"
	"hyzer/multicast/master"
	"hyzer/multicast/wire"
	"hyzer/netsvc/appliance"
	"hyzer/netsvc/diskloader"
	"hyzer/netsvc/tmcc"
)

// TestSessionKeys: at a site with TLS and session keys a loader asks over TLS
// and is told the key, and loads although a stranger, at the appliance's own
// address and port, sends forged blocks of the image all the time. A node that
// asks in clear is told none.
func TestSessionKeys(t *testing.T) {
	t.Parallel()
	const chunks = 6
	s := newLoadSite(t, netip.MustParsePrefix("127.74.9.0/24"), 1, chunks<<20)
	root := t.TempDir()
	cert := selfSigned(t, root, s.boss)
	s.cfg.TMCD = appliance.TMCD{Listen: []netip.AddrPort{netip.AddrPortFrom(s.boss, 0)}, TLS: appliance.TLS{Cert: cert, Key: cert, ClientCA: cert}}
	s.cfg.Frisbee.Listen, s.cfg.Frisbee.SessionKeys = netip.AddrPortFrom(s.boss, 0), true
	s.cfg.Multicast.LoopbackLab, s.cfg.Multicast.RateMbps = true, 100
	const ports = 8
	s.cfg.Multicast.FirstPort = tools.Ports(t, ports)
	s.cfg.Multicast.LastPort = s.cfg.Multicast.FirstPort + ports - 1
	services := s.run(t)
	s.blankDisks(t)

	var console bytes.Buffer
	m := nodeAt(&console, s.nodes[0], s.boss)
	m.ports = []uint16{services["tmcd"].Port()}
	if reply, err := m.ask(t.Context(), "loadinfo"); err != nil || strings.Contains(reply, "MCASTKEY") || !strings.Contains(reply, "IMAGEID=") {
		t.Errorf("in clear: %q, %v", reply, err)
	}
	var err error
	if m.tls, err = tmcc.Certificates(root); err != nil || m.tls == nil {
		t.Fatalf("certificates: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	answer, err := master.Get(ctx, master.Query{Server: services["frisbee"], From: s.nodes[0],
		Request: wire.GetRequest{Methods: wire.Multicast, ImageID: "p,p,image"}})
	if err != nil {
		t.Fatal(err)
	}
	forged := forge(t, s.boss, netip.AddrPortFrom(answer.Addr, answer.Port), chunks)
	err = m.loadFile(ctx, s.diskPath(0), func(c *diskloader.Config) { c.MasterPort = services["frisbee"].Port() })
	if err != nil || !strings.Contains(console.String(), "key=true") {
		t.Errorf("load: %v\n%s", err, &console)
	}
	s.loaded(t, 0)
	if forged() == 0 {
		t.Error("no forged block was sent")
	}
}

// selfSigned puts a certificate for an address, its own authority, where nodes
// have theirs, and returns the file.
func selfSigned(t *testing.T, root string, at netip.Addr) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: at.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	dir := filepath.Join(root, "etc/emulab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"client.pem", "emulab.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "client.pem")
}

// forge sends blocks of each chunk, without a tag and with one of another key,
// in the server's name until the test is over. The function says how many.
func forge(t *testing.T, server netip.Addr, session netip.AddrPort, chunks uint32) (sent func() uint64) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			if err == nil {
				err = unix.SetsockoptInet4Addr(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, server.As4())
			}
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	conn, err := config.ListenPacket(t.Context(), "udp4", netip.AddrPortFrom(server, session.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Uint64
	ended := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	to, tag := net.UDPAddrFromAddrPort(session), (&wire.Key{1}).Blocks(session.Port(), 1)
	go func() {
		defer close(ended)
		for n := uint32(0); ; n++ {
			plain := wire.Block{Chunk: n % chunks, Block: n / chunks % 1024, Data: bytes.Repeat([]byte{0xee}, wire.BlockBytes)}.Append(nil, server.As4())
			tagged := make([]byte, wire.DatagramBytesMax)
			wire.PutBlockHeader(tagged, n%chunks, n/chunks%1024, server.As4())
			wire.PutTrailer(tagged, wire.Trailer{Seq: n}, tag)
			for _, b := range [][]byte{plain, tagged} {
				switch _, err := conn.WriteTo(b, to); {
				case err == nil:
					count.Add(1)
				case errors.Is(err, net.ErrClosed):
					return
				}
			}
			<-time.After(200 * time.Microsecond)
		}
	}()
	return count.Load
}
