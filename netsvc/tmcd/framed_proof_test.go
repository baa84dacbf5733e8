package tmcd

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

const (
	hostKey  = "0123456789abcdef0123456789abcdef"
	otherKey = "fedcba9876543210fedcba9876543210"
)

// provenSite is a host with two virtual nodes, one of which has an address, a
// node with another key, one without, and a remote one.
func provenSite(policy string) *registry.SiteFile {
	site := loopSite()
	site.Types[0].Attributes = map[string]string{AttributePolicy: policy}
	site.Types = append(site.Types, registry.NodeType{Name: "far", Class: "pc", Remote: true, Attributes: site.Types[0].Attributes})
	site.Nodes[0].WideAreaKey, site.Nodes[1].WideAreaKey = hostKey, otherKey
	control := func(ip string) []registry.Interface {
		return []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: addrOf(ip)}}
	}
	site.Nodes = append(site.Nodes,
		registry.Node{ID: "v1", Type: "t", Host: "n1", JailIP: addrOf("127.0.1.11")},
		registry.Node{ID: "v2", Type: "t", Host: "n1", JailIP: addrOf("127.0.1.12")},
		registry.Node{ID: "n3", Type: "t", Interfaces: control("127.0.1.3")},
		registry.Node{ID: "far", Type: "far", WideAreaKey: "00112233445566778899aabbccddeeff"})
	site.Experiments[0].KeyHash = "h"
	for _, id := range []string{"n2", "v1", "v2", "n3", "far"} {
		site.Reservations = append(site.Reservations, registry.Reservation{Node: id, Experiment: "p/e", VName: id})
	}
	return site
}

// proving opens a connection and answers the challenge, if mac is not nil.
func proving(t *testing.T, s *Server, from string, p tmc2.Proof, mac func(client, server tmc2.Nonce, boot tmc2.BootID) tmc2.MAC) *rawFramed {
	t.Helper()
	h := tmc2.UsualHello()
	h.BootID[0], h.Nonce[0] = 1, 1
	c := &rawFramed{tb: t, conn: dial(t, s, from)}
	c.send(tmc2.AppendFrame([]byte(tmc2.Preamble), tmc2.Frame{Type: tmc2.TypeHello, Payload: tmc2.AppendHello(nil, &h)}))
	f, err := c.next()
	answer, decodeErr := tmc2.DecodeHello(f.Payload)
	if err != nil || decodeErr != nil || answer.Nonce == (tmc2.Nonce{}) {
		t.Fatalf("%+v, %v, %v", answer, err, decodeErr)
	}
	if mac == nil {
		return c
	}
	second := tmc2.UsualHello()
	second.Proof = p
	second.Proof.MAC = mac(h.Nonce, answer.Nonce, h.BootID)
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeHello, Payload: tmc2.AppendHello(nil, &second)}))
	return c
}

func withKey(key string) func(client, server tmc2.Nonce, boot tmc2.BootID) tmc2.MAC {
	return func(client, server tmc2.Nonce, boot tmc2.BootID) tmc2.MAC {
		return tmc2.ProofInClear(key, client, server, boot)
	}
}

// asking is a request for a node.
func asking(stream uint32, vnode, command string) []byte {
	r := tmc2.Request{ID: uint64(stream), Command: []byte(command), VNode: []byte(vnode)}
	return tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: stream, Payload: tmc2.AppendRequest(nil, &r)})
}

// TestProofInClear asks for a secret under each policy, with proofs of all
// kinds.
func TestProofInClear(t *testing.T) {
	t.Parallel()
	const hash, needs = "1 0 KEYHASH HASH='h'\n", "1 23 "
	node := tmc2.Proof{Key: tmc2.KeyNode}
	guest := func(id string) tmc2.Proof { return tmc2.Proof{Key: tmc2.KeyVNode, Node: id} }
	replayed := func(_, server tmc2.Nonce, boot tmc2.BootID) tmc2.MAC {
		return tmc2.ProofInClear(hostKey, tmc2.Nonce{1}, tmc2.Nonce{2}, boot) // of another connection
	}
	for _, policy := range []string{"auth-for-secrets", "auth-always"} {
		snapshot := registry.NewSnapshot(provenSite(policy))
		s, _ := startServer(t, func(c *Config) { c.Snapshot = func() *registry.Snapshot { return snapshot } })
		for _, tc := range []struct {
			name, from string
			proof      tmc2.Proof
			mac        func(client, server tmc2.Nonce, boot tmc2.BootID) tmc2.MAC
			vnode      string
			want       string
		}{
			{"none", "127.0.1.1", node, nil, "", needs},
			{"the node's", "127.0.1.1", node, withKey(hostKey), "", hash},
			{"the node's, by name", "127.0.1.1", tmc2.Proof{Key: tmc2.KeyNode, Node: "n1"}, withKey(hostKey), "", hash},
			{"another node's key", "127.0.1.1", node, withKey(otherKey), "", needs},
			{"of another connection", "127.0.1.1", node, replayed, "", needs},
			{"another node's, from a neighbour", "127.0.1.2", tmc2.Proof{Key: tmc2.KeyNode, Node: "n1"}, withKey(hostKey), "", needs},
			{"of a node without a key", "127.0.1.3", node, withKey(""), "", needs},
			{"an unknown kind", "127.0.1.1", tmc2.Proof{Key: 77}, withKey(hostKey), "", needs},
			{"of an unknown node", "127.0.1.1", tmc2.Proof{Key: tmc2.KeyNode, Node: "nobody"}, withKey(hostKey), "", needs},
			{"the host's, for a virtual node", "127.0.1.1", node, withKey(hostKey), "v1", hash},
			{"a virtual node's, from its own address", "127.0.1.11", guest("v1"), withKey(tmc2.VNodeKey(hostKey, "v1")), "v1", hash},
			{"a virtual node's, from its host's", "127.0.1.1", guest("v1"), withKey(tmc2.VNodeKey(hostKey, "v1")), "v1", hash},
			{"a virtual node's, for its host", "127.0.1.1", guest("v1"), withKey(tmc2.VNodeKey(hostKey, "v1")), "", needs},
			{"a virtual node's, for another", "127.0.1.1", guest("v1"), withKey(tmc2.VNodeKey(hostKey, "v1")), "v2", needs},
			{"a virtual node's, made of another host's", "127.0.1.1", guest("v1"), withKey(tmc2.VNodeKey(otherKey, "v1")), "v1", needs},
			{"another virtual node's key", "127.0.1.1", guest("v1"), withKey(tmc2.VNodeKey(hostKey, "v2")), "v1", needs},
			{"the host's key as a virtual node's", "127.0.1.1", guest("v1"), withKey(hostKey), "v1", needs},
			{"a machine as a virtual node", "127.0.1.1", guest("n1"), withKey(tmc2.VNodeKey(hostKey, "n1")), "", needs},
		} {
			c := proving(t, s, tc.from, tc.proof, tc.mac)
			c.send(asking(1, tc.vnode, "keyhash"))
			if got := c.answer(); got != tc.want {
				t.Errorf("%s, %s: %q, want %q", policy, tc.name, got, tc.want)
			}
			c.conn.Close()
		}
	}
}

// TestProofOfRemoteNodes: a node from an unknown address is who it has proven to
// be; what needs TLS of it still does.
func TestProofOfRemoteNodes(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(provenSite("auth-always"))
	s, _ := startServer(t, func(c *Config) { c.Snapshot = func() *registry.Snapshot { return snapshot } })
	c := proving(t, s, "127.0.1.99", tmc2.Proof{Key: tmc2.KeyNode, Node: "far"}, withKey("00112233445566778899aabbccddeeff"))
	for i, want := range []struct{ command, answer string }{{"nodeid", "0 far\n"}, {"keyhash", "23 "}} {
		c.send(asking(uint32(2*i+1), "", want.command))
		if got := c.answer(); got != fmt.Sprintf("%d %s", 2*i+1, want.answer) {
			t.Errorf("%s: %q, want %q", want.command, got, want.answer)
		}
	}
}

// TestChallengeIsAnsweredOnce: neither without a challenge nor after its answer
// is there another HELLO.
func TestChallengeIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	snapshot := registry.NewSnapshot(provenSite("legacy-ok"))
	s, _ := startServer(t, func(c *Config) { c.Snapshot = func() *registry.Snapshot { return snapshot } })
	for _, right := range []bool{true, false} {
		key := hostKey
		if !right {
			key = otherKey
		}
		c := proving(t, s, "127.0.1.1", tmc2.Proof{Key: tmc2.KeyNode}, withKey(key))
		c.send(asking(1, "", "nodeid"))
		if got := c.answer(); got != "1 0 n1\n" {
			t.Errorf("right %t: %q", right, got)
		}
		again := tmc2.UsualHello()
		again.Proof = tmc2.Proof{Key: tmc2.KeyNode}
		c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeHello, Payload: tmc2.AppendHello(nil, &again)}))
		if got := c.answer(); got != "goaway 13" {
			t.Errorf("right %t, another: %q", right, got)
		}
	}
}

// TestProofLapses on an open connection, with the key and with the place of the
// virtual node.
func TestProofLapses(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, provenSite("auth-always"))
	s, _ := startServer(t, func(c *Config) { c.Snapshot = reg.Snapshot })
	change := func(node string, do func(*registry.Node)) {
		t.Helper()
		_, err := reg.Update(context.Background(), func(tx *registry.Tx) error {
			n, err := registry.Get[registry.Node](tx, node)
			if err != nil {
				return err
			}
			do(n)
			return registry.Put(tx, n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	host := proving(t, s, "127.0.1.1", tmc2.Proof{Key: tmc2.KeyNode}, withKey(hostKey))
	first := proving(t, s, "127.0.1.1", tmc2.Proof{Key: tmc2.KeyVNode, Node: "v1"}, withKey(tmc2.VNodeKey(hostKey, "v1")))
	second := proving(t, s, "127.0.1.12", tmc2.Proof{Key: tmc2.KeyVNode, Node: "v2"}, withKey(tmc2.VNodeKey(hostKey, "v2")))
	stream := uint32(1)
	check := func(when string, want ...bool) {
		t.Helper()
		for i, c := range []*rawFramed{host, first, second} {
			c.send(asking(stream, []string{"", "v1", "v2"}[i], "nodeid"))
			wanted := fmt.Sprintf("%d 0 %s\n", stream, []string{"n1", "v1", "v2"}[i])
			if got := c.answer(); (got == wanted) != want[i] {
				t.Errorf("%s: connection %d: %q, proven should be %t", when, i, got, want[i])
			}
		}
		stream += 2
	}
	check("at first", true, true, true)
	change("v2", func(n *registry.Node) { n.Host = "n2" })
	check("moved to another host", true, true, false)
	change("n1", func(n *registry.Node) { n.WideAreaKey = "" })
	check("the key is gone", false, false, false)
	change("n1", func(n *registry.Node) { n.WideAreaKey = hostKey })
	check("the key is back", true, true, false)
}

// TestProofOverTLS: the proof is bound to the connection. That of another, or of
// the form for clear connections, is none.
func TestProofOverTLS(t *testing.T) {
	t.Parallel()
	snapshot, site := registry.NewSnapshot(provenSite("auth-always")), newAuthority(t, "site")
	s, _ := startServer(t, func(c *Config) {
		c.Snapshot = func() *registry.Snapshot { return snapshot }
		c.TLS = &tls.Config{Certificates: []tls.Certificate{site.issue("boss", time.Hour)}}
	})
	var last []byte
	for _, tc := range []struct {
		name    string
		version uint16
		mac     func(exported []byte, boot tmc2.BootID) tmc2.MAC
		want    string
	}{
		{"this connection's", tls.VersionTLS13, func(e []byte, b tmc2.BootID) tmc2.MAC { return tmc2.ProofOverTLS(hostKey, e, b) }, "1 0 n1\n"},
		{"of TLS 1.2", tls.VersionTLS12, func(e []byte, b tmc2.BootID) tmc2.MAC { return tmc2.ProofOverTLS(hostKey, e, b) }, "1 0 n1\n"},
		{"another connection's", tls.VersionTLS13, func(_ []byte, b tmc2.BootID) tmc2.MAC { return tmc2.ProofOverTLS(hostKey, last, b) }, "1 22 "},
		{"another key's", tls.VersionTLS13, func(e []byte, b tmc2.BootID) tmc2.MAC { return tmc2.ProofOverTLS(otherKey, e, b) }, "1 22 "},
		{"another boot's", tls.VersionTLS13, func(e []byte, _ tmc2.BootID) tmc2.MAC { return tmc2.ProofOverTLS(hostKey, e, tmc2.BootID{9}) }, "1 22 "},
		{"of a clear connection", tls.VersionTLS13, func(_ []byte, b tmc2.BootID) tmc2.MAC {
			return tmc2.ProofInClear(hostKey, tmc2.Nonce{}, tmc2.Nonce{}, b)
		}, "1 22 "},
	} {
		secured := tls.Client(dial(t, s, "127.0.1.1"), &tls.Config{RootCAs: site.pool(), ServerName: "boss", MaxVersion: tc.version})
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		state := secured.ConnectionState()
		export, err := state.ExportKeyingMaterial(tmc2.ExporterLabel, nil, tmc2.ExporterBytes)
		if err != nil {
			t.Fatal(err)
		}
		h := tmc2.UsualHello()
		h.BootID[0] = 1
		h.Proof = tmc2.Proof{Key: tmc2.KeyNode, MAC: tc.mac(export, h.BootID)}
		c := &rawFramed{tb: t, conn: secured}
		c.send(tmc2.AppendFrame([]byte(tmc2.Preamble), tmc2.Frame{Type: tmc2.TypeHello, Payload: tmc2.AppendHello(nil, &h)}))
		c.send(asking(1, "", "nodeid"))
		if f, err := c.next(); err != nil || f.Type != tmc2.TypeHello {
			t.Fatal(tc.name, f.Type, err)
		}
		if got := c.answer(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		last = export
	}
}

func addrOf(text string) netip.Addr { return netip.MustParseAddr(text) }
