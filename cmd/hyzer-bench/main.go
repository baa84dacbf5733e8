// Command hyzer-bench runs the appliance against virtual nodes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"hyzer/bench/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "demo" {
		os.Exit(demo.Main(ctx, os.Args[2:], os.Stdout))
	}
	fmt.Fprintln(os.Stderr, "usage: hyzer-bench demo [flags]")
	os.Exit(3)
}
