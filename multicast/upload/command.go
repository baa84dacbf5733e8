package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/cli"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

const usage = `usage: frisupload [options] -S master -F imageid <file>
       frisupload [options] -S master -Q imageid
       frisupload [options] -S server -p port <file>
 -F id       upload the file (- for standard input) as this image
 -Q id       only ask whether the image may be written, and what is there
 -S addr     master server; without -F and -Q, upload server
 -p port     its port (64494)
 -T s, -I s  time for the whole; time without progress
 -N          do not ask afterwards whether the server has the image
 -P host     the image is of this host
 -b size     bytes of a read; -k size: of the socket's buffer
 -o, -d      dots; more messages
 -s          not available
`

// optionLetters as getopt has them.
const optionLetters = "S:p:F:Q:b:k:I:T:NP:odsh"

// Bounds of the numbers on the command line, and the exit statuses of failures,
// as frisbee's.
const (
	exitFailed = 1
	exitMaster = 255
	bytesMax   = 64 << 20
	dotBytes   = 1 << 20
)

type command struct {
	server         netip.Addr
	port           int
	config         Config
	status         bool // -Q
	dots           bool
	file           string
	in             io.Reader
	stdout, stderr io.Writer
}

// Main is frisupload; args are those after the program's name.
func Main(args []string, in io.Reader, stdout, stderr io.Writer) int {
	c := &command{in: in, stdout: stdout, stderr: stderr}
	if err := c.parse(args); err != nil {
		cli.PrintUsage(stderr, "frisupload", usage, err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintf(stderr, "frisupload: %v\n", err)
		if errors.Is(err, ErrMaster) && !errors.Is(err, ErrVerify) {
			return exitMaster
		}
		return exitFailed
	}
	return 0
}

func (c *command) parse(args []string) error {
	options, rest, err := cli.Parse(args, optionLetters)
	if err == nil {
		err = cli.Each(options, c.option)
	}
	switch {
	case err != nil:
		return err
	case !c.server.IsValid():
		return errors.New("want -S")
	case len(rest) > 1 || len(rest) == 0 && !c.status:
		return errors.New("want one file")
	case c.config.ImageID == "" && c.port == 0:
		return errors.New("want -F or -Q, or the upload server's -p")
	}
	if c.port == 0 {
		c.port = wire.MasterPort
	}
	c.config.Server = netip.AddrPortFrom(c.server, uint16(c.port))
	if len(rest) == 1 {
		c.file = rest[0]
	}
	return nil
}

func (c *command) option(o cli.Option) (err error) {
	u := &c.config
	switch o.Letter {
	case 'S':
		c.server, err = sock.Host(o.Value)
	case 'p':
		c.port, err = cli.Number(o.Value, 1, 65535)
	case 'F', 'Q':
		u.ImageID, c.status = o.Value, o.Letter == 'Q'
		if o.Value == "" || len(o.Value) > wire.ImageIDBytesMax {
			err = fmt.Errorf("want a name of 1 to %d bytes", wire.ImageIDBytesMax)
		}
	case 'b':
		u.BufferBytes, err = cli.Number(o.Value, 1, bytesMax)
	case 'k':
		u.SocketBytes, err = cli.Number(o.Value, 1, bytesMax)
	case 'I':
		u.Idle, err = cli.Seconds(o.Value)
	case 'T':
		u.Timeout, err = cli.Seconds(o.Value)
	case 'N':
		u.NoVerify = true
	case 'P':
		u.For, err = sock.Host(o.Value)
	case 'o':
		c.dots = true
	case 'd':
	case 's':
		err = errors.New("there is no encryption; use a network that needs none")
	case 'h':
		err = cli.ErrHelp
	}
	return err
}

func (c *command) run(ctx context.Context) error {
	if c.status {
		return c.ask(ctx)
	}
	from, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	var source io.Reader = from
	if c.dots {
		source = &dotter{from, c.stdout, 0}
	}
	began := time.Now()
	n, err := c.send(ctx, source)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name(), err)
	}
	fmt.Fprintf(c.stdout, "\n%s: upload completed after %d bytes in %.3f seconds\n", c.name(), n, time.Since(began).Seconds())
	return nil
}

// name is what messages call the image.
func (c *command) name() string {
	if c.config.ImageID != "" {
		return c.config.ImageID
	}
	return "<NONE>"
}

func (c *command) send(ctx context.Context, from io.Reader) (int64, error) {
	if c.config.ImageID == "" {
		c.announce(c.config.Server)
		return Stream(ctx, c.config, c.config.Server, from)
	}
	c.config.OnStart = c.announce
	return Send(ctx, c.config, from)
}

func (c *command) announce(at netip.AddrPort) {
	fmt.Fprintf(c.stdout, "%s: upload to %v from %s\n%s: using idletimeout=%ds, timeout=%ds\n",
		c.name(), at, c.file, c.name(), c.config.Idle/time.Second, c.config.timeout()/time.Second)
}

// open opens the file, or waits for standard input: what makes the image may
// take its time, and the server would not wait for it.
func (c *command) open(ctx context.Context) (io.ReadCloser, error) {
	if c.file != "-" {
		f, err := os.Open(c.file)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s: not a regular file", c.file)
		}
		if err == nil && info.Size() == 0 {
			err = fmt.Errorf("%s: is empty", c.file)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		c.config.Bytes, c.config.MTime = info.Size(), info.ModTime()
		return f, nil
	}
	if c.config.ImageID != "" {
		if _, err := Status(ctx, c.config); err != nil {
			return nil, err
		}
	}
	return waitFor(ctx, c.in)
}

// ask is -Q: an error of the server is part of the answer.
func (c *command) ask(ctx context.Context) error {
	r, err := Status(ctx, c.config)
	var code wire.MasterError
	if err != nil && !errors.As(err, &code) {
		return err
	}
	w := c.stdout
	fmt.Fprintf(w, "imageid=%s\nerror=%d\n", c.config.ImageID, r.Error)
	if r.Error != wire.MasterOK {
		return nil
	}
	fmt.Fprintf(w, "exists=%d\n", map[bool]int{true: 1}[r.Exists])
	if r.Exists {
		fmt.Fprintf(w, "size=%d\nsigtype=0x%x\n", r.FileBytes, uint16(r.Signature.Type))
		if sig := r.Signature.Bytes(); len(sig) > 0 {
			fmt.Fprintf(w, "sig=0x%x\n", sig)
		}
	}
	fmt.Fprintf(w, "maxsize=%d\nservaddr=%v\naddr=%v\nport=%d\n", r.FileBytesMax, r.Addr, r.Addr, r.Port)
	return nil
}
