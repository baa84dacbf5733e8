// Package sigtest shows the tests of imaging's packages what is in a signature.
package sigtest

import (
	"bytes"
	"testing"

	"hyzer/imaging/sig"
)

// Records are all records of a signature.
func Records(t testing.TB, f *sig.File) []sig.Record {
	t.Helper()
	var all []sig.Record
	c := f.From(0)
	for c.Next() {
		all = append(all, c.Record())
	}
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	return all
}

// Bytes is a signature as it is stored.
func Bytes(t testing.TB, f *sig.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := f.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
