package noderun

import (
	"strconv"
	"strings"
	"time"
)

// Intervals are the times between a watchdog's reports; 0 is never (page tmcd,
// watchdoginfo).
type Intervals struct {
	Ask      time.Duration // watchdoginfo itself
	IsAlive  time.Duration
	RUsage   time.Duration
	NTPDrift time.Duration
	HostKeys time.Duration
	// RootPassword is SETROOTPSWD.
	RootPassword time.Duration
	// Jitter is within what time after their start nodes begin, so that a
	// site that is switched on does not speak in chorus. 0 if not given.
	Jitter time.Duration
}

const (
	// intervalSecsMax is more than the 694 days that sites write for never.
	intervalSecsMax = 10 * 365 * 86400
	watchdogWords   = 32
)

// ParseIntervals reads the reply of watchdoginfo: words KEY=seconds, of which
// it takes those it knows; zero, negative and unreadable ones are 0.
func ParseIntervals(reply string) (in Intervals) {
	line, _, _ := strings.Cut(reply, "\n")
	fields := strings.Fields(line)
	for _, field := range fields[:min(len(fields), watchdogWords)] {
		key, text, _ := strings.Cut(field, "=")
		secs, err := strconv.ParseInt(text, 10, 64)
		if err != nil || secs <= 0 {
			continue
		}
		every := time.Duration(min(secs, intervalSecsMax)) * time.Second
		switch key {
		case "INTERVAL":
			in.Ask = every
		case "ISALIVE":
			in.IsAlive = every
		case "RUSAGE":
			in.RUsage = every
		case "NTPDRIFT":
			in.NTPDrift = every
		case "HOSTKEYS":
			in.HostKeys = every
		case "SETROOTPSWD":
			in.RootPassword = every
		case "JITTER":
			in.Jitter = every
		}
	}
	return in
}

// updateCount reads "UPDATE=n": isalive says 0 or 1, rusage how often accounts
// have changed.
func updateCount(reply string) int {
	line, _, _ := strings.Cut(reply, "\n")
	text, ok := strings.CutPrefix(line, "UPDATE=")
	n, err := strconv.Atoi(text)
	if !ok || err != nil {
		return 0
	}
	return n
}
