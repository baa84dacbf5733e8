package tmcd

import (
	"crypto/rand"
	"crypto/tls"
	"net/netip"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
)

// proof says whose key the client of a connection has. It lapses when the key
// changes.
type proof struct {
	node   string
	holder string // the machine whose PRIVKEY the key is, or is made of
	key    string // that PRIVKEY
}

// keyHolder is the machine whose PRIVKEY the kind of key is made of, or nil.
func keyHolder(s *registry.Snapshot, node *registry.Node, kind tmc2.KeyKind) *registry.Node {
	switch {
	case kind == tmc2.KeyNode && node.WideAreaKey != "":
		return node
	case kind == tmc2.KeyVNode:
		if host := machine(s, node); host != node && host.WideAreaKey != "" {
			return host
		}
	}
	return nil
}

// prove checks a client's proof; mac makes what it must be of a key. A proof
// that is not good is none: a node with an old key may still ask what its
// policy lets it.
func (c *framedConn) prove(p *tmc2.Proof, mac func(key string) tmc2.MAC) {
	s := c.s.cfg.Snapshot()
	node := s.Node(p.Node)
	if p.Node == "" {
		node = nodeAt(s, c.from)
	}
	if node != nil && mayProve(s, node, c.from) {
		if holder := keyHolder(s, node, p.Key); holder != nil {
			key := holder.WideAreaKey
			if p.Key == tmc2.KeyVNode {
				key = tmc2.VNodeKey(key, node.ID)
			}
			if mac(key).Equal(p.MAC) {
				c.proof.Store(&proof{node.ID, holder.ID, holder.WideAreaKey})
				return
			}
		}
	}
	c.s.counts.ProofsRefused.Add(1)
	c.s.cfg.Log.Debug("proof of identity not accepted", "service", "tmcd", "from", c.from, "node", p.Node)
}

// nodeAt is the node whose control address this is, or nil.
func nodeAt(s *registry.Snapshot, from netip.Addr) *registry.Node {
	port, ok := s.NodeByIP(from)
	if !ok || port.Interface.Role != registry.InterfaceControl {
		return nil
	}
	return port.Node
}

// mayProve says whether a node may ask from an address at all: a local one only
// from its own or its host's, whatever key it has.
func mayProve(s *registry.Snapshot, node *registry.Node, from netip.Addr) bool {
	host := machine(s, node)
	if t := s.Type(host.Type); t != nil && t.Remote {
		return true
	}
	at := nodeAt(s, from)
	return at != nil && (at == node || at == host) || node.JailIP.IsValid() && node.JailIP == from
}

// proven is the node that the client has proven to be and still is.
func (c *framedConn) proven(s *registry.Snapshot) string {
	p := c.proof.Load()
	if p == nil {
		return ""
	}
	holder, node := s.Node(p.holder), s.Node(p.node)
	if holder == nil || node == nil || holder.WideAreaKey != p.key || node != holder && machine(s, node) != holder {
		return ""
	}
	return p.node
}

// proveOverTLS takes the proof of the first HELLO, which is bound to the
// connection by what TLS exports.
func (c *framedConn) proveOverTLS() {
	if c.peer.Proof.Key == 0 || len(c.exported) == 0 {
		return
	}
	c.prove(&c.peer.Proof, func(key string) tmc2.MAC { return tmc2.ProofOverTLS(key, c.exported, c.peer.BootID) })
}

// challenge answers a client that wants to prove who it is in clear.
func (c *framedConn) challenge() (n tmc2.Nonce) {
	if c.peer.Nonce == (tmc2.Nonce{}) || c.transport == TLS {
		return n
	}
	_, _ = rand.Read(n[:]) // which never fails
	c.nonce = n
	return n
}

// takeProof takes the second HELLO, which answers the challenge. A challenge is
// good for one answer.
func (c *framedConn) takeProof(payload []byte) error {
	if c.nonce == (tmc2.Nonce{}) {
		return protocolError("second HELLO")
	}
	h, err := tmc2.DecodeHello(payload)
	if err != nil {
		return err
	}
	nonce := c.nonce
	c.nonce = tmc2.Nonce{}
	c.prove(&h.Proof, func(key string) tmc2.MAC { return tmc2.ProofInClear(key, c.peer.Nonce, nonce, c.peer.BootID) })
	return nil
}

// exported is what binds a proof to a TLS connection; nothing on one that gives
// none, as TLS 1.2 without the extended master secret.
func exported(state tls.ConnectionState) []byte {
	b, err := state.ExportKeyingMaterial(tmc2.ExporterLabel, nil, tmc2.ExporterBytes)
	if err != nil {
		return nil
	}
	return b
}
