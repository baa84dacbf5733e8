package ndz

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync"
)

const (
	blowfishBlockBytes = 8
	blowfishRounds     = 16
	// KeyBytes is the length of the key of an encrypted image.
	KeyBytes = 32
)

// blowfish is Schneier's cipher, which old images are encrypted with. It is
// here to read and write those, not as a recommendation.
type blowfish struct {
	p [blowfishRounds + 2]uint32
	s [4][256]uint32
}

// piWords are the first fractional bits of pi, the cipher's nothing-up-my-
// sleeve numbers: 18 words of P, then 4 x 256 of S.
var piWords = sync.OnceValue(func() []uint32 {
	const words = blowfishRounds + 2 + 4*256
	const bits, guard = words * 32, 64
	one := new(big.Int).Lsh(big.NewInt(1), bits+guard)
	// Machin: pi = 16 atan(1/5) - 4 atan(1/239)
	pi := new(big.Int).Mul(big.NewInt(16), inverseAtan(one, 5))
	pi.Sub(pi, new(big.Int).Mul(big.NewInt(4), inverseAtan(one, 239)))
	pi.Rsh(pi, guard)
	pi.Sub(pi, new(big.Int).Lsh(big.NewInt(3), bits))
	b := pi.FillBytes(make([]byte, bits/8))
	out := make([]uint32, words)
	for i := range out {
		out[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return out
})

// inverseAtan is atan(1/x), scaled by one.
func inverseAtan(one *big.Int, x int64) *big.Int {
	term := new(big.Int).Quo(one, big.NewInt(x))
	sum := new(big.Int).Set(term)
	square, part := big.NewInt(x*x), new(big.Int)
	for n := int64(3); term.Sign() != 0; n += 2 {
		term.Quo(term, square)
		part.Quo(term, big.NewInt(n))
		if n%4 == 3 {
			sum.Sub(sum, part)
		} else {
			sum.Add(sum, part)
		}
	}
	return sum
}

func newBlowfish(key []byte) (*blowfish, error) {
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("encryption key of %d bytes, want %d", len(key), KeyBytes)
	}
	c := &blowfish{}
	words := piWords()
	n := copy(c.p[:], words)
	for i := range c.s {
		n += copy(c.s[i][:], words[n:])
	}
	for i := range c.p {
		c.p[i] ^= binary.BigEndian.Uint32(key[4*i%KeyBytes:])
	}
	c.schedule()
	return c, nil
}

func (c *blowfish) schedule() {
	var l, r uint32
	for i := 0; i < len(c.p); i += 2 {
		l, r = c.encrypt(l, r)
		c.p[i], c.p[i+1] = l, r
	}
	for b := range c.s {
		for i := 0; i < len(c.s[b]); i += 2 {
			l, r = c.encrypt(l, r)
			c.s[b][i], c.s[b][i+1] = l, r
		}
	}
}

func (c *blowfish) f(x uint32) uint32 {
	return (c.s[0][x>>24] + c.s[1][x>>16&255]) ^ c.s[2][x>>8&255] + c.s[3][x&255]
}

func (c *blowfish) encrypt(l, r uint32) (uint32, uint32) {
	for i := 0; i < blowfishRounds; i += 2 {
		l ^= c.p[i]
		r ^= c.f(l)
		r ^= c.p[i+1]
		l ^= c.f(r)
	}
	return r ^ c.p[blowfishRounds+1], l ^ c.p[blowfishRounds]
}

func (c *blowfish) decrypt(l, r uint32) (uint32, uint32) {
	for i := blowfishRounds; i > 0; i -= 2 {
		l ^= c.p[i+1]
		r ^= c.f(l)
		r ^= c.p[i]
		l ^= c.f(r)
	}
	return r ^ c.p[0], l ^ c.p[1]
}

// BlockSize, Encrypt and Decrypt make it a cipher.Block, for CBC mode.
func (c *blowfish) BlockSize() int { return blowfishBlockBytes }

func (c *blowfish) Encrypt(dst, src []byte) {
	l, r := c.encrypt(binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:]))
	binary.BigEndian.PutUint32(dst, l)
	binary.BigEndian.PutUint32(dst[4:], r)
}

func (c *blowfish) Decrypt(dst, src []byte) {
	l, r := c.decrypt(binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:]))
	binary.BigEndian.PutUint32(dst, l)
	binary.BigEndian.PutUint32(dst[4:], r)
}

// decryptPayload appends the plain payload of h to dst.
func (c *blowfish) decryptPayload(dst []byte, h *Header, payload []byte) ([]byte, error) {
	at := len(dst)
	dst = append(dst, payload...)
	cipher.NewCBCDecrypter(c, h.IV[:blowfishBlockBytes]).CryptBlocks(dst[at:], payload)
	pad := int(dst[len(dst)-1])
	if pad == 0 || pad > blowfishBlockBytes {
		return nil, errors.New("wrong padding after decryption, wrong key?")
	}
	return dst[:len(dst)-pad], nil
}

// encryptPayload pads and encrypts payload, with the IV in h.
func (c *blowfish) encryptPayload(h *Header, payload []byte) []byte {
	pad := blowfishBlockBytes - len(payload)%blowfishBlockBytes
	for range pad {
		payload = append(payload, byte(pad))
	}
	cipher.NewCBCEncrypter(c, h.IV[:blowfishBlockBytes]).CryptBlocks(payload, payload)
	return payload
}
