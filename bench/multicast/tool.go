package multicast

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/multicast/carrier"
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

// imageName is the image by HTTP.
const imageName = "image"

// httpd serves the image as the appliance does.
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
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/images/"+imageName {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("ETag", `"1"`)
			http.ServeFile(w, r, args[1])
		}),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	return srv.Serve(l)
}

// fetchersMax is how many chunks are asked for at once.
const fetchersMax = 4

// get fetches the image as our clients do when a session brings nothing.
func get(ctx context.Context, args []string) (err error) {
	if len(args) != 2 {
		return errors.New("want address and file")
	}
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	c := carrier.New(carrier.Config{Server: at, ImageID: imageName, NoManifest: true})
	defer c.Close()
	size, _, err := c.Describe(ctx)
	if err != nil {
		return err
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	const chunkBytes = 1 << 20
	errs := make([]error, fetchersMax)
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			buf := make([]byte, chunkBytes)
			for errs[i] == nil {
				from := (next.Add(1) - 1) * chunkBytes
				if from >= size {
					return
				}
				into := buf[:min(chunkBytes, size-from)]
				if errs[i] = c.FetchChunk(ctx, int(from/chunkBytes), into); errs[i] == nil {
					_, errs[i] = f.WriteAt(into, from)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
