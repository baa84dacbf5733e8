package noderun

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmcc/framed"
)

const (
	// askDefault is when a site is asked again that has told no intervals.
	askDefault = time.Hour
	// askAgain is when an appliance is asked again that was not there at first:
	// nodes boot before it does.
	askAgain = time.Minute
	// jitterPart of an interval is what nodes' first reports are spread over if
	// the server does not say.
	jitterPart = 10
	// updateWithin bounds the command that fetches accounts.
	updateWithin = 10 * time.Minute
	// noticeSpread is within what time after a notice nodes ask: a change for
	// a whole site is told to all of them at once.
	noticeSpread = 5 * time.Second
	// watchAgain is when an appliance that offered no watch is asked for one
	// again.
	watchAgain = time.Hour
)

// Watchdog reports signs of life at the intervals that the appliance gives,
// until it is told to end, and runs a command when accounts have changed.
//
//	watchdog [options] [command [argument...]]
func Watchdog(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	flags := newFlags("watchdog [options] [command [argument...]]", stderr)
	server := flags.String("s", "", "the appliance, `name[:port]`; else as tmcc finds it")
	proxy := flags.String("l", "", "`path` of the socket of the host's tmcc proxy")
	logs := flags.String("o", logsDefault, "`folder` of the logs of boots, of which the appliance may want the newest")
	root := flags.Bool("rootpswd", false, "set root's password to the one that the appliance keeps for the node")
	if err := flags.Parse(args); err != nil {
		return statusOfFlags(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	defer outliveConsole()()
	w := &watchdog{boss: newClient(os.Getenv, *server, *proxy), notes: stdout, logs: *logs}
	if command := flags.Args(); len(command) > 0 {
		w.update = func(ctx context.Context) error { return runUpdate(ctx, command, stdout) }
	}
	if *root {
		w.setRoot = func(ctx context.Context, hash string) error { return setRootPassword(ctx, hash, stdout) }
	}
	w.run(ctx)
	return 0
}

// runUpdate fetches accounts.
func runUpdate(ctx context.Context, command []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = killAfter
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // a daemon of it holds its output
	}
	return err
}

// watchdog is one node's.
type watchdog struct {
	boss   Boss
	vitals vitals
	notes  io.Writer
	update func(context.Context) error // fetches accounts; nil if nobody does
	// setRoot sets root's password to one with this hash; nil if nobody does.
	setRoot func(ctx context.Context, hash string) error
	logs    string // folder of the logs of boots

	node  string // its name, for the jitter
	table Intervals
	jobs  []*job

	changed chan struct{} // holds a token when the appliance said that something has
	wanted  chan struct{} // the same when it wants the log

	updating chan struct{} // holds a token while update runs
	updates  sync.WaitGroup
}

// job is one report.
type job struct {
	name  string
	every time.Duration // 0: off
	next  time.Time
	do    func(context.Context) error
}

// run returns when ctx has ended and nothing it started is left.
func (w *watchdog) run(ctx context.Context) {
	w.updating, w.changed, w.wanted = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	defer w.updates.Wait()
	if watcher, ok := w.boss.(Watcher); ok {
		w.updates.Go(func() { w.watch(ctx, watcher) })
	}
	w.jobs = []*job{
		{name: "watchdoginfo", do: w.ask, every: askDefault, next: time.Now()},
		{name: "isalive", do: w.isAlive},
		{name: "rusage", do: w.rusage},
		{name: "ntpdrift", do: w.ntpDrift},
		{name: "hostkeys", do: w.hostKeys},
		{name: "rootpswd", do: w.rootPassword},
	}
	for {
		due := w.due()
		timer := time.NewTimer(time.Until(due.next))
		select {
		case <-ctx.Done():
		case <-w.changed:
			w.hasten()
		case <-w.wanted:
			w.perform(ctx, "bootlog", w.wantedLog)
		case <-timer.C:
			// Before it is done: a job may change its own times.
			due.next = time.Now().Add(due.every)
			w.perform(ctx, due.name, due.do)
		}
		if timer.Stop(); ctx.Err() != nil {
			return
		}
	}
}

// perform does one thing, and notes what is wrong with it.
func (w *watchdog) perform(ctx context.Context, name string, do func(context.Context) error) {
	if ctx.Err() != nil {
		return
	}
	if err := do(ctx); err != nil && ctx.Err() == nil {
		w.note("%s: %v", name, err)
	}
}

func (w *watchdog) note(format string, args ...any) {
	fmt.Fprintf(w.notes, "watchdog: "+format+"\n", args...)
}

// due is the job that comes next. watchdoginfo is never off.
func (w *watchdog) due() *job {
	first := w.jobs[0]
	for _, j := range w.jobs[1:] {
		if j.every > 0 && j.next.Before(first.next) {
			first = j
		}
	}
	return first
}

// hasten brings forward what asks whether something has changed: the intervals,
// and the sign of life whose answer counts changed accounts.
func (w *watchdog) hasten() {
	counts := w.jobs[1]
	if counts.every == 0 {
		counts = w.jobs[2]
	}
	soon := time.Now().Add(w.spread("notice", noticeSpread))
	for _, j := range []*job{w.jobs[0], counts} {
		if j.every > 0 && soon.Before(j.next) {
			j.next = soon
		}
	}
}

// watch has the appliance say what changes. While it cannot, the intervals
// alone say when to ask.
func (w *watchdog) watch(ctx context.Context, watcher Watcher) {
	to := framed.Notices{
		Changed:   func() { token(w.changed) },
		Ordered:   func(order uint64) { w.note("the appliance ordered a reboot (%d)", order) },
		LogWanted: func(uint64) { token(w.wanted) },
	}
	for ctx.Err() == nil {
		_ = watcher.Watch(ctx, to) // to no avail until watchAgain
		_ = pause(ctx, watchAgain)
	}
}

// token puts one into a channel that holds one.
func token(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// ask gets the intervals. A job whose interval stays keeps its phase.
func (w *watchdog) ask(ctx context.Context) error {
	reply, err := w.exchange(ctx, true, "watchdoginfo")
	if err != nil {
		if w.table == (Intervals{}) {
			w.jobs[0].next = time.Now().Add(askAgain)
		}
		return err // what is known stays
	}
	if w.node == "" {
		w.node = w.name(ctx)
	}
	in := ParseIntervals(reply)
	if in != w.table {
		w.note("%s", reply)
		w.table = in
	}
	for i, every := range []time.Duration{in.Ask, in.IsAlive, in.RUsage, in.NTPDrift, in.HostKeys, in.RootPassword} {
		w.jobs[i].set(every, w.jitter(w.jobs[i].name, every))
	}
	return nil
}

// set changes the job's interval. The first report is after the jitter. What
// asks for the intervals goes on in any case, and not more often than hourly
// unless told so.
func (j *job) set(every, jitter time.Duration) {
	asks := j.name == "watchdoginfo"
	if asks && every == 0 {
		every = askDefault
	}
	switch {
	case every == j.every:
		return
	case asks:
		j.next = time.Now().Add(every)
	default:
		j.next = time.Now().Add(jitter)
	}
	j.every = every
}

// jitter spreads nodes over a part of the interval, each always at the same
// place.
func (w *watchdog) jitter(job string, every time.Duration) time.Duration {
	if w.table.Jitter > 0 {
		return w.spread(job, min(w.table.Jitter, every))
	}
	return w.spread(job, every/jitterPart)
}

// spread is the node's place within a time.
func (w *watchdog) spread(job string, within time.Duration) time.Duration {
	if within <= 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s", w.node, job)
	return time.Duration(h.Sum64() % uint64(within))
}

// name is the node's name at the appliance, or the system's.
func (w *watchdog) name(ctx context.Context) string {
	reply, err := w.boss.Ask(ctx, Call{Words: []string{"nodeid"}})
	if id := strings.TrimSpace(reply); err == nil && id != "" {
		return id
	}
	host, _ := os.Hostname()
	return host
}

// exchange asks over UDP first if the reply is never empty, and over TCP on
// the last try (page tmcd, section 6).
func (w *watchdog) exchange(ctx context.Context, udp bool, words ...string) (string, error) {
	return w.retried(ctx, Call{Words: words, UDP: udp})
}

func (w *watchdog) retried(ctx context.Context, c Call) (string, error) {
	for try := 0; ; try++ {
		last := try == reportTries-1
		c.UDP = c.UDP && !last
		reply, err := w.boss.Ask(ctx, c)
		if err == nil || last {
			return reply, err
		}
		if err := pause(ctx, backOff(try)); err != nil {
			return "", err
		}
	}
}

func (w *watchdog) isAlive(ctx context.Context) error {
	reply, err := w.exchange(ctx, true, "isalive")
	w.updated(ctx, reply)
	return err
}

func (w *watchdog) rusage(ctx context.Context) error {
	args, err := w.vitals.rusage()
	if err != nil {
		return err
	}
	reply, err := w.exchange(ctx, true, append([]string{"rusage"}, args...)...)
	w.updated(ctx, reply)
	return err
}

func (w *watchdog) ntpDrift(ctx context.Context) error {
	return w.send(ctx, "ntpdrift", w.vitals.drift())
}
func (w *watchdog) hostKeys(ctx context.Context) error {
	for _, keys := range w.vitals.hostKeys() {
		if err := w.send(ctx, "hostkeys", []string{keys}); err != nil {
			return err
		}
	}
	return nil
}

// send reports what has no reply: over UDP its arrival would never be known.
func (w *watchdog) send(ctx context.Context, command string, args []string) error {
	if len(args) == 0 {
		return nil // the node has none
	}
	_, err := w.exchange(ctx, false, append([]string{command}, args...)...)
	return err
}

// updated fetches accounts if the reply says that they have changed. Signs of
// life go on meanwhile; it runs once at a time.
func (w *watchdog) updated(ctx context.Context, reply string) {
	if w.update == nil || updateCount(reply) <= 0 {
		return
	}
	select {
	case w.updating <- struct{}{}:
	default:
		return
	}
	w.updates.Go(func() {
		defer func() { <-w.updating }()
		ctx, cancel := context.WithTimeout(ctx, updateWithin)
		defer cancel()
		if err := w.update(ctx); err != nil && ctx.Err() == nil {
			w.note("fetching accounts: %v", err)
		}
	})
}
