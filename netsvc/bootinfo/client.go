package bootinfo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Times of bootinfoclient (page bootinfo, section 2): it asks for ever.
const (
	clientReceiveTimeout = 5 * time.Second
	clientRetryPause     = 5 * time.Second
)

// Client asks what to boot as a node does.
type Client struct {
	Server netip.AddrPort // port 0: ServerPort
	Local  netip.Addr     // source; invalid: by the routes
	Key    string         // for a keyed request
	Retry  time.Duration  // between tries; 0: as the old client
}

// Ask asks until there is something to do: WAIT is waited out, AUTO and
// anything unknown is asked again.
func (c Client) Ask(ctx context.Context) (Answer, error) {
	local := c.Local
	if !local.IsValid() {
		local = netip.IPv4Unspecified()
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, ClientPort)))
	if err != nil {
		return Answer{}, fmt.Errorf("bootinfo: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	waiting := false
	for ctx.Err() == nil {
		if !waiting {
			if err := c.send(conn); err != nil {
				return Answer{}, err
			}
		}
		answer, err := c.receive(conn)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			waiting = waiting && errors.Is(err, os.ErrDeadlineExceeded)
			c.pause(ctx, waiting)
		case answer.Type == TypeWait:
			waiting = true
		case answer.Type == TypePart || answer.Type == TypeDiskPart || answer.Type == TypeMFS || answer.Type == TypeReboot:
			return answer, nil
		default:
			waiting = false
		}
	}
	return Answer{}, ctx.Err()
}

func (c Client) send(conn *net.UDPConn) error {
	req := Request{Version: 1, Opcode: OpRequest}
	if c.Key != "" {
		req.Opcode, req.Key = OpKeyedRequest, c.Key
	}
	to := c.Server
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), ServerPort)
	}
	_, err := conn.WriteToUDPAddrPort(AppendRequest(nil, req), to)
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // a network that is not up yet is asked again
}

// receive takes the next reply or order of the server.
func (c Client) receive(conn *net.UDPConn) (Answer, error) {
	if err := conn.SetReadDeadline(time.Now().Add(clientReceiveTimeout)); err != nil {
		return Answer{}, err
	}
	buf := make([]byte, PacketBytes+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return Answer{}, err
		}
		packet, err := DecodePacket(buf[:n])
		if err != nil || from.Addr().Unmap() != c.Server.Addr().Unmap() {
			continue // a stranger's
		}
		if packet.Status != StatusSuccess || packet.Opcode != OpReply && packet.Opcode != OpOrder {
			return Answer{}, errors.New("bootinfo: the server has no answer")
		}
		return packet.Answer, nil
	}
}

func (c Client) pause(ctx context.Context, waiting bool) {
	if waiting {
		return
	}
	retry := c.Retry
	if retry == 0 {
		retry = clientRetryPause
	}
	select {
	case <-time.After(retry):
	case <-ctx.Done():
	}
}

// ClientMain is bootinfoclient: it prints what to boot, "partition:N[ cmdline]",
// "mfs:PATH" or "reboot", for the scripts of a memory file system.
func ClientMain(args []string, _ io.Reader, out, errs io.Writer) int {
	fs := flag.NewFlagSet("bootinfoclient", flag.ContinueOnError)
	fs.SetOutput(errs)
	server := fs.String("s", "", "boot `server`")
	key := fs.String("k", "", "wide-area `key`")
	fs.Bool("d", false, "ignored")
	if err := fs.Parse(args); err != nil || *server == "" || len(*key) > keyBytesMax {
		fmt.Fprintln(errs, "usage: bootinfoclient -s server [-k key]")
		return 1
	}
	address, err := net.ResolveUDPAddr("udp4", net.JoinHostPort(*server, fmt.Sprint(ServerPort)))
	if err != nil {
		fmt.Fprintln(errs, "bootinfoclient:", err)
		return 1
	}
	answer, err := Client{Server: address.AddrPort(), Key: *key}.Ask(context.Background())
	if err != nil {
		fmt.Fprintln(errs, "bootinfoclient:", err)
		return 1
	}
	fmt.Fprintln(out, answerText(answer))
	return 0
}

func answerText(a Answer) string {
	switch a.Type {
	case TypeMFS:
		return "mfs:" + a.Path
	case TypeReboot:
		return "reboot"
	}
	return strings.TrimSpace(fmt.Sprintf("partition:%d %s", a.Partition, a.Cmdline))
}
