package standalone

import (
	"fmt"
	"io"
	"sync"
	"time"

	"hyzer/multicast/server"
)

// traceMax is how many of the latest packets -t keeps.
const traceMax = 1 << 16

// tracer keeps what came and was sent until the end: to write it down at once
// would change what is looked at.
type tracer struct {
	began time.Time
	lock  sync.Mutex
	ring  []server.TraceEntry
	n     int // in all
}

func newTracer(now time.Time) *tracer { return &tracer{began: now} }

func (t *tracer) add(e server.TraceEntry) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if len(t.ring) < traceMax {
		t.ring = append(t.ring, e)
	} else {
		t.ring[t.n%traceMax] = e
	}
	t.n++
}

// write prints a line for each, with seconds since the start.
func (t *tracer) write(w io.Writer) {
	t.lock.Lock()
	defer t.lock.Unlock()
	fmt.Fprintf(w, "Trace: %d of %d events\n", len(t.ring), t.n)
	for i := t.n - len(t.ring); i < t.n; i++ {
		e := t.ring[i%traceMax]
		fmt.Fprintf(w, "%12.6f: %s\n", e.At.Sub(t.began).Seconds(), describe(e))
	}
}

// sent names what went.
func sent(k server.ActionKind) string {
	return map[server.ActionKind]string{
		server.ActSend: "reply", server.ActBlocks: "BLOCK", server.ActParity: "PARITY", server.ActManifest: "MANIFEST",
	}[k]
}

func describe(e server.TraceEntry) string {
	what := "sent " + sent(e.Action)
	if e.Peer.IsValid() {
		what = fmt.Sprintf("%v from %v", e.Kind, e.Peer)
	}
	if e.Count == 0 {
		return what
	}
	return fmt.Sprintf("%s: chunk %d, block %d, %d blocks", what, e.Chunk, e.First, e.Count)
}
