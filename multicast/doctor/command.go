package doctor

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// Exit statuses of Main.
const (
	exitSick  = 1
	exitUsage = 3
)

// Main is "hyzer-node doctor multicast -i ADDRESS [-for 10m]": the node's side.
func Main(args []string, _ io.Reader, out, errs io.Writer) int {
	fs := flag.NewFlagSet("doctor multicast", flag.ContinueOnError)
	fs.SetOutput(errs)
	iface := fs.String("i", "", "`address` of the interface that images come in on")
	group := fs.String("group", netip.AddrPortFrom(Group(), PortDefault).String(), "`address:port` that is probed")
	period := fs.Duration("for", 10*time.Minute, "how long to answer")
	if len(args) > 0 && args[0] == "multicast" {
		args = args[1:]
	}
	if err := fs.Parse(args); err != nil {
		return exitUsage
	}
	at, err := netip.ParseAddr(*iface)
	to, gerr := netip.ParseAddrPort(*group)
	switch {
	case err != nil || !at.Is4() || fs.NArg() > 0:
		fmt.Fprintf(errs, "doctor multicast: want -i with this node's IPv4 address (ip -4 address), not %q\n", *iface)
		return exitUsage
	case gerr != nil || !to.Addr().Is4() || !to.Addr().IsMulticast():
		fmt.Fprintf(errs, "doctor multicast: -group: want an IPv4 group and a port, such as 239.192.79.254:21998, not %q\n", *group)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *period)
	defer cancel()
	fmt.Fprintf(out, "answering probes to %v and to %v for %v; now run on the appliance, with the address that it sends images from: hyzer doctor multicast --interface ADDRESS --node %v\n", to, at, *period, at)
	if err := Listen(ctx, at, to); err != nil {
		fmt.Fprintf(errs, "doctor multicast: %v\n", err)
		return exitSick
	}
	return 0
}
