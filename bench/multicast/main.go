package multicast

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limits of the flags.
const (
	clientsMax = 200
	mbMax      = 10_000
)

// options of a comparison.
type options struct {
	dir, work, c string
	clients      []int
	losses       []float64 // shares
	only         []string  // peers; empty: all
	mb, totalMB  int64     // size of the image, and most of all copies, in MiB
	mbit         int
	rounds       int
	limit        time.Duration
	verbose      io.Writer // what servers said; nil: nowhere
	self         []string  // how to run our programs
}

// Main runs the comparison and prints its table to stdout; the exit status is
// not 0 if one of our programs failed. With "tool" as the first argument it is
// the program that the second one names.
func Main(ctx context.Context, args []string, stdout io.Writer) int {
	if len(args) > 1 && args[0] == "tool" {
		return tool(ctx, args[1], args[2:])
	}
	self, err := os.Executable()
	o := options{self: []string{self, "multicast", "tool"}}
	if ferr := o.parse(args); ferr != nil {
		return 3
	}
	if err == nil {
		err = o.run(ctx, stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "hyzer-bench multicast: %v\n", err)
		return 1
	}
	return 0
}

func (o *options) parse(args []string) error {
	fs := flag.NewFlagSet("hyzer-bench multicast", flag.ContinueOnError)
	o.clients, o.losses = []int{1, 4, 16, 32}, []float64{0, 0.01, 0.05}
	fs.StringVar(&o.dir, "dir", "bench-multicast", "`folder` for the results")
	fs.StringVar(&o.work, "work", workFolder(), "`folder` for image and copies, best in memory")
	fs.StringVar(&o.c, "c", os.Getenv("HYZER_OLD_FRISBEE"), "`folder` of the C programs frisbee and frisbeed, also $HYZER_OLD_FRISBEE")
	fs.Int64Var(&o.mb, "mb", 256, "`MiB` of the image")
	fs.Int64Var(&o.totalMB, "total", 2048, "most `MiB` of all copies: with many receivers the image is smaller")
	fs.IntVar(&o.mbit, "mbit", 1000, "rate of the server's link in `Mbit/s`; 0: as fast as the machine goes")
	fs.IntVar(&o.rounds, "rounds", 1, "`times` every program runs")
	fs.DurationVar(&o.limit, "limit", time.Minute, "longest `time` of one run")
	fs.BoolFunc("v", "tell what the servers say", func(string) error {
		o.verbose = os.Stderr
		return nil
	})
	fs.Func("n", "`numbers` of receivers (1,4,16,32; 32 only without loss)", func(s string) error { return parseList(s, &o.clients, clientCount) })
	fs.Func("loss", "`percent` of frames lost at each port (0,1,5)", func(s string) error { return parseList(s, &o.losses, percent) })
	fs.Func("only", "`programs` to run, by parts of their names (all)", func(s string) error {
		o.only = strings.Split(s, ",")
		return nil
	})
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.mb < 1 || o.totalMB < 1 || o.mb > mbMax || o.rounds < 1 || o.mbit < 0 || fs.NArg() > 0 {
		err := fmt.Errorf("usage: hyzer-bench multicast [flags]; -mb must be 1 to %d, -total and -rounds at least 1, -mbit not negative", mbMax)
		fmt.Fprintln(os.Stderr, err)
		return err
	}
	return nil
}

// workFolder is in memory where there is such a folder: no disk shall limit
// what the network does.
func workFolder() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

func parseList[T any](s string, list *[]T, parse func(string) (T, error)) error {
	*list = nil
	for _, word := range strings.Split(s, ",") {
		v, err := parse(word)
		if err != nil {
			return err
		}
		*list = append(*list, v)
	}
	return nil
}

func clientCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > clientsMax {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", s, clientsMax)
	}
	return n, nil
}

func percent(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v > 90 {
		return 0, fmt.Errorf("%q is not a percentage from 0 to 90", s)
	}
	return v / 100, nil
}

// crowd is the number of receivers from which only runs without loss are made.
const crowd = 32

func (o *options) run(ctx context.Context, stdout io.Writer) error {
	work, err := os.MkdirTemp(o.work, "hyzer-multicast-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	peers, missing := o.installed()
	var results []result
	for _, n := range o.clients {
		rs, err := o.site(ctx, stdout, work, n, peers)
		if results = append(results, rs...); err != nil {
			return err
		}
	}
	report := table(o, results, missing)
	if _, err := io.WriteString(stdout, report); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(o.dir, "multicast.txt"), []byte(report), 0o644),
		os.WriteFile(filepath.Join(o.dir, "multicast.svg"), bars(results), 0o644),
		oursFailed(results))
}

// imageBytes is the size of the image for n receivers.
func (o *options) imageBytes(n int) int64 { return max(1, min(o.mb, o.totalMB/int64(n))) << 20 }

// site makes a network of n receivers and runs all peers on it.
func (o *options) site(ctx context.Context, stdout io.Writer, work string, n int, peers []peer) (results []result, err error) {
	nw, err := newNetwork(n, o.mbit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nw.Close()) }()
	image, bytes := filepath.Join(work, "image"), o.imageBytes(n)
	if err := makeImage(image, bytes); err != nil {
		return nil, err
	}
	for _, loss := range o.losses {
		if loss > 0 && n >= crowd {
			continue
		}
		if err := nw.lose(loss); err != nil {
			return results, err
		}
		for _, p := range peers {
			r := result{peer: p, clients: n, loss: loss, bytes: bytes}
			for range o.rounds {
				race := race{options: o, network: nw, peer: p, work: work, image: image}
				r.add(race.run(ctx))
				if ctx.Err() != nil {
					return results, ctx.Err()
				}
			}
			fmt.Fprintln(stdout, r.line())
			results = append(results, r)
		}
	}
	return results, nil
}
