package tmcd

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"hyzer/storage/registry"
)

// Transport is how a request came.
type Transport int

// Transports.
const (
	TCP Transport = iota // in clear
	UDP
	TLS
)

func (t Transport) String() string { return [...]string{"tcp", "udp", "tls"}[t] }

// Request is one request with where it came from.
type Request struct {
	Head
	From      netip.Addr // source address, unmapped
	Transport Transport
	// Names are those in the client's certificate, if it was verified.
	Names []string
	// Proven is the node whose key the client has shown that it has, "" if it
	// has not.
	Proven string
	// LoaderVersion is that of a bootinfo packet, for bootwhat; nil is 1.
	LoaderVersion *int
}

// Why a request was refused. On the wire every refusal is an empty reply.
const (
	RefusedUnknown   = "unknown node"
	RefusedRedirect  = "REDIRECT from another host"
	RefusedControl   = "control node in clear"
	RefusedCommand   = "unknown command"
	RefusedRemoteUDP = "remote node over UDP"
	RefusedRemote    = "remote node in clear"
	RefusedFree      = "node is free"
	RefusedTPM       = "needs a TPM key"
	RefusedSecret    = "policy wants TLS"
	RefusedProof     = "policy wants the node's certificate or key"
)

// Admission is a request that passed, or did not pass, the checks that come
// before its arguments are read.
type Admission struct {
	Node    string // who asks, "" if unknown
	Command string // the command's name, "" if unknown
	Refused string // why not, "" if admitted
	// Streams says that the arguments may be of any size and are passed as
	// a reader.
	Streams bool

	call *call
}

// Result is the answer to a request. Effects come first: the reply may be sent
// only when all of them are durable.
type Result struct {
	Reply   []byte
	Effects []Effect
}

// Handler answers requests from a snapshot. It has no state but replies that it
// has made before. Replies of commands with the flag live depend on more than
// the snapshot.
type Handler struct {
	// ClearControlNodes lets nodes of role ctrlnode use clear TCP (C: -X).
	ClearControlNodes bool
	// Random fills secrets that replies hand out.
	Random func([]byte)
	Now    func() time.Time
	// ReadFile reads a file of at most max bytes, for the maps of
	// experiments.
	ReadFile func(path string, max int) ([]byte, error)
	// ImageKey is as in Config.
	ImageKey func(registry.Ref) string

	table   commandTable
	replies *replies // nil: every reply is made anew
}

// NewHandler returns a handler with all commands.
func NewHandler() *Handler {
	random := func(b []byte) { _, _ = rand.Read(b) } // which never fails
	return &Handler{Random: random, Now: time.Now, ReadFile: readFile, ImageKey: func(registry.Ref) string { return "" },
		table: newCommands(), replies: newReplies()}
}

// Admit makes the checks of the C server in its order (shared specs, page tmcd,
// section 2.2), from what stands before the arguments.
func (h *Handler) Admit(s *registry.Snapshot, req Request) Admission {
	from := req.From
	if req.Redirect.IsValid() {
		if !mayRedirect(s, from) {
			return Admission{Refused: RefusedRedirect}
		}
		from = req.Redirect
	}
	who := identify(s, &req.Head, req.Proven, from)
	if who == nil {
		return Admission{Refused: RefusedUnknown}
	}
	who.policy, who.proven = policyOf(s, who.phys), proves(s, who, &req)
	adm := Admission{Node: who.node.ID}
	cmd := h.table.find(req.Word)
	if cmd != nil {
		adm.Command = cmd.name
	}
	if adm.Refused = h.refuse(who, cmd, &req); adm.Refused != "" {
		return adm
	}
	if cmd == nil {
		cmd = &command{name: "geni_", run: runGeni}
		adm.Command = cmd.name
	}
	adm.Streams = cmd.has(streams)
	adm.call = &call{h: h, snap: s, req: req, who: who, cmd: cmd, out: make([]byte, 0, replyBytesUsual)}
	return adm
}

func (h *Handler) refuse(who *caller, cmd *command, req *Request) string {
	switch {
	case who.phys.Role == registry.RoleCtrlNode && req.Transport == TCP && !h.ClearControlNodes:
		return RefusedControl
	case cmd == nil && isGeni(req.Word):
		return ""
	case cmd == nil:
		return RefusedCommand
	case !who.local && req.Transport == UDP && !cmd.has(remoteUDP):
		return RefusedRemoteUDP
	case !who.local && req.Transport == TCP && cmd.has(needTLS):
		return RefusedRemote
	case !who.proven && who.policy.wantsProof(cmd) && req.Transport != TLS:
		return RefusedSecret
	case !who.proven && who.policy.wantsProof(cmd):
		return RefusedProof
	case cmd.has(needAllocated) && !who.allocated():
		return RefusedFree
	case cmd.has(needTPM):
		return RefusedTPM // no TPM keys are enrolled here
	}
	return ""
}

// Run executes an admitted request. body holds the arguments: of a streaming
// command it is handed on in an effect, of others at most argsBytesMax bytes
// are read. The error is body's.
func (a *Admission) Run(body io.Reader) (Result, error) {
	if a.Refused != "" {
		return Result{}, nil
	}
	c := a.call
	c.body = body
	if !a.Streams {
		if err := c.readArgs(body); err != nil {
			return Result{}, err
		}
	}
	c.answer()
	reply := c.out
	if c.req.Transport == UDP && len(reply) > udpReplyBytesMax {
		reply = reply[:udpReplyBytesMax]
	}
	return Result{reply, c.effects}, nil
}

// Handle is Admit and Run for a request that is whole in memory.
func (h *Handler) Handle(s *registry.Snapshot, req Request, args []byte) Result {
	adm := h.Admit(s, req)
	result, _ := adm.Run(bytes.NewReader(args)) // which never fails
	return result
}

// call is one command being run.
type call struct {
	h    *Handler
	snap *registry.Snapshot
	req  Request
	who  *caller
	cmd  *command
	args []byte    // of commands that do not stream
	body io.Reader // of commands that do

	out     []byte
	effects []Effect
	few     [64]byte // room for the arguments of nearly all requests
}

// readArgs reads at most argsBytesMax bytes, up to the first NUL: the text is
// a C string.
func (c *call) readArgs(body io.Reader) error {
	c.args = c.few[:0]
	for len(c.args) < argsBytesMax {
		if len(c.args) == cap(c.args) {
			c.args = slices.Grow(c.args, len(c.args))
		}
		n, err := body.Read(c.args[len(c.args):min(cap(c.args), argsBytesMax)])
		c.args = c.args[:len(c.args)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	c.args, _, _ = bytes.Cut(c.args, []byte{0})
	return nil
}

func (c *call) run() {
	if c.cmd.run == nil || c.req.Transport == UDP && c.cmd.has(tcpOnly) {
		return
	}
	c.cmd.run(c)
}

// v says whether the client's protocol version is at least n.
func (c *call) v(n int) bool { return c.req.Version >= n }

// str, num and text append to the reply.
func (c *call) str(parts ...string) {
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
}

func (c *call) num(n int) { c.out = strconv.AppendInt(c.out, int64(n), 10) }

func (c *call) printf(format string, args ...any) { c.out = fmt.Appendf(c.out, format, args...) }

func (c *call) effect(e Effect) { c.effects = append(c.effects, e) }

// arg is the first word of the arguments. An "--" before it is what BSD's
// getopt leaves of "tmcc booterrno -- -1".
func (c *call) arg() string {
	fields := bytes.Fields(c.args)
	if len(fields) > 1 && string(fields[0]) == "--" {
		fields = fields[1:]
	}
	if len(fields) == 0 {
		return ""
	}
	return string(fields[0])
}

// addr prints an address, an absent one as nothing.
func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
