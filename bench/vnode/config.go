package vnode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"hyzer/multicast/wire"
	"hyzer/netsvc/bootinfo"
)

// Config is one machine. Name, MAC, IP, Server.IP, DiskPath and DiskBytes are
// required.
type Config struct {
	Name string
	MAC  [6]byte
	UUID [16]byte // of the firmware, DHCP option 97
	// IP is the address DHCP has to give; another one is an error. On
	// loopback the node lives on it from the start.
	IP netip.Addr
	// Link is the network interface of the node in its namespace. Empty: the
	// node lives on loopback, and speaks DHCP as its own relay would.
	Link string
	// Inside runs the node's life where its sockets belong, such as
	// (*netns.Namespace).Do; nil runs it as it is.
	Inside func(func() error) error
	Server Servers

	// Arch is DHCP option 93: 0 BIOS, 7 x64 UEFI, 11 arm64 UEFI.
	Arch uint16
	// Proxy says that addresses come from elsewhere: the node has IP already
	// and asks the appliance, as proxyDHCP, for its boot file only.
	Proxy bool
	// Files are the SHA-256 sums, in hex, that files fetched by TFTP must
	// have, by name. Files that are not in it are fetched all the same.
	Files map[string]string
	// FetchMFS fetches the memory file system that bootinfo names, too.
	FetchMFS bool
	// IsLoader tells the disk loader's MFS from the admin one by its path;
	// nil: the path contains "frisbee".
	IsLoader func(path string) bool
	// OldLoader reports RELOADDONE and reboots by itself, as loaders did
	// before the server took that over.
	OldLoader bool
	// FullConfig makes the system fetch its configuration in one request, as
	// current clients do; else it asks command by command.
	FullConfig bool

	DiskPath  string // made if absent, sparse
	DiskBytes int64
	// Bootable decides whether the system in a partition can start; disk is
	// all of the disk, part the partition's bytes in it. nil: Intact.
	Bootable func(disk io.ReaderAt, part Extent) error

	// FailAt injects a fault, see ParseFault; empty: none.
	FailAt string
	Timing Timing
	// OnPhase hears of everything the node does, one call at a time, on its
	// goroutines: it must not block nor call back into the node.
	OnPhase func(Event)
	Log     *slog.Logger // nil: slog.Default()
}

// Servers is where the appliance is. Ports that are 0 are the real ones.
type Servers struct {
	IP         netip.Addr
	DHCP       uint16 // 67
	BootServer uint16 // 4011
	TFTP       uint16 // 69
	Bootinfo   uint16 // 6969
	TMCD       uint16 // 7777
	Master     uint16 // 64494, the frisbee master
}

// Timing is how long a machine takes and how patient it is. Zero fields get the
// values of real ones, except for times of doing nothing, which stay zero.
type Timing struct {
	POST  time.Duration // the firmware's self test
	Boot  time.Duration // from the loader to the system's first report
	Reset time.Duration // between a reset and the firmware; default 1 s

	DHCPTries     []time.Duration // waits after each DISCOVER; 4, 8, 16, 32 s
	OfferWait     time.Duration   // for a proxy's offer; 4 s
	BootinfoRetry time.Duration   // 1 s
	BootinfoTries int             // 20, then the loader boots the disk
	LoadInfoRetry time.Duration   // 1 s
	LoadInfoTries int             // 30
	MasterRetry   time.Duration   // while the image is busy or the master away; 1 s
	JoinTimeout   time.Duration   // for the multicast server's answer; 60 s
	RebootWait    time.Duration   // after a load, for the server; 300 s
	Command       time.Duration   // one tmcc command, connected; 10 s
	Retry         time.Duration   // between tries to reach tmcd; 10 s
	Alive         time.Duration   // between isalive reports; 180 s
	Progress      time.Duration   // between reports of a load; 250 ms
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (s *Servers) setDefaults() {
	setDefault(&s.DHCP, 67)
	setDefault(&s.BootServer, 4011)
	setDefault(&s.TFTP, 69)
	setDefault(&s.Bootinfo, bootinfo.ServerPort)
	setDefault(&s.TMCD, 7777)
	setDefault(&s.Master, wire.MasterPort)
}

func (t *Timing) setDefaults() {
	if t.DHCPTries == nil {
		t.DHCPTries = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
	}
	setDefault(&t.Reset, time.Second)
	setDefault(&t.OfferWait, 4*time.Second)
	setDefault(&t.BootinfoRetry, time.Second)
	setDefault(&t.BootinfoTries, 20)
	setDefault(&t.LoadInfoRetry, time.Second)
	setDefault(&t.LoadInfoTries, 30)
	setDefault(&t.MasterRetry, time.Second)
	setDefault(&t.JoinTimeout, time.Minute)
	setDefault(&t.RebootWait, 300*time.Second)
	setDefault(&t.Command, 10*time.Second)
	setDefault(&t.Retry, 10*time.Second)
	setDefault(&t.Alive, 180*time.Second)
	setDefault(&t.Progress, 250*time.Millisecond)
}

// complete checks a Config and fills in what it leaves open.
func (c *Config) complete() error {
	switch {
	case c.Name == "":
		return errors.New("vnode: no name")
	case c.MAC == [6]byte{}:
		return fmt.Errorf("vnode %s: no MAC", c.Name)
	case !c.IP.Is4() || !c.Server.IP.Is4():
		return fmt.Errorf("vnode %s: IP %v and server %v must be IPv4 addresses", c.Name, c.IP, c.Server.IP)
	case c.Link == "" && !c.IP.IsLoopback():
		return fmt.Errorf("vnode %s: address %v needs a Link; without one a node lives on loopback", c.Name, c.IP)
	case c.DiskPath == "" || c.DiskBytes < diskBytesMin || c.DiskBytes%SectorBytes != 0:
		return fmt.Errorf("vnode %s: disk %q of %d bytes: want a path and whole sectors, at least %d bytes", c.Name, c.DiskPath, c.DiskBytes, diskBytesMin)
	}
	c.Server.setDefaults()
	c.Timing.setDefaults()
	if c.Bootable == nil {
		c.Bootable = Intact
	}
	if c.IsLoader == nil {
		c.IsLoader = func(path string) bool { return strings.Contains(path, "frisbee") }
	}
	if c.Inside == nil {
		c.Inside = func(life func() error) error { return life() }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}
