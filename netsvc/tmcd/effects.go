package tmcd

import (
	"context"
	"io"
	"time"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// Effect is a change that a request asks for. The reply is held back until it
// is durable.
type Effect interface {
	apply(ctx context.Context, to Effects) error
}

// Effects executes them. Each method returns when the change is durable.
type Effects interface {
	// Report records states that a node has reached, in this order.
	Report(ctx context.Context, node, source string, states ...string) error
	// Expect announces a report of what a node is told (see States).
	Expect(node, source string) (record recordAnswer)
	// Reset is a node's word that what it was told to boot once is done.
	Reset(ctx context.Context, node string) error
	BootErrno(ctx context.Context, node string, errno int) error
	// BootLog stores a log until text ends. What it has read is stored even
	// if text fails.
	BootLog(ctx context.Context, node string, text io.Reader) error
	StartStatus(ctx context.Context, node string, status int) error
	Ready(ctx context.Context, node string) error
	// Alive records that the node was heard from.
	Alive(ctx context.Context, node string) error
	// AccountsFetched counts down the node's update counter.
	AccountsFetched(ctx context.Context, node string) error
	HostReport(ctx context.Context, report HostReport) error
	UsageReport(ctx context.Context, report UsageReport) error
	BatteryReport(ctx context.Context, report BatteryReport) error
	RegisterPort(ctx context.Context, port PortRegistration) error
	// RootPassword keeps a new password. It fails if the node has another by
	// now: the reply holds the hash of this one.
	RootPassword(ctx context.Context, password RootPassword) error
	ConsoleAt(ctx context.Context, console ConsoleReport) error
}

// sourceName is the source of states in the log.
const sourceName = "tmcd"

// The effects, by command.
type (
	StateReport struct { // state, loadinfo
		Node   string
		States []string
	}
	// BootReport is what a node is about to do that was told what to boot,
	// and the revision of the records that it was told from.
	BootReport struct { // bootwhat
		Node   string
		States []string
		Asked  kv.Revision
	}
	ResetRequest struct{ Node string } // reset
	BootErrno    struct {              // booterrno
		Node  string
		Errno int
	}
	BootLog struct { // bootlog
		Node string
		Text io.Reader
	}
	StartStatus struct { // startstatus, startstat
		Node   string
		Status int
	}
	Ready           struct{ Node string } // ready
	Alive           struct{ Node string } // isalive
	AccountsFetched struct {              // accounts
		Node  string
		Count int // before
	}
	HostReport struct { // hostinfo, hostkeys, ntpdrift, ipodinfo, sfshostid, loadinfo, hwcollect
		Node string
		// Empty ones are not changed.
		CDVersion, NTPDrift, IPODHash, SFSHostID string
		SSHKeys                                  map[string]string // by the command's names
		Trimmed, Collected                       time.Time         // when the node was last told to
	}
	RootPassword  struct{ Node, Password string } // rootpswd
	ConsoleReport struct {                        // tiplineinfo
		Node    string
		Console registry.Console
	}
	UsageReport struct { // rusage
		Node     string
		Load     [3]float64 // 1, 5, 15 minutes
		DiskUsed float64
	}
	BatteryReport struct { // battery
		Node           string
		Percent, Volts float64
	}
	PortRegistration struct { // portregister
		Node, Experiment, Service string
		Port                      int // 0: no more
	}
)

func (e StateReport) apply(ctx context.Context, to Effects) error {
	return to.Report(ctx, e.Node, sourceName, e.States...)
}

func (e BootReport) apply(ctx context.Context, to Effects) error {
	_, err := to.Expect(e.Node, sourceName)(ctx, e.Asked, e.States...)
	return err
}

func (e ResetRequest) apply(ctx context.Context, to Effects) error { return to.Reset(ctx, e.Node) }

func (e BootErrno) apply(ctx context.Context, to Effects) error {
	return to.BootErrno(ctx, e.Node, e.Errno)
}

func (e BootLog) apply(ctx context.Context, to Effects) error {
	return to.BootLog(ctx, e.Node, e.Text)
}

func (e StartStatus) apply(ctx context.Context, to Effects) error {
	return to.StartStatus(ctx, e.Node, e.Status)
}

func (e Ready) apply(ctx context.Context, to Effects) error { return to.Ready(ctx, e.Node) }
func (e Alive) apply(ctx context.Context, to Effects) error { return to.Alive(ctx, e.Node) }

func (e AccountsFetched) apply(ctx context.Context, to Effects) error {
	return to.AccountsFetched(ctx, e.Node)
}

func (e HostReport) apply(ctx context.Context, to Effects) error    { return to.HostReport(ctx, e) }
func (e UsageReport) apply(ctx context.Context, to Effects) error   { return to.UsageReport(ctx, e) }
func (e BatteryReport) apply(ctx context.Context, to Effects) error { return to.BatteryReport(ctx, e) }

func (e RootPassword) apply(ctx context.Context, to Effects) error  { return to.RootPassword(ctx, e) }
func (e ConsoleReport) apply(ctx context.Context, to Effects) error { return to.ConsoleAt(ctx, e) }

func (e PortRegistration) apply(ctx context.Context, to Effects) error {
	return to.RegisterPort(ctx, e)
}
