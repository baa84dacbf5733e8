package noderun

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"hyzer/netsvc/tmcc"
)

// Call is one exchange with tmcd.
type Call struct {
	VNode string   // in whose name; "" is the node's own
	Words []string // command and arguments
	File  string   // sent after the words, "" for none
	UDP   bool     // by datagrams; old servers answer with none that is empty
}

func (c Call) String() string { return strings.Join(c.Words, " ") }

// Boss is the appliance as a node sees it. Ask returns the reply once all that
// the call asks for is durable. It returns within a bounded time.
type Boss interface {
	Ask(ctx context.Context, c Call) (reply string, err error)
}

const (
	streamTimeoutSecs = 5 // without progress
	udpTimeoutSecs    = 3
	replyBytesMax     = 64 << 10
	complaintBytesMax = 1 << 10
	proxyPathBytesMax = 256
)

// proxyPathFile names the socket of the host's tmcc proxy in a container (page
// tmcd, section 6).
const proxyPathFile = "/var/emulab/boot/proxypath"

// client asks with the command tmcc, which finds the server, the key and the
// local address where Emulab's files and environment say.
type client struct {
	env   func(string) string
	where []string // options of tmcc that say where the server is
}

// newClient takes a server, or the path of a proxy's socket, or neither.
func newClient(env func(string) string, server, proxy string) client {
	if server == "" && proxy == "" {
		proxy = firstLine(proxyPathFile)
	}
	switch {
	case proxy != "":
		return client{env, []string{"-l", proxy}}
	case server != "":
		name, port, hasPort := strings.Cut(server, ":")
		where := []string{"-s", name}
		if hasPort {
			where = append(where, "-p", port)
		}
		return client{env, where}
	}
	return client{env, nil}
}

// Ask implements Boss. A call that has begun ends by its own time-out.
func (b client) Ask(ctx context.Context, c Call) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	reply := &limitedBuffer{max: replyBytesMax, ctx: ctx}
	complaint := &limitedBuffer{max: complaintBytesMax, ctx: context.Background()}
	if status := tmcc.Main(b.args(c), b.env, strings.NewReader(""), reply, complaint); status != 0 {
		text, _, _ := strings.Cut(complaint.String(), "\n")
		return "", fmt.Errorf("tmcc %s: %s", c, text)
	}
	return reply.String(), nil
}

func (b client) args(c Call) []string {
	args := append([]string{"-i"}, b.where...)
	timeout := streamTimeoutSecs
	if c.UDP {
		args, timeout = append(args, "-u"), udpTimeoutSecs
	}
	args = append(args, "-t", strconv.Itoa(timeout))
	if c.VNode != "" {
		args = append(args, "-n", c.VNode)
	}
	if c.File != "" {
		args = append(args, "-f", c.File)
	}
	return append(append(args, "--"), c.Words...) // a number may be negative
}

var errTooLong = errors.New("more text than expected")

// limitedBuffer takes text until it is full or ctx ends, so that a server that
// keeps talking ends the exchange.
type limitedBuffer struct {
	bytes.Buffer
	max int
	ctx context.Context
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	if l.Len()+len(p) > l.max {
		return 0, errTooLong
	}
	return l.Buffer.Write(p)
}

// firstLine is a small file's first line, "" if there is none.
func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, proxyPathBytesMax)).ReadString('\n')
	return strings.TrimSpace(line)
}
