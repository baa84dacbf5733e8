package imaging

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hyzer/imaging/delta"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// options of a run.
type options struct {
	dir, from string
	mb        int64
	rounds    int
	keep      bool
	c         string   // folder of the old C programs; empty: they are in PATH
	self      []string // how to run our programs
}

// Main runs the comparison and prints its table to stdout; the exit status is
// not 0 if one of our programs failed. With "tool" as the first argument it is
// the imaging program that the second one names.
func Main(ctx context.Context, args []string, stdout io.Writer) int {
	if len(args) > 1 && args[0] == "tool" {
		return tool(args[1], args[2:])
	}
	self, err := os.Executable()
	o := options{self: []string{self, "imaging", "tool"}}
	fs := flag.NewFlagSet("hyzer-bench imaging", flag.ContinueOnError)
	fs.StringVar(&o.dir, "dir", "bench-imaging", "`folder` for disks and results")
	fs.StringVar(&o.from, "from", "/usr", "`folder` of real files")
	fs.Int64Var(&o.mb, "mb", 400, "`MB` of files on the disk")
	fs.IntVar(&o.rounds, "rounds", 2, "`times` every program runs")
	fs.StringVar(&o.c, "c", os.Getenv("HYZER_C_IMAGING"), "`folder` of the old C programs, also $HYZER_C_IMAGING; else they are looked for in PATH")
	fs.BoolVar(&o.keep, "keep", false, "leave disks and images behind")
	if perr := fs.Parse(args); perr != nil {
		return 3
	}
	if o.mb < 1 || o.rounds < 1 || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: hyzer-bench imaging [flags]; -mb and -rounds must be at least 1")
		return 3
	}
	if err == nil {
		err = o.run(ctx, stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hyzer-bench imaging: %v\n", err)
		return 1
	}
	return 0
}

// tool runs one of our programs.
func tool(name string, args []string) int {
	tools := map[string]func([]string, io.Reader, io.Writer, io.Writer) int{
		"imagezip": zip.Main, "imageunzip": unzip.Main, "imagehash": sig.Main, "imagedelta": delta.Main, "imagedump": ndz.Main,
	}
	run := tools[name]
	if run == nil {
		fmt.Fprintf(os.Stderr, "hyzer-bench imaging: no program %q\n", name)
		return 3
	}
	return run(args, os.Stdin, os.Stdout, os.Stderr)
}

func (o options) run(ctx context.Context, stdout io.Writer) error {
	work := filepath.Join(o.dir, "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	if !o.keep {
		defer os.RemoveAll(work)
	}
	fmt.Fprintf(stdout, "making disks of %d MB from %s\n", o.mb, o.from)
	data, err := makeDisks(ctx, work, o.from, o.mb*1e6)
	if err != nil {
		return err
	}
	// All find the disks in memory, and nobody waits for what was written before.
	unix.Sync()
	if err := warm(filepath.Join(work, "a.img"), filepath.Join(work, "b.img")); err != nil {
		return err
	}
	peers := list(o.self, o.c)
	for round := range o.rounds {
		fmt.Fprintf(stdout, "round %d of %d\n", round+1, o.rounds)
		for _, p := range peers {
			if err := p.measure(ctx, work); err != nil {
				return err
			}
		}
	}
	report := table(peers, data)
	if _, err := io.WriteString(stdout, report); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(o.dir, "imaging.txt"), []byte(report), 0o644),
		os.WriteFile(filepath.Join(o.dir, "imaging.svg"), bars(peers), 0o644),
		oursFailed(peers))
}

// warm reads files, so that they are in memory.
func warm(paths ...string) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(struct{ io.Writer }{io.Discard}, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
