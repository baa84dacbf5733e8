package tmcc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Exit status of the command.
const (
	exitDone   = 0 // the exchange finished, whatever the reply
	exitFailed = 255
)

// Main is the command tmcc. args are those after the program's name, env looks
// up the environment (BOSSNAME, TMCCNOSSL; HYZER_BIND is the local address to use);
// standard input is not read. It returns the exit status.
func Main(args []string, env func(string) string, _ io.Reader, stdout, stderr io.Writer) int {
	return node{env: env}.main(context.Background(), args, stdout, stderr)
}

func (n node) main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	if err == nil {
		err = n.run(ctx, &o, stdout, stderr)
	}
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, err)
	if errors.Is(err, errUsage) {
		fmt.Fprint(stderr, usage)
	}
	return exitStatus(err)
}

func (n node) run(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	if o.delegate {
		return n.delegate(o, stdout)
	}
	client, err := n.client(o)
	if err != nil {
		return err
	}
	if o.debug {
		client.Debug = stderr
	}
	key, err := n.privKey(o)
	if err != nil {
		return err
	}
	if o.proxyUnix != "" || o.proxyInet != "" {
		return runProxy(ctx, o, *client, key)
	}
	if o.words[0] == "bossinfo" { // answered here
		return bossInfo(ctx, client, stdout)
	}
	req := Request{VNode: o.vnode, PrivKey: key, UseUDP: o.udp && o.unix != "", Version: o.version, Words: o.words}
	if o.dataFile != "" {
		if req.Data, err = readData(o.dataFile); err != nil {
			return err
		}
	}
	return n.ask(ctx, o, client, req, stdout)
}

func (n node) client(o *options) (*Client, error) {
	c := &Client{UDP: o.udp, Unix: o.unix, Timeout: o.timeout()}
	if bind := n.env("HYZER_BIND"); bind != "" {
		addr, err := netip.ParseAddr(bind)
		if err != nil {
			return nil, fmt.Errorf("tmcc: HYZER_BIND: %w", err)
		}
		c.Bind = addr
	}
	if c.Unix != "" {
		return c, nil
	}
	server, port, err := n.server(o)
	if err != nil {
		return nil, err
	}
	c.Server = server
	if c.TLS, err = n.tls(o); err != nil {
		return nil, err
	}
	if port != 0 {
		c.Ports = []uint16{port}
	}
	return c, nil
}

// bossInfo prints the server's name and address.
func bossInfo(ctx context.Context, c *Client, stdout io.Writer) error {
	addr, err := (&call{Client: *c}).resolve(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s %s\n", c.Server, addr)
	return err
}
