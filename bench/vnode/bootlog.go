package vnode

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// bootLogBytesMax is what tmcc can send of a boot log (page tmcd, section 5).
const bootLogBytesMax = 32 << 10

// bootLog is the console of one boot, from the firmware on, which goes to the
// server when something fails.
type bootLog struct {
	mu   sync.Mutex
	text strings.Builder
}

// line writes one line; replies of several lines are indented below it. What
// does not fit is left out, and said so once.
func (l *bootLog) line(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	text = time.Now().UTC().Format("15:04:05.000 ") + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	l.mu.Lock()
	defer l.mu.Unlock()
	room := bootLogBytesMax - len(bootLogFull) - l.text.Len()
	switch {
	case room < 0:
	case len(text) > room:
		l.text.WriteString(text[:room] + bootLogFull)
	default:
		l.text.WriteString(text)
	}
}

// bootLogFull ends a log that got too long; a log is over its room only then.
const bootLogFull = "\n*** the log is full\n"

func (l *bootLog) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []byte(l.text.String())
}
