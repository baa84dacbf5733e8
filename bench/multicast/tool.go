package multicast

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/server"
)

// tool runs one of our programs.
func tool(ctx context.Context, name string, args []string) int {
	tools := map[string]func(context.Context, []string) error{"frisbeed": frisbeed, "httpd": httpd, "get": get}
	if name == "frisbee" {
		return client.Main(args, os.Stdin, os.Stdout, os.Stderr)
	}
	run := tools[name]
	if run == nil {
		fmt.Fprintf(os.Stderr, "hyzer-bench multicast: no program %q\n", name)
		return 3
	}
	if err := run(ctx, args); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "hyzer-bench multicast: %s: %v\n", name, err)
		return 1
	}
	return 0
}

// frisbeed is one session, until it is stopped.
func frisbeed(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("frisbeed", flag.ContinueOnError)
	group, iface := netip.Addr{}, netip.Addr{}
	fs.TextVar(&group, "m", netip.Addr{}, "`group`")
	fs.TextVar(&iface, "i", netip.Addr{}, "`address` of the interface")
	port := fs.Uint("p", sessionPort, "`port`")
	rate := fs.Int64("W", 0, "`bit/s`")
	old := fs.Bool("old", false, "the old protocol only")
	if err := fs.Parse(args); err != nil {
		return err
	}
	image, err := server.OpenFile(fs.Arg(0))
	if err != nil {
		return err
	}
	s, err := server.Open(server.Config{
		Image: image, Address: netip.AddrPortFrom(group, uint16(*port)), Iface: iface,
		Pace: server.Pace{BitsPerSec: *rate, Dynamic: true}, Mode2: !*old,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return errors.Join(err, image.Close())
	}
	return s.Run(ctx)
}

// httpd serves the image.
func httpd(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("want address and image")
	}
	l, err := net.Listen("tcp4", args[0])
	if err != nil {
		return err
	}
	srv := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, args[1]) }),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	return srv.Serve(l)
}

// get fetches a file.
func get(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("want address and file")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", args[0], resp.Status)
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
