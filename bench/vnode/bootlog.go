package vnode

import (
	"fmt"
	"strings"
	"time"
)

// bootLogBytesMax is what tmcc can send of a boot log (page tmcd, section 5).
const bootLogBytesMax = 32 << 10

// bootLog is the console of the present program, which goes to the server when
// it fails.
type bootLog struct {
	text strings.Builder
}

func (l *bootLog) start(what string) {
	l.text.Reset()
	l.line("%s starts", what)
}

// line writes one line; replies of several lines are indented below it.
func (l *bootLog) line(format string, args ...any) {
	if l.text.Len() < bootLogBytesMax {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n    ")
		fmt.Fprintf(&l.text, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), text)
	}
}

func (l *bootLog) bytes() []byte {
	return []byte(l.text.String())[:min(l.text.Len(), bootLogBytesMax)]
}
