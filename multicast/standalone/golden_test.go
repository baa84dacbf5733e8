package standalone

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/bench/shared"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestGoldenLines: what clients said in the captures is printed as the old
// server printed it then.
func TestGoldenLines(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"basic": 2, "heartbeat": 5, "join2raw": 2, "join2raw-loss5": 2, "loss5": 2, "dyn-loss20": 1, "unicast": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := string(shared.ReadFile(t, "vectors/frisbee/"+name+".server.log"))
			found := 0
			for _, p := range pcaptest.UDP(pcaptest.Read(t, shared.Path(t, "vectors/frisbee/"+name+".server.pcap.gz"))) {
				text := said(p.Payload, p.Src.Addr())
				if text == "" {
					continue
				}
				if found++; !strings.Contains(log, text) {
					t.Errorf("not in the log:\n%s", text)
				}
			}
			if found != want {
				t.Errorf("%d messages, want %d", found, want)
			}
		})
	}
}

// said is what is printed of a client's message, without the time.
func said(datagram []byte, from netip.Addr) string {
	h, body, err := wire.Split(datagram)
	if err != nil {
		return ""
	}
	switch {
	case h.Subtype == wire.SubLeave2:
		if m, err := wire.ParseLeave2(body); err == nil {
			return clientStats(m.ClientID, &m.Stats, sockBufferKB)
		}
	case h.Subtype == wire.SubProgress && h.Type == wire.Reply:
		var m wire.Progress
		if wire.ParseProgress(&m, wire.Reply, body) == nil {
			var b strings.Builder
			l := lines{&command{}, &b}
			l.event(server.Event{Kind: server.ClientReport, Client: from, ID: m.ClientID, Report: &m})
			return b.String()
		}
	}
	return ""
}

// TestGoldenReport: the counts at the end have the names and shape of the old
// server's.
func TestGoldenReport(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"basic": "-m 239.192.77.1 -p 1 -W 55008000 /images/a.ndz", "dyn-loss20": "-m 239.192.77.1 -p 1 -W 55008000 -D /images/raw_a.txt",
	} {
		log := string(shared.ReadFile(t, "vectors/frisbee/"+name+".server.log"))
		c := newCommand()
		if err := c.parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		c.cfg.Image = sized(1 << 20)
		var b strings.Builder
		l := lines{c, &b}
		l.report(server.Stats{})
		if got, want := shape(b.String()), shape(log[strings.Index(log, "\nParams:")+1:]); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// shape has one 0 for each number.
func shape(s string) string {
	return strings.TrimSpace(regexp.MustCompile(`\d+(\.\d+)?`).ReplaceAllString(s, "0"))
}

type sized int64

func (s sized) Size() int64                           { return int64(s) }
func (s sized) Name() string                          { return "sized" }
func (s sized) Close() error                          { return nil }
func (s sized) Check() error                          { return nil }
func (s sized) Prefetch(int64, int64)                 {}
func (s sized) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestStatsText is with the counts of a capture's log.
func TestStatsText(t *testing.T) {
	t.Parallel()
	s := server.Stats{
		Service: 1382 * time.Millisecond, ClientsMost: 2, Joins: 2, Leaves: 2, DatagramsIn: 18, DatagramsOut: 3573, Requests: 14,
		PartialRequests: 12, PartialBlocks: 1523, ReRequests: 8, BlocksSent: 3571, BlocksRepeated: 1222,
		Writes: server.Timing{Calls: 3571, Took: 225 * time.Millisecond, Longest: 11070 * time.Microsecond, Slow: 29},
		Reads:  server.Timing{Calls: 359, Bytes: 3656457, Took: 1436 * time.Microsecond, Longest: 71 * time.Microsecond},
		Idles:  8, Intervals: 592, IntervalsMissed: 80, QueueElementsMost: 3, QueueBlocksMost: 990,
	}
	use := unix.Rusage{Stime: unix.Timeval{Usec: 123_000}}
	log := string(shared.ReadFile(t, "vectors/frisbee/join2raw-loss5.server.log"))
	if got := statsText(s, 2405129, &use); !strings.Contains(log, got) {
		t.Errorf("got\n%s", got)
	}
}

// TestReportEvent is the event of a report, and the image's name in it.
func TestReportEvent(t *testing.T) {
	t.Parallel()
	e := server.Event{Client: netip.MustParseAddr("10.77.1.2"), Report: &wire.Progress{
		When: 1795219824, Seq: 7, What: wire.WhatSummary, Summary: wire.Summary{ChunksIn: 5, ChunksOut: 4, BytesOut: 9<<20 + 5},
	}}
	const want = "event: OBJTYPE=FRISBEESTATUS OBJNAME=10.77.1.2 EVENTTYPE=pid/img TSTAMP=1795219824 SEQUENCE=7 CHUNKS_RECV=5 CHUNKS_DECOMP=4 MBYTES_WRITTEN=9"
	if got := reportEvent("/proj/pid/images/img.ndz", e); got != want {
		t.Errorf("got %s", got)
	}
	for path, want := range map[string]string{
		"/proj/pid/images/img.ndz": "pid/img", "/proj/pid/images/img.ndz:3": "pid/img:3", "/images/pid/img/img.ndz": "pid/img",
		"/images/pid/img.ndz.sig": "pid/img,sig", "/images/pid/img.ndz:2.sig": "pid/img:2,sig", "img": "./img",
	} {
		if got := imageOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// TestTraceBound: only the latest are kept, in their order.
func TestTraceBound(t *testing.T) {
	t.Parallel()
	began := time.Unix(100, 0)
	tr := newTracer(began)
	for i := range traceMax + 2 {
		tr.add(server.TraceEntry{At: began.Add(time.Duration(i) * time.Microsecond), Action: server.ActBlocks, Chunk: i, Count: 1})
	}
	var b strings.Builder
	tr.write(&b)
	text := strings.SplitAfterN(b.String(), "\n", 3)
	if text[0] != "Trace: 65536 of 65538 events\n" || text[1] != "    0.000002: sent BLOCK: chunk 2, block 0, 1 blocks\n" ||
		!strings.HasSuffix(text[2], "    0.065537: sent BLOCK: chunk 65537, block 0, 1 blocks\n") {
		t.Errorf("%.300s", b.String())
	}
}
