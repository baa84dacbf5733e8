// Command hyzer-bench runs the appliance against virtual nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"hyzer/bench/demo"
	"hyzer/bench/imaging"
	"hyzer/bench/multicast"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Debian keeps mke2fs and its like out of the PATH of others than root.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	suites := map[string]func(context.Context, []string, *os.File) int{
		"demo":      demo.Main,
		"imaging":   func(ctx context.Context, args []string, out *os.File) int { return imaging.Main(ctx, args, out) },
		"multicast": func(ctx context.Context, args []string, out *os.File) int { return multicast.Main(ctx, args, out) },
	}
	if len(os.Args) > 1 && suites[os.Args[1]] != nil {
		os.Exit(suites[os.Args[1]](ctx, os.Args[2:], os.Stdout))
	}
	fmt.Fprintln(os.Stderr, "usage: hyzer-bench demo|imaging|multicast [flags]")
	os.Exit(3)
}
