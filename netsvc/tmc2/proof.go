package tmc2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Nonce is 16 random bytes of one side of one connection.
type Nonce [16]byte

// MAC is an HMAC-SHA-256.
type MAC [sha256.Size]byte

// KeyKind says which key a proof was made with.
type KeyKind uint8

// Kinds of keys. Proofs with others are no proofs.
const (
	KeyNode  KeyKind = 1 // the node's PRIVKEY
	KeyVNode KeyKind = 2 // VNodeKey of a virtual node, which speaks for that alone
)

// Proof shows in a HELLO that its sender has a node's key (docs/tmc2.md). A key
// is its text: a PRIVKEY as it stands in its file.
type Proof struct {
	Key  KeyKind
	MAC  MAC
	Node string // whose key it is; "" is the node at the sender's address
}

// Exporter of TLS (RFC 5705, RFC 8446 section 7.5), without context, whose bytes
// bind a proof to its connection.
const (
	ExporterLabel = "tmc2-auth"
	ExporterBytes = 32
)

// Labels keep what is authenticated for one purpose from use for another.
const (
	clearLabel = "tmc2-clear"
	vnodeLabel = "tmc2-vnode"
)

// ProofOverTLS authenticates a boot id and what ExporterLabel gives on the
// connection.
func ProofOverTLS(key string, exported []byte, boot BootID) MAC {
	return authenticate(key, exported, boot[:])
}

// ProofInClear authenticates the nonces of both HELLOs and a boot id. It shows
// who began the connection, and nothing of who goes on with it.
func ProofInClear(key string, client, server Nonce, boot BootID) MAC {
	return authenticate(key, []byte(clearLabel), client[:], server[:], boot[:])
}

// VNodeKey is the key that a host gives a virtual node: 64 hexadecimal digits.
// It is made of the host's own, so that a server has none to store.
func VNodeKey(hostKey, vnode string) string {
	mac := authenticate(hostKey, []byte(vnodeLabel), []byte(vnode))
	return hex.EncodeToString(mac[:])
}

// Equal compares in a time that says nothing of where they differ.
func (m MAC) Equal(o MAC) bool { return hmac.Equal(m[:], o[:]) }

func authenticate(key string, parts ...[]byte) (mac MAC) {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(slices.Concat(parts...))
	h.Sum(mac[:0])
	return mac
}

// append appends the value of tagProof: u8 kind, the MAC, and the name.
func (p *Proof) append(b []byte) []byte {
	name := p.Node[:min(len(p.Node), NameBytesMax)]
	b = append(appendTag(b, tagProof, uint16(1+len(p.MAC)+len(name))), byte(p.Key))
	return append(append(b, p.MAC[:]...), name...)
}

// read takes the value of tagProof; false if it is none.
func (p *Proof) read(v *cursor) bool {
	p.Key = KeyKind(v.u8())
	copy(p.MAC[:], v.take(len(p.MAC)))
	p.Node = string(v.b)
	return p.Key != 0 && len(p.Node) <= NameBytesMax
}
