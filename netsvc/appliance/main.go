package appliance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses of the daemon.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 3
)

// Main is the daemon: it runs until SIGINT or SIGTERM; a second one ends it at
// once. Exit status 0 is a clean stop, 1 a failure, 3 wrong usage.
func Main(args []string, errs io.Writer) int {
	fs := flag.NewFlagSet("hyzerd", flag.ContinueOnError)
	fs.SetOutput(errs)
	path := fs.String("config", "/etc/hyzer/hyzerd.yaml", "configuration `file`")
	version := fs.Bool("version", false, "print the version")
	check := fs.Bool("check", false, "check the configuration file and end")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case fs.NArg() > 0:
		fmt.Fprintf(errs, "hyzerd: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	case *version:
		fmt.Fprintln(errs, "hyzerd", Version)
		return exitOK
	}
	if err := serve(*path, *check, errs); err != nil {
		fmt.Fprintln(errs, "hyzerd:", err)
		return exitFailed
	}
	return exitOK
}

// serve runs the appliance that a configuration file describes.
func serve(path string, checkOnly bool, errs io.Writer) error {
	cfg, err := ReadConfig(path)
	if err != nil || checkOnly {
		return err
	}
	log, err := newLog(cfg.Log, errs)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal has its usual effect
	appliance, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return appliance.Run(ctx)
}

func newLog(cfg Log, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if cfg.Level != "" {
		if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
			return nil, fmt.Errorf("log level: %w", err)
		}
	}
	options := &slog.HandlerOptions{Level: level}
	switch cfg.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format %q: want text or json", cfg.Format)
}
