package unzip

import (
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
)

// Claim keeps others from mounting the device, or its partition e if that is
// not nil, until Close. It fails with scheme.ErrBusy if it is in use.
func (t *FileTarget) Claim(e *partition.Entry) error {
	claim, err := scheme.Claim(t.f, e)
	if err == nil && claim != nil {
		t.claims = append(t.claims, claim)
	}
	return err
}

// claim claims what is to be written.
func (c *command) claim(t *FileTarget, s slice) error {
	if c.slice > 0 {
		return t.Claim(&s.entry)
	}
	return t.Claim(nil)
}
