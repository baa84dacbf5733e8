package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
)

// KeyBytes and TagBytes are the lengths of a session key and of what it makes.
const (
	KeyBytes = 32
	TagBytes = 16
)

// ErrKey says that bytes are no session key.
var ErrKey = errors.New("a session key has 32 bytes")

// Key is the secret of an image session: server and clients of mode 2 that have
// it know each other's packets from those of strangers. It is handed out on a
// way of its own, which is encrypted.
type Key [KeyBytes]byte

// NewKey returns the key in b.
func NewKey(b []byte) (*Key, error) {
	if len(b) != KeyBytes {
		return nil, ErrKey
	}
	k := Key(b)
	return &k, nil
}

// derive makes a key for one use in one session.
func (k *Key) derive(use string, port uint16, imageID uint64) []byte {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte("hyzer frisbee 2 " + use))
	h.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(nil, port), imageID))
	return h.Sum(nil)
}

// BlockKey makes and checks the tags of BLOCK, PARITY and MANIFEST of one
// version of an image: GMAC, whose nonce is the start of the trailer. That
// never repeats: an epoch is when the server started, in milliseconds, and in
// an epoch no two datagrams have both sequence number and time of another.
type BlockKey struct {
	imageID uint64
	aead    cipher.AEAD
}

// Blocks returns the key for blocks of the image sent in the session at port.
// That of no Key is nil.
func (k *Key) Blocks(port uint16, imageID uint64) *BlockKey {
	if k == nil {
		return nil
	}
	c, err := aes.NewCipher(k.derive("blocks", port, imageID)[:16])
	if err != nil {
		panic(err) // of the key's length only
	}
	aead, err := cipher.NewGCM(c)
	if err != nil {
		panic(err) // of the cipher's block size only
	}
	return &BlockKey{imageID: imageID, aead: aead}
}

const nonceBytes = 12

// seal writes the tag of a datagram over its last TagBytes.
func (k *BlockKey) seal(frame []byte) {
	at := len(frame) - TagBytes
	k.aead.Seal(frame[at:at], trailerNonce(frame), nil, frame[:at])
}

// genuine says whether the tag at the end of a datagram is right.
func (k *BlockKey) genuine(datagram []byte) bool {
	at := len(datagram) - TagBytes
	_, err := k.aead.Open(nil, trailerNonce(datagram), datagram[at:], datagram[:at])
	return err == nil
}

func trailerNonce(datagram []byte) []byte {
	return datagram[len(datagram)-TrailerBytes:][:nonceBytes]
}

// ControlKey makes and checks the tags of all other packets of a session. It is
// for one goroutine.
type ControlKey struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// Control returns the key for the session at port. That of no Key is nil.
func (k *Key) Control(port uint16) *ControlKey {
	if k == nil {
		return nil
	}
	return &ControlKey{mac: hmac.New(sha256.New, k.derive("control", port, 0))}
}

// Sign writes the tag of a datagram over its last TagBytes, which Append or
// AppendOffer or AppendGrant left zero. Without a key they stay so.
func (k *ControlKey) Sign(datagram []byte) []byte {
	if k != nil {
		copy(datagram[len(datagram)-TagBytes:], k.tag(datagram))
	}
	return datagram
}

// Genuine says whether the tag at the end of a datagram is right. Without a key
// nothing is.
func (k *ControlKey) Genuine(datagram []byte) bool {
	return k != nil && len(datagram) >= TagBytes && hmac.Equal(datagram[len(datagram)-TagBytes:], k.tag(datagram))
}

func (k *ControlKey) tag(datagram []byte) []byte {
	k.mac.Reset()
	k.mac.Write(datagram[:len(datagram)-TagBytes])
	return k.mac.Sum(k.sum[:0])[:TagBytes]
}
