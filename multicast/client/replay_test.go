package client_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/multicast/client"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/wire"
)

// member is a client of a captured session.
type member struct {
	addr    netip.Addr
	session netip.AddrPort
	id      uint32
	v2      bool
}

// members lists the clients that join in a capture.
func members(t *testing.T, packets []pcaptest.Packet) []member {
	t.Helper()
	seen := map[member]bool{}
	var list []member
	for _, p := range packets {
		h, body, err := wire.Split(p.Payload)
		if err != nil || h.Type != wire.Request || p.Src.Port() != p.Dst.Port() {
			continue
		}
		m := member{addr: p.Src.Addr(), session: p.Dst}
		switch h.Subtype {
		case wire.SubJoin:
			j, _ := wire.ParseJoin(body)
			m.id = j.Value
		case wire.SubJoin2:
			j, _ := wire.ParseJoin2(body)
			m.id, m.v2 = j.ClientID, true
		default:
			continue
		}
		if !seen[m] {
			seen[m] = true
			list = append(list, m)
		}
	}
	return list
}

// TestReplayCaptures feeds what the C server sent, with what the C clients
// sent, to our machine in the place of each client. It must arrive at the same
// file.
func TestReplayCaptures(t *testing.T) {
	t.Parallel()
	dir := shared.Path(t, "vectors/frisbee")
	files := map[int64][sha256.Size]byte{}
	for _, f := range [][]byte{shared.ReadFile(t, "vectors/frisbee/a.ndz"), gunzip(t, shared.ReadFile(t, "vectors/frisbee/raw_a.txt.gz"))} {
		files[int64(len(f))] = sha256.Sum256(f)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.pcap.gz"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			packets := pcaptest.UDP(pcaptest.Read(t, path))
			list := members(t, packets)
			if len(list) == 0 {
				t.Fatal("nobody joins")
			}
			verified := 0
			for _, m := range list {
				if strings.HasSuffix(path, ".client1.pcap.gz") && m.addr != netip.MustParseAddr("10.77.1.2") {
					continue // what another lost is not in here
				}
				if replay(t, packets, m, files) {
					verified++
				}
			}
			if verified == 0 {
				t.Error("no session of the capture is complete")
			}
		})
	}
}

func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// replay returns false if the capture ends before the session does.
func replay(t *testing.T, packets []pcaptest.Packet, m member, files map[int64][sha256.Size]byte) bool {
	t.Helper()
	now := packets[0].At.Add(-time.Minute)
	r := client.NewReception(client.ReceptionConfig{Self: m.addr, Address: m.session, ID: m.id, Raw: m.v2}, now)
	for !m.v2 && now.Before(packets[0].At) { // until it has tried the old JOIN
		r.Tick(now)
		r.TakeSends()
		now = now.Add(time.Second)
	}
	var got memory
	passed := map[[2]uint32]bool{}
	for _, p := range packets {
		if p.Src.Port() == m.session.Port() && p.Src.Addr() != m.addr && (p.Dst == m.session || p.Dst.Addr() == m.addr) {
			r.Receive(p.At, p.Src, p.Payload)
			if h, body, _ := wire.Split(p.Payload); h.Subtype == wire.SubBlock {
				b, _ := wire.ParseBlock(body)
				passed[[2]uint32{b.Chunk, b.Block}] = true
			}
		}
		r.Tick(p.At)
		r.TakeSends()
		for _, c := range r.TakeReady() {
			got.WriteAt(c.Data, int64(c.Index)*wire.ChunkBytes)
			r.Release(p.At, c)
		}
	}
	geo, joined := r.Joined()
	if joined && int64(len(passed)) < geo.Blocks() {
		return false
	}
	want, known := files[geo.FileBytes()]
	if !joined || !known || !r.Finished() || sha256.Sum256(got.data) != want {
		t.Errorf("client %v at %v: joined %v to a file of %d bytes, finished %v (%v), content equal %v", m.addr, m.session,
			joined, geo.FileBytes(), r.Finished(), r.Err(), sha256.Sum256(got.data) == want)
	}
	return true
}
