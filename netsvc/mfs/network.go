package mfs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/dhcp/client"
)

// network is how the node is connected.
type network struct {
	options client.Options
	lease   client.Lease
}

// connect gets an address on the first interface whose network has one for us.
func (m *machine) connect(ctx context.Context) error {
	if err := linkUp("lo"); err != nil {
		return err
	}
	links, err := ethernets(m.params.get("BOOTIF"))
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := linkUp(l.Name); err != nil {
			return err
		}
	}
	var errs []error
	for _, l := range links {
		awaitCarrier(l.Name)
		options := client.Options{Link: l.Name, MAC: [6]byte(l.HardwareAddr)}
		lease, err := client.Acquire(ctx, options)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if lease.Next, err = m.server(lease); err != nil {
			return err
		}
		m.net = network{options, lease}
		m.log.Info("address", "link", l.Name, "mac", l.HardwareAddr.String(), "ip", lease.IP, "server", lease.Next, "name", lease.Host)
		return m.configure(l.Index)
	}
	return errors.Join(errs...)
}

// server is the appliance: who serves the boot files, unless hyzer.server= on
// the kernel's command line says better. It must where another server gives the
// addresses.
func (m *machine) server(l client.Lease) (netip.Addr, error) {
	text := m.params.get("hyzer.server")
	if text == "" {
		return l.Next, nil
	}
	addr, err := netip.ParseAddr(text)
	if err == nil && !addr.Is4() {
		err = errors.New("want an IPv4 address")
	}
	if err != nil {
		return l.Next, fmt.Errorf("hyzer.server=%.60s: %w", text, err)
	}
	return addr, nil
}

// configure applies the lease.
func (m *machine) configure(link int) error {
	l := m.net.lease
	if err := setAddress(m.net.options.Link, l.IP, l.Mask); err != nil {
		return err
	}
	if l.Router.Is4() {
		if err := setDefaultRoute(l.Router, link); err != nil {
			return err
		}
	}
	if l.Host != "" {
		if err := unix.Sethostname([]byte(l.Host)); err != nil {
			return fmt.Errorf("host name %q: %w", l.Host, err)
		}
	}
	return writeResolver(l)
}

// writeResolver makes names work for programs that look them up. A system on a
// disk that cannot be written keeps its own.
func writeResolver(l client.Lease) error {
	var text strings.Builder
	if l.Domain != "" {
		fmt.Fprintf(&text, "search %s\n", l.Domain)
	}
	for _, addr := range l.DNS {
		fmt.Fprintf(&text, "nameserver %v\n", addr)
	}
	if text.Len() == 0 {
		return nil
	}
	err := os.WriteFile("/etc/resolv.conf", []byte(text.String()), 0o644)
	if errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// renewPauseMin is the least time between renewals, answered or not: a server
// may ask for any.
const renewPauseMin = time.Minute

// keepLease renews the lease until ctx ends. The address stays if nobody
// answers: the server's record reserves it, and a load goes on.
func (m *machine) keepLease(ctx context.Context) {
	lease := m.net.lease
	if lease.Time == 0 {
		return
	}
	granted, next := time.Now(), lease.Renew
	for pause(ctx, max(next, renewPauseMin)) == nil {
		rebind := time.Since(granted) >= lease.Rebind
		renewed, err := client.Renew(ctx, m.net.options, lease, rebind)
		if err != nil {
			m.log.Warn("lease is not renewed", "error", err)
			next = renewPauseMin
			continue
		}
		lease, granted, next = renewed, time.Now(), renewed.Renew
	}
}
