package noderun

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/journal"
)

const (
	// statusUsage is the exit status of a command line that is not understood,
	// as tmcc's.
	statusUsage = 255
	// timeoutDefault is the deadline of the state TBSETUP in all modes (page
	// states): a script that runs longer has been given up anyway.
	timeoutDefault = 10 * time.Minute
	logsDefault    = "/var/emulab/logs"
)

type logPolicy int

const (
	logNever logPolicy = iota
	logOnFailure
	logAlways
)

// course is what is told of a run, and when.
type course struct {
	name   string   // of the log file
	vnode  string   // in whose name it is told
	begin  []string // states before the first program
	done   []string // states after success
	failed string   // state after failure, "" for none
	errno  bool     // tell the exit status of a failure
	log    logPolicy
	stream bool // send the log while it grows, whatever log says
	goOn   bool // run the other programs after a failure
}

// task is one program to run.
type task struct {
	path string
	args []string
}

func (t task) String() string { return strings.Join(append([]string{t.path}, t.args...), " ") }

// settings are what the command lines of all runners have in common.
type settings struct {
	boss    Boss
	server  string
	proxy   string
	logs    string
	timeout time.Duration
	grace   time.Duration
	signals <-chan os.Signal
	env     []string
	console io.Writer
}

// newSettings adds the common options to flags.
func newSettings(flags *flag.FlagSet, console io.Writer) *settings {
	s := &settings{console: console, grace: killAfter}
	flags.StringVar(&s.server, "s", "", "the appliance, `name[:port]`; else as tmcc finds it")
	flags.StringVar(&s.proxy, "l", "", "`path` of the socket of the host's tmcc proxy")
	flags.StringVar(&s.logs, "o", logsDefault, "`folder` of the log")
	flags.DurationVar(&s.timeout, "t", timeoutDefault, "`time` for each program, 0 for no end")
	return s
}

// newFlags is a command line; synopsis follows "usage: ".
func newFlags(synopsis string, stderr io.Writer) *flag.FlagSet {
	name, _, _ := strings.Cut(synopsis, " ")
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: %s\n", synopsis)
		flags.PrintDefaults()
	}
	return flags
}

// connect makes the parts that only a real run has.
func (s *settings) connect(env func(string) string) (stop func()) {
	if s.boss == nil {
		s.boss = newClient(env, s.server, s.proxy)
	}
	if s.signals != nil {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	s.signals = signals
	release := outliveConsole()
	return func() {
		signal.Stop(signals)
		release()
	}
}

// outliveConsole makes writing to a console that is gone an error and not the
// end of the process. Ignoring the signal would do so for all scripts too.
func outliveConsole() (release func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, unix.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// follow runs tasks and tells the appliance. It returns the first failure's
// status.
func (s *settings) follow(ctx context.Context, c course, tasks []task) int {
	j, err := journal.New(filepath.Join(s.logs, c.name+".log"))
	defer j.Close()
	out := &tee{s.console, j}
	if err != nil {
		fmt.Fprintf(out, "%s: the log is in memory only: %v\n", c.name, err)
	}
	r := &reporter{boss: s.boss, vnode: c.vnode, notes: out}
	var live LogStream
	if r.states(ctx, c.begin) == nil && c.log != logNever {
		r.sendKept(ctx, j.Path())
		if live = s.stream(ctx, c); live != nil {
			j.Also(live)
		}
	}
	status := s.runAll(out, c, tasks)
	s.conclude(ctx, c, j, live, r, status)
	return status
}

// runAll returns the first failure's status, 0 if there is none.
func (s *settings) runAll(out io.Writer, c course, tasks []task) (status int) {
	p := &programs{out: out, env: s.env, signals: s.signals, timeout: s.timeout, grace: s.grace}
	defer p.close()
	for _, t := range tasks {
		fmt.Fprintf(out, "%s: running %s\n", c.name, t)
		e := p.run(t.path, t.args...)
		if e.status == 0 {
			continue
		}
		fmt.Fprintf(out, "%s: %s: %s\n", c.name, t.path, e.reason)
		if status == 0 {
			status = e.status
		}
		if !c.goOn || e.signal != nil {
			return status
		}
	}
	return status
}

// conclude tells how it went. The log is complete before its end is sent: what
// goes wrong here is for the console. A log that went while it grew is not sent
// again.
func (s *settings) conclude(ctx context.Context, c course, j *journal.Journal, live LogStream, r *reporter, status int) {
	fmt.Fprintf(r.notes, "%s: ends with status %d\n", c.name, status)
	log, onDisk, err := j.Seal()
	r.notes = s.console
	if err != nil {
		fmt.Fprintf(s.console, "%s: no log: %v\n", c.name, err)
		log = ""
	}
	sent := finish(ctx, live)
	if sent || c.log == logNever || c.log == logOnFailure && status == 0 {
		log = ""
	}
	if status == 0 {
		err = nil
		if log != "" {
			err = r.tell(ctx, log, "bootlog")
		}
		_ = r.states(ctx, c.done)
	} else {
		err = r.failed(ctx, failure{log: log, errno: c.errno, status: status, state: c.failed})
	}
	if err == nil || !onDisk {
		return
	}
	if err := keep(log); err != nil {
		fmt.Fprintf(s.console, "%s: the log cannot be kept for later: %v\n", c.name, err)
	}
}

// tee writes to the console and the log. A console that fails loses nothing of
// the log.
type tee struct{ console, log io.Writer }

func (t *tee) Write(p []byte) (int, error) {
	_, _ = t.console.Write(p)
	return t.log.Write(p)
}
