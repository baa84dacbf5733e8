package server

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata do as what they should do")

// TestScripts runs testdata/*.txt. A script is blocks of commands, "----", and
// what the session did. Commands:
//
//	new [chunks=3] [linger=<duration>] [pace=<bits/s>] [heartbeat=<s>] [hold=<duration>] [gather=<duration>]
//	join|join2|leave <client> <id>      client n has address 10.0.1.n
//	want <client> <chunk> <first> <count>
//	repair <client> <chunk> <retries> <first>-<last>[,...]
//	next <n>     do up to n actions, until there is nothing to do
//	wait <duration>
//	stats
func TestScripts(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				err = os.WriteFile(path, []byte(got), 0o600)
			} else if got != string(text) {
				t.Errorf("%s:\n got:\n%s\nwant:\n%s", path, got, text)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// runScript returns the script with what the session did.
func runScript(t *testing.T, text string) string {
	t.Helper()
	r := &script{t: t, now: time.Unix(1000, 0)}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		commands, _, _ := strings.Cut(block, "----")
		r.out.Reset()
		for _, line := range strings.Split(strings.TrimSpace(commands), "\n") {
			if !strings.HasPrefix(line, "#") {
				r.do(strings.Fields(line))
			}
		}
		fmt.Fprintf(&out, "%s\n----\n%s\n", strings.TrimSpace(commands), r.out.String())
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type script struct {
	t   *testing.T
	now time.Time
	s   *Session
	out bytes.Buffer
}

var scriptAddress = netip.MustParseAddrPort("239.1.1.1:4000")

func (r *script) do(f []string) {
	r.t.Helper()
	switch f[0] {
	case "new":
		r.start(f[1:])
	case "next":
		r.next(r.number(f[1]))
	case "wait":
		r.now = r.now.Add(r.duration(f[1]))
	case "stats":
		st := r.s.Stats(r.now)
		fmt.Fprintf(&r.out, "clients %d joins %d leaves %d requests %d merged %d dup %d again %d sent %d repeated %d refused %d\n", st.Clients,
			st.Joins, st.Leaves, st.Requests, st.RequestsMerged, st.DuplicateRequests, st.ReRequests, st.BlocksSent, st.BlocksRepeated, st.DatagramsRefused)
	default:
		r.packet(f)
	}
}

func (r *script) start(options []string) {
	r.t.Helper()
	cfg := SessionConfig{Self: netip.MustParseAddr("10.0.0.1"), Address: scriptAddress, FileBytes: 3 << 20, Pace: Pace{Gap: -1}, RepairHold: -1}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "chunks":
			cfg.FileBytes = int64(r.number(value)) << 20
		case "linger":
			cfg.Linger = r.duration(value)
		case "pace":
			cfg.Pace = Pace{BitsPerSec: int64(r.number(value))}
		case "heartbeat":
			cfg.HeartbeatSeconds = uint32(r.number(value))
		case "hold":
			cfg.RepairHold = r.duration(value)
		case "gather":
			cfg.Gather = r.duration(value)
		default:
			r.t.Fatalf("no option %q", o)
		}
	}
	s, err := NewSession(cfg, r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
}

func (r *script) packet(f []string) {
	r.t.Helper()
	n := byte(r.number(f[1]))
	src := [4]byte{10, 0, 1, n}
	var b []byte
	switch f[0] {
	case "join":
		b = wire.Join{Value: uint32(r.number(f[2]))}.Append(nil, wire.Request, src)
	case "join2":
		b = wire.NewJoin2Request(uint32(r.number(f[2]))).Append(nil, wire.Request, src)
	case "leave":
		b = wire.Leave{ClientID: uint32(r.number(f[2]))}.Append(nil, src)
	case "want":
		b = wire.BlockRequest{Chunk: uint32(r.number(f[2])), Block: uint32(r.number(f[3])), Count: uint32(r.number(f[4]))}.Append(nil, src)
	case "repair":
		p := wire.PartialRequest{Chunk: uint32(r.number(f[2])), Retries: uint32(r.number(f[3]))}
		for _, run := range strings.Split(f[4], ",") {
			first, last, _ := strings.Cut(run, "-")
			p.Wanted.AddRange(r.number(first), r.number(last)-r.number(first)+1)
		}
		b = p.Append(nil, src)
	default:
		r.t.Fatalf("no command %q", f[0])
	}
	r.s.Receive(r.now, netip.AddrPortFrom(netip.AddrFrom4(src), scriptAddress.Port()), b)
}

// next prints the actions; ranges that follow each other are one line.
func (r *script) next(n int) {
	first, chunk, count := 0, -1, 0
	flush := func() {
		if chunk >= 0 {
			fmt.Fprintf(&r.out, "blocks %d:%d-%d\n", chunk, first, first+count-1)
		}
		chunk, count = -1, 0
	}
	for range n {
		a := r.s.Next(r.now)
		if a.Kind == ActBlocks && a.Chunk == chunk && a.First == first+count {
			count += a.Count
			continue
		}
		flush()
		switch a.Kind {
		case ActBlocks:
			chunk, first, count = a.Chunk, a.First, a.Count
		case ActSend:
			h, body, _ := wire.Split(a.Datagram)
			fmt.Fprintf(&r.out, "send %v type %d %x\n", h.Subtype, h.Type, body)
		case ActSleep:
			if a.Until.IsZero() {
				fmt.Fprintln(&r.out, "sleep")
			} else {
				fmt.Fprintf(&r.out, "sleep %v\n", a.Until.Sub(r.now))
			}
			return
		case ActFinish:
			fmt.Fprintf(&r.out, "finish: %v\n", a.Reason)
			return
		}
	}
	flush()
}

func (r *script) number(s string) int {
	r.t.Helper()
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return int(n)
}

func (r *script) duration(s string) time.Duration {
	r.t.Helper()
	if s == "last" {
		return LingerLastClient
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}
