package ndz

import (
	"bytes"
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
	k := &SigningKey{n[0], n[1], n[2], n[3], n[4]}
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
