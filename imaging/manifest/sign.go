package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrUnsigned is returned by Verify for a manifest without signature.
var ErrUnsigned = errors.New("manifest is not signed; ask its publisher for a signed one")

// Signed tells whether there is a signature, of whatever key.
func (m *Manifest) Signed() bool { return m.signer != [signerBytes]byte{} }

// Signer is the public key that the manifest says it is signed with, or nil.
// It is a hint for choosing a key to verify with, and proves nothing.
func (m *Manifest) Signer() ed25519.PublicKey {
	if !m.Signed() {
		return nil
	}
	return append(ed25519.PublicKey(nil), m.signer[:]...)
}

// Sign signs the manifest (RFC 8032, plain Ed25519) and replaces a signature
// that it has. The manifest must not be changed afterwards.
func (m *Manifest) Sign(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("manifest: signing key of %d bytes, want %d", len(key), ed25519.PrivateKeySize)
	}
	public := key.Public().(ed25519.PublicKey)
	old := m.signer
	copy(m.signer[:], public)
	text, err := m.signed()
	if err != nil {
		m.signer = old
		return err
	}
	copy(m.signature[:], ed25519.Sign(key, text))
	return nil
}

// Verify makes sure that the holder of key's private half signed m.
func (m *Manifest) Verify(key ed25519.PublicKey) error {
	switch {
	case len(key) != ed25519.PublicKeySize:
		return fmt.Errorf("manifest: public key of %d bytes, want %d", len(key), ed25519.PublicKeySize)
	case !m.Signed():
		return ErrUnsigned
	case string(key) != string(m.signer[:]):
		return fmt.Errorf("manifest: signed by key %x, not by %x", m.signer, []byte(key))
	}
	text, err := m.signed()
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, text, m.signature[:]) {
		return fmt.Errorf("manifest: the signature is not one of key %x over this manifest", []byte(key))
	}
	return nil
}

// ParsePublicKey reads a public key: 64 hex digits, or PEM as "openssl pkey
// -pubout" writes it (RFC 8410).
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		k, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := k.(ed25519.PublicKey); ok {
			return key, nil
		}
		return nil, notEd25519("public", err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key: want %d hex digits or a PEM file", 2*ed25519.PublicKeySize)
	}
	return b, nil
}

// ParsePrivateKey reads a private key as PEM, as "openssl genpkey -algorithm
// ed25519" writes it (RFC 8410).
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("private key: want a PEM file, of openssl genpkey -algorithm ed25519")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := k.(ed25519.PrivateKey); ok {
		return key, nil
	}
	return nil, notEd25519("private", err)
}

func notEd25519(kind string, err error) error {
	if err == nil {
		err = errors.New("key of another algorithm")
	}
	return fmt.Errorf("%s key is not one of Ed25519: %w", kind, err)
}
