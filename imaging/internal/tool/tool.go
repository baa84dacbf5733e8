// Package tool is what the imaging programs have in common: how a command line
// becomes an exit status, how it shows progress, and how much of a machine it
// takes. The Main functions of imaging's packages
// and their pipelines call it.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"hyzer/imaging/cli"
)

const (
	// WorkersMax bounds the memory of pipelines on a machine of many cores:
	// what each worker holds, less than 10 MB, is counted with it.
	WorkersMax = 12
	// garbageBytesMax is the memory from which on the collector works harder,
	// so that a program stays below 256 MiB.
	garbageBytesMax = 192 << 20
)

// Main runs the program of a name: parse reads its command line, and run does
// what that says and returns the exit status. done is true if there is nothing
// to run. An interrupt ends ctx, and another
// one the program.
func Main(name, usage string, stderr io.Writer, parse func() (done bool, err error), run func(ctx context.Context) (int, error)) int {
	done, err := parse()
	if err != nil {
		cli.PrintUsage(stderr, name, usage, err)
		return 1
	}
	if done {
		return 0
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // nobody set another
		debug.SetMemoryLimit(garbageBytesMax)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second one kills
	code, err := run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
	}
	return code
}

// Status is the exit status of most programs.
func Status(err error) (int, error) {
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// Workers is how many goroutines work at once, if n are asked for; 0 is one for
// each core.
func Workers(n int) int {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return min(n, WorkersMax)
}

// Apart fails if the file out is one of those that are read.
func Apart(out string, in ...string) error {
	o, err := os.Stat(out)
	for _, path := range in {
		if err != nil {
			break // there is none yet
		}
		if i, err := os.Stat(path); err == nil && os.SameFile(i, o) {
			return fmt.Errorf("%s: is %s, which is read; give another name", out, path)
		}
	}
	return nil
}
