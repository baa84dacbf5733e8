package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestJoinFlood: who joins under ever new names does not fill the log.
func TestJoinFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		told := 0
		s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)), cfg: Config{OnEvent: func(Event) { told++ }}}
		join := func(times int) (lines int) {
			log.Reset()
			for id := range times {
				s.tell(Event{Kind: ClientJoined, ID: uint32(id)})
			}
			return strings.Count(log.String(), "client joined")
		}
		if n := join(clientsMax); n != clientsMax {
			t.Errorf("%d lines of as many clients as there may be", n)
		}
		if n := join(10 * saidLinesMax); n != saidLinesMax-clientsMax {
			t.Errorf("then %d lines", n)
		}
		time.Sleep(saidPeriod)
		if n := join(1); n != 1 || !strings.Contains(log.String(), "joins_and_leaves=19456") {
			t.Errorf("a minute later %d lines: %s", n, log.String())
		}
		if told != clientsMax+10*saidLinesMax+1 {
			t.Errorf("told of %d events", told)
		}
	})
}
