package ndz

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

const (
	signedBlockBytes  = 64 // RSA-512
	signedPlainBytes  = 53 // the digest, then filler
	signingKeyLines   = 5
	keyFileLineMax    = 1024
	publicExponentMax = 1 << 31
)

// SigningKey is the RSA-512 key pair of one image (spec ndz, 1.6). The format
// gives the private half to every reader, so a signature made with it shows
// damage and not who made the image.
type SigningKey struct {
	N, E             *big.Int
	DMP1, DMQ1, QInv *big.Int // as stored; only N and E are needed to verify
	d                *big.Int // of a new key
}

// publicExponent is what all signing keys have.
const publicExponent = 17

// NewSigningKey makes a key pair. Its 512 bits are what the format has room
// for, and are no protection against forgery.
func NewSigningKey() (*SigningKey, error) {
	one, e := big.NewInt(1), big.NewInt(publicExponent)
	for {
		p, err := rand.Prime(rand.Reader, 8*signedBlockBytes/2)
		if err != nil {
			return nil, err
		}
		q, err := rand.Prime(rand.Reader, 8*signedBlockBytes/2)
		if err != nil {
			return nil, err
		}
		n := new(big.Int).Mul(p, q)
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		d := new(big.Int).ModInverse(e, new(big.Int).Mul(p1, q1))
		if d == nil || n.BitLen() != 8*signedBlockBytes || p.Cmp(q) == 0 {
			continue
		}
		return &SigningKey{
			N: n, E: e, DMP1: new(big.Int).Mod(d, p1), DMQ1: new(big.Int).Mod(d, q1),
			QInv: new(big.Int).ModInverse(q, p), d: d,
		}, nil
	}
}

// Text is the key as a .skey file.
func (k *SigningKey) Text() []byte {
	return fmt.Appendf(nil, "%X\n%X\n%X\n%X\n%X\n", k.N, k.E, k.DMP1, k.DMQ1, k.QInv)
}

// sign makes the checksum field for a digest.
func (k *SigningKey) sign(digest []byte) []byte {
	m := bytes.Repeat([]byte{0xff}, signedBlockBytes)
	pad := signedBlockBytes - signedPlainBytes
	m[0], m[1], m[pad-1] = 0, 1, 0
	clear(m[pad:])
	copy(m[pad:], digest)
	c := new(big.Int).Exp(new(big.Int).SetBytes(m), k.d, k.N)
	return c.FillBytes(make([]byte, signedBlockBytes))
}

// ParseSigningKey reads a .skey file: n, e, dmp1, dmq1 and iqmp, one line of
// hex each.
func ParseSigningKey(text []byte) (*SigningKey, error) {
	lines := strings.Fields(string(text[:min(len(text), signingKeyLines*keyFileLineMax)]))
	if len(lines) != signingKeyLines {
		return nil, fmt.Errorf("signing key: %d lines, want %d (n, e, dmp1, dmq1, iqmp)", len(lines), signingKeyLines)
	}
	var n [signingKeyLines]*big.Int
	for i, line := range lines {
		v, ok := new(big.Int).SetString(line, 16)
		if !ok || v.Sign() <= 0 {
			return nil, fmt.Errorf("signing key: line %d is not a hex number", i+1)
		}
		n[i] = v
	}
	k := &SigningKey{N: n[0], E: n[1], DMP1: n[2], DMQ1: n[3], QInv: n[4]}
	if k.N.BitLen() > 8*signedBlockBytes || k.E.Cmp(big.NewInt(publicExponentMax)) > 0 {
		return nil, errors.New("signing key: not RSA-512")
	}
	return k, nil
}

// ParseKey reads a .ekey file: one line of 64 hex digits.
func ParseKey(text []byte) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(string(text[:min(len(text), keyFileLineMax)])))
	if err != nil || len(key) != KeyBytes {
		return nil, fmt.Errorf("encryption key: want one line of %d hex digits", 2*KeyBytes)
	}
	return key, nil
}

// digest undoes the signature in sum: the first 20 bytes under the padding.
func (k *SigningKey) digest(sum []byte) ([]byte, error) {
	c := new(big.Int).SetBytes(sum[:signedBlockBytes])
	if c.Cmp(k.N) >= 0 {
		return nil, errors.New("signature is larger than the key's modulus")
	}
	m := new(big.Int).Exp(c, k.E, k.N).FillBytes(make([]byte, signedBlockBytes))
	pad := signedBlockBytes - signedPlainBytes
	if m[0] != 0 || m[1] != 1 || m[pad-1] != 0 ||
		!bytes.Equal(m[2:pad-1], bytes.Repeat([]byte{0xff}, pad-3)) {
		return nil, errors.New("signature was not made with this key")
	}
	return m[pad:][:sha1.Size], nil
}

// chunkDigest is SHA-1 over the header area, its checksum field taken as
// zero, and the payload. The padding at the end of the chunk is not in it.
func chunkDigest(chunk []byte, h *Header) []byte {
	s := sha1.New()
	s.Write(chunk[:offSum])
	s.Write(make([]byte, offImageID-offSum))
	s.Write(chunk[offImageID : HeaderAreaBytes+h.PayloadBytes])
	return s.Sum(nil)
}

// checkSum holds the checksum of the chunk against its bytes. key is needed
// for a signed one.
func checkSum(chunk []byte, h *Header, key *SigningKey) error {
	want := h.Sum[:sha1.Size]
	switch {
	case h.Checksum == ChecksumNone:
		return faultf(offChecksum, "chunk has no checksum to verify")
	case h.Checksum == ChecksumSignedSHA1 && key == nil:
		return faultf(offChecksum, "checksum is signed; give the signing key (.skey) of the image")
	case h.Checksum == ChecksumSignedSHA1:
		d, err := key.digest(h.Sum[:])
		if err != nil {
			return &FormatError{Chunk: -1, Offset: offSum, Reason: "checksum", Err: err}
		}
		want = d
	}
	if got := chunkDigest(chunk, h); !bytes.Equal(got, want) {
		return faultf(offSum, "checksum %x does not match the chunk, %x", want, got)
	}
	return nil
}
