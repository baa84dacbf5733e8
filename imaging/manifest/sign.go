package manifest

import (
	"crypto/ed25519"
	"encoding/hex"
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

// ParsePublicKey reads a public key as 64 hex digits, as String of a Signer
// would be written.
func ParsePublicKey(s string) (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key %q: want %d hex digits", s, 2*ed25519.PublicKeySize)
	}
	return b, nil
}
