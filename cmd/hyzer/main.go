// Command hyzer is the operator's hand on an appliance: one file for each verb.
//
// Exit status: 0 done, 1 failed (for wait and load: some nodes failed), 2 some
// nodes timed out (image diff: the images differ), 3 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
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
		"status":       {"", "show the appliance and its services", status},
		"node":         {"list | show NODE | add NODE ... | delete NODE", "show and change nodes", node},
		"image":        {"list | add | grant | grants | revoke | make | restore | info | verify | ls | cat | diff | delta | rebase | convert ...", "register images and let nodes upload them; make, restore, read and compare image files", image},
		"load":         {"PROJECT/NAME NODE... | list | show ID | follow ID | cancel ID", "put images on nodes", load},
		"os":           {"PROJECT/NAME NODE...", "choose what nodes boot", selectOS},
		"reboot":       {"NODE...", "reboot nodes", reboot},
		"bootinfosend": {"[-q|-r|-R] NODE...", "tell boot loaders that wait to ask again (-q), reboot (-r), start anew (-R), or what to boot", bootinfosend},
		"power":        {"on|off|cycle NODE...", "switch power", power},
		"wait":         {"STATE[,STATE...] [> STATE...] NODE...", "wait until nodes reach states", waitVerb},
		"log":          {"NODE", "show a node's states, or its boot log with --boot", showLog},
		"watch":        {"", "follow all nodes as they change", watch},
		"doctor":       {"multicast --interface ADDRESS [--node ADDRESS]", "find out why images do not reach nodes, on the appliance", doctorVerb},
		"explain":      {"MAC|IP|NODE", "say what each service would answer, and why", explain},
		"import":       {"FILE | emulab FILE...", "apply a site file, or an Emulab database", importSite},
		"export":       {"", "write the site as a site file", exportSite},
		"backup":       {"FOLDER", "copy the store to a new folder of the appliance", backup},
	}
}

// env is what a verb works with.
type env struct {
	ctx    context.Context
	client *control.Client
	getenv func(string) string
	json   bool
	in     io.Reader
	out    io.Writer
	errs   io.Writer
	verb   verb   // that runs,
	name   string // and what it is called
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, arguments(os.Args), os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// arguments are those after the program's name, which is the verb itself where
// scripts call a link with the old program's name.
func arguments(argv []string) []string {
	if filepath.Base(argv[0]) == "bootinfosend" {
		return slices.Concat([]string{"bootinfosend"}, argv[1:])
	}
	return argv[1:]
}

// run runs a command line with what getenv says of USER and HYZER_CONTROL.
func run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, errs io.Writer) int {
	name, args := splitVerb(args)
	v, ok := verbs()[name]
	if !ok {
		return noVerb(name, args, out, errs)
	}
	e := &env{ctx: ctx, getenv: getenv, in: in, out: out, errs: errs, verb: v, name: name}
	err := v.run(e, args)
	var status exitStatus
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, errUsage):
		fmt.Fprintf(errs, "hyzer %s: %v\nusage: %s\n", name, err, v.usage(name))
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(errs, "hyzer %s: interrupted\n", name)
		return exitFailed
	}
	fmt.Fprintf(errs, "hyzer %s: %s\n", name, strings.TrimPrefix(err.Error(), name+": "))
	return exitFailed
}

func (v verb) usage(name string) string { return strings.TrimSpace("hyzer " + name + " " + v.args) }

// noVerb helps, or says what is wrong.
func noVerb(name string, args []string, out, errs io.Writer) int {
	if name == "help" || slices.Contains(args, "-h") || slices.Contains(args, "--help") || slices.Contains(args, "-help") {
		usage(out)
		return exitOK
	}
	if name != "" {
		fmt.Fprintf(errs, "hyzer: there is no verb %q\n", name)
	}
	usage(errs)
	return exitUsage
}

// splitVerb finds the first word that is no flag, and returns it and the rest:
// the flags that all verbs have may stand before it.
func splitVerb(args []string) (verb string, rest []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--control" || a == "-control":
			i++ // its value follows
		case !strings.HasPrefix(a, "-"):
			return a, slices.Concat(args[:i], args[i+1:])
		}
	}
	return "", args
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: hyzer VERB [--control ADDRESS] [--json] ...")
	all := verbs()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(w, "  %-12s  %s\n                %s\n", name, all[name].about, all[name].usage(name))
	}
	fmt.Fprintln(w, "Flags of a verb: hyzer VERB --help. All verbs know --json.")
	fmt.Fprintln(w, "The appliance is reached at --control, $HYZER_CONTROL or "+control.DefaultSocket+".")
	fmt.Fprintln(w, "Exit status: 0 done, 1 failed, 2 nodes timed out or images differ, 3 wrong usage.")
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
	fs.SetOutput(io.Discard) // run says what is wrong, once
	fs.BoolVar(&e.json, "json", false, "print JSON")
	address := e.getenv("HYZER_CONTROL")
	if address == "" {
		address = control.DefaultSocket
	}
	return fs, fs.String("control", address, "the appliance's control `address`")
}

// parse reads flags wherever they stand and returns the other arguments. What
// follows "--" is no flag.
func (e *env) parse(fs *flag.FlagSet, address *string, args []string) ([]string, error) {
	var rest []string
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(e.out)
			fmt.Fprintf(e.out, "usage: %s\n%s\n", e.verb.usage(e.name), e.verb.about)
			fs.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, badUsage("%v", err)
		}
		left := fs.Args()
		if used := len(args) - len(left); used > 0 && args[used-1] == "--" {
			rest = append(rest, left...)
			break
		}
		if args = left; len(args) == 0 {
			break
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
	e.client = control.Dial(*address)
	return rest, nil
}

// simple parses the arguments of a verb without flags of its own, which wants
// between least and most arguments (-1: any number).
func (e *env) simple(name string, args []string, least, most int, want string) ([]string, error) {
	fs, address := e.flags(name)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return nil, err
	}
	if len(rest) < least || most >= 0 && len(rest) > most {
		return nil, badUsage("want %s", want)
	}
	return rest, nil
}

// bare parses the arguments of a verb that has none.
func (e *env) bare(name string, args []string) error {
	_, err := e.simple(name, args, 0, 0, "no arguments")
	return err
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
