// Command hyzer is the operator's hand on an appliance: one file for each verb.
//
// Exit status: 0 done, 1 failed (for wait and load: some nodes failed), 2 some
// nodes timed out, 3 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"

	"hyzer/netsvc/control"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailed  = 1
	exitTimeout = 2
	exitUsage   = 3
)

// verb is one command.
type verb struct {
	args  string // how its arguments are written
	about string
	run   func(*env, []string) error
}

func verbs() map[string]verb {
	return map[string]verb{
		"status":  {"", "show the appliance and its services", status},
		"node":    {"list | show NODE | add NODE ... | delete NODE", "show and change nodes", node},
		"image":   {"list | add PROJECT/NAME --file F --os PROJECT/NAME", "show and register disk images", image},
		"load":    {"PROJECT/NAME NODE... | list | show ID | follow ID | cancel ID", "put images on nodes", load},
		"os":      {"PROJECT/NAME NODE...", "choose what nodes boot", selectOS},
		"reboot":  {"NODE...", "reboot nodes", reboot},
		"power":   {"on|off|cycle NODE...", "switch power", power},
		"wait":    {"STATE[,STATE...] [> STATE...] NODE...", "wait until nodes reach states", waitVerb},
		"log":     {"NODE", "show a node's states, or its boot log with --boot", showLog},
		"watch":   {"", "follow all nodes as they change", watch},
		"explain": {"MAC|IP|NODE", "say what each service would answer, and why", explain},
		"import":  {"FILE", "apply a site file", importSite},
		"export":  {"", "write the site as a site file", exportSite},
		"backup":  {"FOLDER", "copy the store to a new folder of the appliance", backup},
	}
}

// env is what a verb works with.
type env struct {
	ctx    context.Context
	client *control.Client
	json   bool
	in     io.Reader
	out    io.Writer
	errs   io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	v, ok := verbs()[name]
	if !ok {
		usage(errs)
		if name == "help" || name == "-h" || name == "--help" {
			return exitOK
		}
		return exitUsage
	}
	e := &env{ctx: ctx, in: in, out: out, errs: errs}
	err := v.run(e, args[1:])
	var status exitStatus
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, errUsage):
		fmt.Fprintf(errs, "hyzer %s: %v\nusage: hyzer %s %s\n", name, err, name, v.args)
		return exitUsage
	}
	fmt.Fprintf(errs, "hyzer %s: %v\n", name, err)
	return exitFailed
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: hyzer VERB [--control ADDRESS] [--json] ...")
	all := verbs()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(w, "  %-8s %s\n           hyzer %s %s\n", name, all[name].about, name, all[name].args)
	}
	fmt.Fprintln(w, "The appliance is reached at --control, $HYZER_CONTROL or "+control.DefaultSocket+".")
}

// exitStatus is an error that has been shown already.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

var errUsage = errors.New("wrong usage")

func badUsage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// flags makes the flag set of a verb with the flags that all have.
func (e *env) flags(name string) (*flag.FlagSet, *string) {
	fs := flag.NewFlagSet("hyzer "+name, flag.ContinueOnError)
	fs.SetOutput(e.errs)
	fs.BoolVar(&e.json, "json", false, "print JSON")
	address := os.Getenv("HYZER_CONTROL")
	if address == "" {
		address = control.DefaultSocket
	}
	return fs, fs.String("control", address, "the appliance's control `address`")
}

// parse reads flags wherever they stand and returns the other arguments.
func (e *env) parse(fs *flag.FlagSet, address *string, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, badUsage("%v", err)
		}
		args = fs.Args()
		if len(args) == 0 {
			break
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
	e.client = control.Dial(*address)
	return rest, nil
}

// simple parses the arguments of a verb without flags of its own.
func (e *env) simple(name string, args []string) ([]string, error) {
	fs, address := e.flags(name)
	return e.parse(fs, address, args)
}

func (e *env) printf(format string, args ...any) { fmt.Fprintf(e.out, format, args...) }

// list splits comma lists among arguments.
func list(args []string) []string {
	var out []string
	for _, a := range args {
		for _, name := range strings.Split(a, ",") {
			if name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}
