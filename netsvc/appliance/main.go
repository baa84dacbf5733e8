package appliance

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Main is the daemon: it runs until SIGINT or SIGTERM. Exit status 0 is a clean
// stop, 1 a failure, 3 wrong usage.
func Main(args []string, errs io.Writer) int {
	fs := flag.NewFlagSet("hyzerd", flag.ContinueOnError)
	fs.SetOutput(errs)
	path := fs.String("config", "/etc/hyzer/hyzerd.yaml", "configuration `file`")
	version := fs.Bool("version", false, "print the version")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return 3
	}
	if *version {
		fmt.Fprintln(errs, "hyzerd", Version)
		return 0
	}
	cfg, err := ReadConfig(*path)
	if err != nil {
		fmt.Fprintln(errs, "hyzerd:", err)
		return 1
	}
	log, err := newLog(cfg.Log, errs)
	if err != nil {
		fmt.Fprintln(errs, "hyzerd:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	appliance, err := New(ctx, cfg, log)
	if err == nil {
		err = appliance.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(errs, "hyzerd:", err)
		return 1
	}
	return 0
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
