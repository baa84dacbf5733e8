package dhcp

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the golden files")

// TestDecisions replays testdata/decide/*.txt: a site, then requests, each
// with the decision written below it.
func TestDecisions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			runGolden(t, file, &replay{in: Ingress{Local: netip.MustParseAddr("10.50.0.1")}})
		})
	}
}

type goldenRunner interface {
	run(lines []string) (string, error)
}

// runGolden reads blocks of input, "----", expected output and an empty line.
func runGolden(t *testing.T, file string, r goldenRunner) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rewritten strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		input, want, _ := strings.Cut(block+"\n", "----\n")
		input = strings.TrimSpace(input)
		var lines []string
		for _, line := range strings.Split(input, "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
		got := ""
		if len(lines) > 0 {
			if got, err = r.run(lines); err != nil {
				t.Fatalf("%s:\n%s\n%v", file, input, err)
			}
		}
		if got != want && !*rewrite {
			t.Errorf("%s:\n%s\n---- got\n%s---- want\n%s", file, input, got, want)
		}
		fmt.Fprintf(&rewritten, "%s\n----\n%s\n", input, got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(rewritten.String(), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// replay runs the commands of a golden file on one table, with a store that
// keeps what was committed.
type replay struct {
	site  *testSite
	in    Ingress
	table *Table
	now   Instant
	store map[netip.Addr]Lease
}

func (r *replay) run(lines []string) (string, error) {
	words := strings.Fields(lines[0])
	switch words[0] {
	case "site":
		return r.newSite(lines[1:])
	case "in":
		return r.ingress(words[1:])
	case "after":
		return r.after(words[1])
	case "restart":
		return r.restart()
	case "explain":
		return r.explain(words[1:])
	}
	var out strings.Builder
	for _, line := range lines {
		if err := r.request(&out, strings.Fields(line)); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func (r *replay) newSite(lines []string) (string, error) {
	site, err := parseSite(lines)
	if err != nil {
		return err.Error() + "\n", nil
	}
	r.site = site
	if r.table == nil {
		r.store = map[netip.Addr]Lease{}
		r.table, err = NewTable(nil, r.now)
	}
	r.table.Configure(site.subnets)
	return "", err
}

func (r *replay) ingress(words []string) (string, error) {
	r.in = Ingress{Local: r.in.Local}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "local":
			r.in.Local = netip.MustParseAddr(value)
		case "source":
			r.in.Source = netip.MustParseAddrPort(value)
		case "unicast":
			r.in.Unicast = true
		case "boot-server":
			r.in.BootServer = true
		case "reply-to-source":
			r.in.ReplyToSource = true
		default:
			return "", fmt.Errorf("what is %q", w)
		}
	}
	return "", nil
}

func (r *replay) after(d string) (string, error) {
	step, err := time.ParseDuration(d)
	r.now += step
	var out strings.Builder
	for _, l := range r.table.Advance(r.now, nil) {
		r.store[l.IP] = l
		fmt.Fprintf(&out, "ended %s of %s\n", l.IP, l.Client)
	}
	return out.String(), err
}

func (r *replay) restart() (string, error) {
	var leases []Lease
	for _, l := range r.store {
		leases = append(leases, l)
	}
	var err error
	r.now = 0
	if r.table, err = NewTable(leases, r.now); err == nil {
		r.table.Configure(r.site.subnets)
	}
	return fmt.Sprintf("%d leases\n", len(leases)), err
}

func (r *replay) explain(words []string) (string, error) {
	q := Question{Local: r.in.Local, Arch: ArchUnknown}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "mac":
			q.Client, _ = ParseHardwareAddr(value)
		case "class":
			q.Class = value
		case "relay":
			q.Relay = netip.MustParseAddr(value)
		case "arch":
			fmt.Sscan(value, (*uint16)(&q.Arch))
		}
	}
	return Explain(q, r.site, r.table, r.now), nil
}

func (r *replay) request(out *strings.Builder, words []string) error {
	kinds := map[string]MessageType{
		"discover": Discover, "request": Request, "decline": Decline, "release": Release,
		"inform": Inform, "offer": Offer, "bootp": 0,
	}
	var data []byte
	var err error
	if words[0] == "file" {
		data, err = os.ReadFile(filepath.Join("testdata", words[1]))
	} else if kind, ok := kinds[words[0]]; ok {
		data, err = buildRequest(kind, words[1:])
	} else {
		err = fmt.Errorf("what is %q", words[0])
	}
	if err != nil {
		return err
	}
	var p Packet
	if err := p.Parse(data); err != nil {
		fmt.Fprintf(out, "%v\n", err)
		return nil
	}
	d := Decide(nil, &p, r.in, r.site, r.table, r.now)
	applied := r.table.Apply(d.Change, r.now)
	describe(out, d, applied)
	if applied.Write {
		r.store[applied.Lease.IP] = applied.Lease
		r.table.committed(applied.ticket)
	}
	return nil
}

func describe(out *strings.Builder, d Decision, a Applied) {
	kind := "silent"
	if d.Type != 0 {
		kind = d.Type.String()
	}
	fmt.Fprintf(out, "%s: %s\n", kind, d.Reason)
	if a.Write {
		fmt.Fprintf(out, "  store %s %s for %s\n", a.Lease.State, a.Lease.IP, a.Lease.Term)
	}
	if d.Type == 0 {
		return
	}
	var p Packet
	if err := p.Parse(d.Reply); err != nil {
		fmt.Fprintf(out, "  unreadable: %v\n", err)
		return
	}
	fmt.Fprintf(out, "  %s %s, %d octets\n", [...]string{"nowhere", "unicast", "broadcast", "frame"}[d.Dest.Kind], d.Dest.Addr, len(d.Reply))
	describeHeader(out, &p)
	for i := range p.fragments[:p.count] {
		code := p.fragments[i].code
		v, _ := p.Option(code)
		fmt.Fprintf(out, "  %s\n", optionText(code, v))
	}
}

func describeHeader(out *strings.Builder, p *Packet) {
	fmt.Fprintf(out, "  xid %x", p.XID())
	for _, f := range []struct {
		name string
		addr netip.Addr
	}{{"ciaddr", p.CIAddr()}, {"yiaddr", p.YIAddr()}, {"siaddr", p.SIAddr()}, {"giaddr", p.GIAddr()}} {
		if !f.addr.IsUnspecified() {
			fmt.Fprintf(out, " %s %s", f.name, f.addr)
		}
	}
	if p.Flags() != 0 {
		fmt.Fprintf(out, " flags %04x", p.Flags())
	}
	if f := p.File(); len(f) > 0 {
		fmt.Fprintf(out, " file %s", sanitize(f))
	}
	if f := p.ServerName(); len(f) > 0 {
		fmt.Fprintf(out, " sname %s", sanitize(f))
	}
	out.WriteString("\n")
}

func optionText(code uint8, v []byte) string {
	switch code {
	case OptSubnetMask, OptRouter, OptDNS, OptBroadcast, OptServerID, OptNTP:
		text := ""
		for ; len(v) >= 4; v = v[4:] {
			text += " " + netip.AddrFrom4([4]byte(v[:4])).String()
		}
		return fmt.Sprintf("%d%s", code, text)
	case OptLeaseTime, OptT1, OptT2:
		return fmt.Sprintf("%d %ds", code, binary.BigEndian.Uint32(v))
	case OptHostName, OptDomainName, OptRootPath, OptMessage, OptVendorClass, OptTFTPServerName, OptBootFileName:
		return fmt.Sprintf("%d %s", code, sanitize(v))
	}
	return fmt.Sprintf("%d %x", code, v)
}
