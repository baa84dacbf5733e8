package noderun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

const (
	// reportTries is how often an exchange is tried; before try n the node
	// waits 1<<(n-1) seconds (page tmcd, section 6).
	reportTries = 4
	// reportWithin bounds all tries of one report together.
	reportWithin = 30 * time.Second
	// unsentSuffix marks a log that is to be sent by the next run.
	unsentSuffix = ".unsent"
)

// reporter tells the appliance what happened.
type reporter struct {
	boss  Boss
	vnode string
	notes io.Writer // what could not be told
}

// tell makes one exchange, and tries again for a while.
func (r *reporter) tell(ctx context.Context, file string, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	call := Call{VNode: r.vnode, Words: words, File: file}
	for try := 0; ; try++ {
		_, err := r.boss.Ask(ctx, call)
		if err == nil {
			return nil
		}
		if try == reportTries-1 || pause(ctx, backOff(try)) != nil {
			fmt.Fprintf(r.notes, "could not report: %v\n", err)
			return err
		}
	}
}

// states reports states in this order. If one cannot be reported the others
// are not tried: the appliance is not there.
func (r *reporter) states(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := r.tell(ctx, "", "state", name); err != nil {
			return err
		}
	}
	return nil
}

// failure is what is told of a run that failed; "" and false leave parts out.
type failure struct {
	log    string // file
	errno  bool
	status int
	state  string
}

// failed tells it in the order of rc.bootsetup (page tmcd, section 5). Each
// part is tried whatever became of the others. logErr is that of the log.
func (r *reporter) failed(ctx context.Context, f failure) (logErr error) {
	if f.log != "" {
		logErr = r.tell(ctx, f.log, "bootlog")
	}
	if f.errno {
		_ = r.tell(ctx, "", "booterrno", strconv.Itoa(f.status))
	}
	if f.state != "" {
		_ = r.states(ctx, []string{f.state})
	}
	return logErr
}

// keep makes a log outlive the next run's own, to be sent then.
func keep(log string) error {
	unsent := log + unsentSuffix
	if err := os.Remove(unsent); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Link(log, unsent)
}

// sendKept sends the log that an earlier run left. Its number and state are not
// sent: they would be taken for this run's. A log that fails again stays.
func (r *reporter) sendKept(ctx context.Context, log string) {
	unsent := log + unsentSuffix
	if info, err := os.Lstat(unsent); err != nil || !info.Mode().IsRegular() {
		return
	}
	if _, err := r.boss.Ask(ctx, Call{VNode: r.vnode, Words: []string{"bootlog"}, File: unsent}); err != nil {
		fmt.Fprintf(r.notes, "log of an earlier run not sent, it stays in %s: %v\n", unsent, err)
		return
	}
	fmt.Fprintf(r.notes, "sent the log of an earlier run\n")
	_ = os.Remove(unsent)
}

func backOff(try int) time.Duration { return time.Second << try }

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
