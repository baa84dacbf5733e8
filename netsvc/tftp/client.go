package tftp

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"hyzer/netsvc/bootfiles"
)

const (
	clientTimeoutDefault = time.Second
	clientTriesDefault   = 6
	clientBytesMax       = 4 << 30
	datagramBytesMax     = 65535
)

// RemoteError is an ERROR packet from the server.
type RemoteError struct {
	Code    Code
	Message string
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("server refused with code %d: %s", e.Code, bootfiles.LogName(e.Message))
}

// Client reads files as boot firmware does. The zero value of each field but
// Server is useful. A Client holds no state: use it from many goroutines.
type Client struct {
	Server     netip.AddrPort
	Local      netip.AddrPort // bound address; zero: the kernel chooses
	BlockBytes int            // blksize to ask for; 0: not asked, 512
	Window     int            // windowsize to ask for, blocks; 0: not asked, 1
	Timeout    time.Duration  // silence before the client says again what it said
	Tries      int            // times it does so without progress
	BytesMax   int64          // a longer file is an error; 0: 4 GiB
	NoSize     bool           // do not ask tsize; the length is then not verified
}

// Get writes the file called name to w and returns its length in bytes. Errors:
// *RemoteError, ctx's, a time-out, a length other than tsize promised, w's. What
// reached w before an error is no whole file.
func (c Client) Get(ctx context.Context, name string, w io.Writer) (int64, error) {
	c.setDefaults()
	d, err := c.dial(ctx, name, c.options())
	if err != nil {
		return 0, fmt.Errorf("tftp: get %s from %v: %w", bootfiles.LogName(name), c.Server, err)
	}
	defer d.close()
	if err := d.run(ctx, w); err != nil {
		return d.machine.gotBytes, fmt.Errorf("tftp: get %s from %v: %w", bootfiles.LogName(name), c.Server, err)
	}
	return d.machine.gotBytes, nil
}

// Size asks for the length of a file as UEFI firmware does: it takes the OACK
// and ends the transfer with ERROR 8. It fails if the server knows no tsize.
func (c Client) Size(ctx context.Context, name string) (int64, error) {
	c.setDefaults()
	c.NoSize = false
	d, err := c.dial(ctx, name, c.options())
	if err != nil {
		return 0, fmt.Errorf("tftp: size of %s on %v: %w", bootfiles.LogName(name), c.Server, err)
	}
	defer d.close()
	d.isProbe = true
	if err := d.run(ctx, io.Discard); err != nil {
		return 0, fmt.Errorf("tftp: size of %s on %v: %w", bootfiles.LogName(name), c.Server, err)
	}
	return d.machine.sizeBytes, nil
}

func (c *Client) setDefaults() {
	if c.Timeout <= 0 {
		c.Timeout = clientTimeoutDefault
	}
	setDefault(&c.Tries, clientTriesDefault)
	if c.BytesMax <= 0 {
		c.BytesMax = clientBytesMax
	}
}

func (c *Client) options() []Option {
	var o []Option
	if !c.NoSize {
		o = append(o, Option{optionSize, "0"})
	}
	if c.BlockBytes > 0 {
		o = append(o, Option{optionBlockBytes, strconv.Itoa(c.BlockBytes)})
	}
	if c.Window > 0 {
		o = append(o, Option{optionWindow, strconv.Itoa(c.Window)})
	}
	return o
}
