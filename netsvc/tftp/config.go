package tftp

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"hyzer/netsvc/bootfiles"
)

// ErrClientAborted says that the client sent an ERROR packet.
var ErrClientAborted = errors.New("client aborted the transfer")

var (
	errReplaced = errors.New("client started again from the same port")
	errShutdown = errors.New("server is shutting down")
)

// Config is what a Server is made from. Files and one of Conn and Addr are
// needed; zero elsewhere means the default in limits.go.
type Config struct {
	Files bootfiles.Files
	// Conn is the bound request socket, port 69 in service. Run closes it.
	Conn *net.UDPConn
	// Addr is bound by Run if Conn is nil.
	Addr netip.AddrPort
	// Log gets one line for each transfer; nil: slog.Default.
	Log *slog.Logger
	// OnDone, if set, is called once for each request that was admitted, when
	// it ends. Calls come from several goroutines and must not block.
	OnDone func(Transfer)

	TransfersMax          int     // at one time
	TransfersPerClientMax int     // at one time and address
	RequestsPerSecond     float64 // accepted in all
	RequestsPerClient     float64 // accepted per second and address
	WindowMax             int     // blocks; a client may ask for less
	BlockBytesMax         int     // a client may ask for less; the MTU may lower it
}

// Transfer is one request's fate.
type Transfer struct {
	Client      netip.AddrPort
	Name        string // as asked: untrusted, use bootfiles.LogName to print it
	Bytes       int64  // acknowledged by the client
	Size        int64  // of the file; 0 if it was not opened
	Retransmits int    // time-outs that made us send again
	Duration    time.Duration
	Probe       bool  // the client only asked for the size: no failure
	Refused     bool  // no such file, or it may not be read
	Err         error // nil: the client has the whole file, or Probe
}
