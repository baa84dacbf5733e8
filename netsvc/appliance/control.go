package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/control"
)

func (a *Appliance) openControl() error {
	listener, err := listenControl(a.cfg.Control, a.cfg.ControlPublic)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	server := control.New(control.Config{
		Listener: listener, Registry: a.reg, Runner: a.runner, Loads: a.loads, BootLogs: a.bootLogs(), WantLog: a.wantLog,
		Order:   bootinfo.Orders{Snapshot: a.reg.Snapshot, Reports: a.runner}.Give,
		Explain: a.explainAll, Progress: a.progress.all, Status: a.status, ImageDir: a.cfg.imageDir(), Log: a.log,
	})
	a.add("control", server.Run, listener.Addr().String())
	return nil
}

// listenControl listens on a unix socket that only its owner and group may
// open, or on an address.
func listenControl(address string, public bool) (net.Listener, error) {
	if path, isUnix := socketPath(address); isUnix {
		return listenUnix(path)
	}
	if err := checkPublic(address, public); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address)
}

// socketPath is the path of a unix socket, if the address is one.
func socketPath(address string) (path string, isUnix bool) {
	path, isUnix = strings.CutPrefix(address, "unix:")
	return path, isUnix || strings.HasPrefix(address, "/")
}

// checkPublic refuses an address that others than this machine's users reach.
func checkPublic(address string, public bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: want the path of a unix socket, or address:port", address)
	}
	ip, err := netip.ParseAddr(host)
	if public || host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines, and whoever reaches it commands the site: "+
		"use a unix socket or a loopback address, or set control_public: true behind a firewall", address)
}

func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeSocket removes the socket that a killed appliance left, and nothing
// else: not another file, and not the socket of an appliance that runs with
// another data folder.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket; remove it or set another control path", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s is in use by a running appliance", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
