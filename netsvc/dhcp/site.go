package dhcp

import (
	"context"
	"net/netip"
	"time"
)

// Reservation binds a machine to a node and, if it has one, a fixed address.
type Reservation struct {
	Node     string     // name in the registry
	IP       netip.Addr // not set for a node without a fixed address
	Hostname string     // option 12, Node if empty
	// DNS replaces the subnet's servers if it is not empty.
	DNS []netip.Addr
	// Ignore leaves the machine to another server (a sub-boss, or an
	// experiment that manages its nodes itself): it gets no answer at all.
	Ignore bool
}

// BootFile is what a client shall load. Names of TFTP files and URLs are the
// caller's; this package only carries them.
type BootFile struct {
	// NextServer has the file (siaddr, option 66, sname). Not set, it is the
	// server's own address.
	NextServer netip.Addr
	// Name is a TFTP path or a URL. The header holds up to 127 octets; a
	// longer one goes only in option 67.
	Name string
	// RootPath is option 17, for boot programs that ask for it.
	RootPath string
	// Bootinfo is Emulab's sub-option 128 of option 43; not set, none.
	Bootinfo netip.Addr
	// Menu is a PXE menu text for ROMs that boot nothing else. Usually empty.
	Menu string
}

// Directory is one immutable state of the registry, as DHCP sees it. Its
// methods are called on the packet path: they answer from memory.
type Directory interface {
	// Subnets returns the networks. The same pointer means the same content.
	Subnets() *Subnets
	// ByHardware finds the reservation of a machine.
	ByHardware(hw HardwareAddr) (Reservation, bool)
	// ByAddress finds for whom an address is reserved.
	ByAddress(ip netip.Addr) (Reservation, bool)
	// Boot says what the asker loads. node is empty for an unknown machine.
	// False means it is told no boot file.
	Boot(node string, asker Asker) (BootFile, bool)
}

// LeaseState says what a lease record keeps.
type LeaseState uint8

const (
	// LeaseFree remembers who had the address last; the address is free. A
	// store may forget such records.
	LeaseFree LeaseState = iota
	// LeaseBound promises the address to the client for the term.
	LeaseBound
	// LeaseDeclined keeps the address from everybody for the term: a client
	// found it in use.
	LeaseDeclined
)

// String names the state.
func (s LeaseState) String() string {
	return [...]string{"free", "bound", "declined"}[min(s, LeaseDeclined)]
}

// Lease is the durable record of one address, its key. See the package comment
// for why it has a term and no expiry.
type Lease struct {
	IP     netip.Addr
	Client HardwareAddr
	State  LeaseState
	Node   string        // node the client was when bound, empty if unknown
	Term   time.Duration // the longest the client may have been promised
	At     time.Time     // wall clock of the decision, for people only
}

// Leases keeps lease records. Commit stores the records in order, a later one
// of the same IP replacing an earlier, in one durable write; when it returns
// nil they survive a crash. After an error any of them may or may not be
// stored. Only one call runs at a time. Load returns what is stored.
type Leases interface {
	Commit(ctx context.Context, leases []Lease) error
	Load() ([]Lease, error)
}
