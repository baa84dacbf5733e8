package tmcd

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
)

const (
	// requestsPerCommand is what each command is asked; the race detector,
	// which finds nothing in pure functions, gets less: so many, and more only
	// until one had a reply or an effect.
	requestsPerCommand     = 10_000
	requestsPerCommandRace = 200
	// strangeReplyBytesMax is over every reply of the site.
	strangeReplyBytesMax = 64 << 10
	// secretText stands in every text of the records of a neighbour.
	secretText = "SECRET"
)

// withNeighbour adds an experiment with nodes, people and all that records can
// hold. Every text in them is secretText.
func withNeighbour(site *registry.SiteFile) *registry.SiteFile {
	var (
		expt  registry.Experiment
		node  registry.Node
		run   registry.Runtime
		user  registry.User
		group registry.Group
		res   registry.Reservation
	)
	for _, v := range []any{&expt, &node, &run, &user, &group, &res} {
		fill(reflect.ValueOf(v).Elem())
	}
	node.Host, node.Role = "", ""
	for i := range node.Interfaces {
		node.Interfaces[i].Role = registry.InterfaceControl
	}
	res.Experiment = expt.Key()
	user.Status = "active"
	site.Projects = append(site.Projects, registry.Project{ID: secretText})
	site.Types = append(site.Types, registry.NodeType{Name: secretText, Class: "pc"})
	site.Experiments, site.Nodes = append(site.Experiments, expt), append(site.Nodes, node)
	site.Runtimes, site.Users = append(site.Runtimes, run), append(site.Users, user)
	site.Groups, site.Reservations = append(site.Groups, group), append(site.Reservations, res)
	return site
}

// fill sets everything: texts to secretText, numbers to one, lists to one
// element.
func fill(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("203.0.113.9")))
		return
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1e9, 0).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(secretText)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Uint8:
		v.SetUint(0x5e)
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(secretText), value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// TestStrangeRequests asks each command 10 000 times with arguments, tags and
// sources made at random, the same ones each time. Nothing panics, replies are
// bounded, a stranger gets nothing and changes nothing, and no node learns or
// changes anything of a neighbour's experiment.
func TestStrangeRequests(t *testing.T) {
	t.Parallel()
	snap := registry.NewSnapshot(withNeighbour(configuredSite(t)))
	requests := requestsPerCommand
	if raceDetector {
		requests = requestsPerCommandRace
	}
	silent := []string{"reboot", "deltas", "trafgens", "syncserver", "keyhash", "eventkey"}
	for _, cmd := range append(newCommands(), command{name: "geni_"}, command{name: "nosuch"}) {
		t.Run(cmd.name, func(t *testing.T) {
			t.Parallel()
			seed := fnv.New64()
			seed.Write([]byte(cmd.name))
			m := &stranger{rng: rand.New(rand.NewPCG(seed.Sum64(), 1)), h: fixedHandler()}
			mayAnswer := cmd.run != nil && !slices.Contains(silent, cmd.name)
			asked, answered := 0, 0
			for asked < requests || mayAnswer && answered == 0 && asked < requestsPerCommand {
				answered += m.ask(t, snap, cmd.name)
				asked++
			}
			t.Logf("%d of %d requests had a reply or an effect", answered, asked)
			if mayAnswer && answered == 0 {
				t.Error("no request got through")
			}
		})
	}
}

// stranger makes requests.
type stranger struct {
	rng *rand.Rand
	h   *Handler
}

// ask makes one request and returns 1 if it had a reply or an effect, else 0.
func (m *stranger) ask(t *testing.T, snap *registry.Snapshot, name string) int {
	data := append(m.tags(nil), name...)
	if m.rng.IntN(8) > 0 {
		data = append(data, ' ')
	}
	data = append(data, m.args()...)
	head, rest, err := ParseHead(data, true)
	if err != nil {
		return 0
	}
	from, known := m.source()
	req := Request{Head: head, From: from, Transport: Transport(m.rng.IntN(3))}
	result := m.h.Handle(snap, req, data[rest:])
	limit := strangeReplyBytesMax
	if req.Transport == UDP {
		limit = udpReplyBytesMax
	}
	switch {
	case len(result.Reply) > limit:
		t.Fatalf("%.200q from %v: a reply of %d bytes", data, from, len(result.Reply))
	case !known && len(result.Reply)+len(result.Effects) > 0:
		t.Fatalf("%.200q from the stranger %v: %q and %v", data, from, result.Reply, result.Effects)
	case bytes.Contains(result.Reply, []byte(secretText)):
		t.Fatalf("%.200q from %v tells of a neighbour: %.200q", data, from, result.Reply)
	}
	for _, e := range result.Effects {
		if node := reflect.ValueOf(e).FieldByName("Node").String(); node == secretText {
			t.Fatalf("%.200q from %v changes a neighbour: %s", data, from, effectText(e))
		}
	}
	return min(len(result.Reply)+len(result.Effects), 1)
}

// source is one of the site's nodes, or a stranger; never the appliance, which
// may ask for all, and never the neighbour.
func (m *stranger) source() (from netip.Addr, known bool) {
	switch n := m.rng.IntN(10); n {
	case 0:
		return netip.MustParseAddr("192.0.2.1"), false
	case 8:
		return netip.MustParseAddr("127.0.1.99"), false
	default:
		return netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), true
	}
}

func (m *stranger) pick(words ...string) string { return words[m.rng.IntN(len(words))] }

func (m *stranger) tags(out []byte) []byte {
	for range m.rng.IntN(4) {
		switch m.rng.IntN(16) {
		default:
			out = append(out, m.pick("VERSION=44 ", "VERSION=44 ", "VERSION=2 ", "VERSION=22 ", "VERSION=33 ", "VERSION=-1 ", "VERSION=99999 ")...)
		case 1, 2:
			out = append(out, m.pick("VNODEID=v1 ", "VNODEID=v1 ", "PROXYFOR=v1 ", "VNODEID=n2 ", "VNODEID="+secretText+" ", "PROXYFOR="+secretText+" ", " ")...)
		case 3:
			out = append(out, m.pick("REDIRECT=203.0.113.9 ", "REDIRECT=127.0.1.1 ", "USEUDP=1 ", "IDKEY=a ")...)
		case 4:
			key := strings.Repeat(m.pick("0", "f", "a9"), 8+m.rng.IntN(120))
			out = append(out, "PRIVKEY="+key+" "...)
		}
	}
	return out
}

// args are words such as commands take, and bytes such as none does.
func (m *stranger) args() []byte {
	var out []byte
	for range m.rng.IntN(6) {
		switch m.rng.IntN(5) {
		case 0, 1:
			out = append(out, m.pick("ISUP", "TBFAILED", "-1", "--", "3", "1e308", "NaN", "pubkeys", "windows", "USESFS=1", "nohex", "web", "80", "65536", "emulab-ops/I", "I:0", secretText+"/"+secretText,
				secretText, "CDVERSION=a", "CAPACITY=50", "VOLTAGE=9", "LA1=1 LA5=1 LA15=1 DUSED=1", "CAPACITY=50 VOLTAGE=9", "SSH_HOST_RSA_KEY='x'", "host: h\nport: 1\nkeylen: 1\nkey: 0\n")...)
		case 2:
			out = append(out, m.pick("%s%n%x", "../../etc/passwd", "\x1b[2J", "a=b", "''", `"`, "`id`", "\x00", "\xff\xfe", "é", "\n", "{}")...)
		case 3:
			for range m.rng.IntN(40) {
				out = append(out, byte(m.rng.Uint32()))
			}
		case 4:
			out = append(out, strings.Repeat(m.pick("x", " ", "9", "'"), m.rng.IntN(5000))...)
		}
		out = append(out, ' ')
	}
	return out
}
