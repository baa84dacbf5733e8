// Package dhcp is the DHCPv4 and proxyDHCP service of the appliance: port 67
// and port 4011, addresses for nodes by reservation and for unknown machines
// from a pool, and the boot file of the moment for PXE, UEFI HTTP boot and
// iPXE clients.
//
// It has the shape of every service: wire.go, encode.go and pxe.go are the
// pure codec, handler.go and its neighbours decide, server.go owns sockets and
// goroutines. The handler is a pure function of the request, where it came in,
// the directory's snapshot, the lease table and the time; it decides no boot
// file, it asks Directory.Boot. Package appliance joins it with the registry
// and with lifecycle/bootplan.
//
// # Invariants
//
// An ACK leaves only after the lease it promises is durable (Leases.Commit
// returned without error). No two nodes, and no two unknown machines, hold one
// address while either lease lives, through crash, restart and clock step; two
// cards of one node may follow each other. A declined address of a pool is
// quarantined durably, but never more than a quarter of the pool. What
// strangers send costs bounded memory: a table entry exists only for an
// address of a configured pool or reservation.
//
// # How time is kept
//
// A lease record names the client, the address and the term; it holds no
// expiry that anything relies on. A lease ends only when a running server has
// counted its whole term on the monotonic clock, and a server that starts gives
// every lease it loads the whole term again. So no step of the wall clock, at
// any moment, can end a lease early, and a renewal of the same term needs no
// write: what is on disk already promises it.
//
// # Safe beside another DHCP server
//
// A subnet's zero Mode answers nothing. ModeProxy gives boot files and never
// an address. ModeServe without a pool answers only machines that have a
// reservation, and sends a NAK only to clients it knows; Authoritative widens
// that to everyone.
package dhcp
