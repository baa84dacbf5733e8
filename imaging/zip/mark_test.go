package zip_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// TestMarks makes image files of all kinds and looks at their marks.
func TestMarks(t *testing.T) {
	t.Parallel()
	old, now := noise(3<<20, 3), noise(3<<20, 3)
	now[1<<20] ^= 1
	base, state := &sig.File{}, &sig.File{}
	full := func() ndz.StateID { return base.ID() }
	none := func() ndz.StateID { return ndz.StateID{} }
	for _, c := range []struct {
		name        string
		disk        []byte
		opts        zip.Options
		base, state func() ndz.StateID
	}{
		{"full", old, zip.Options{Raw: true, Signature: base}, none, full},
		{"no signature", old, zip.Options{Raw: true}, none, none},
		{"V1", old, zip.Options{Raw: true, Version: ndz.V1, Signature: &sig.File{}}, none, none},
		{"checksums", old, zip.Options{Raw: true, Checksum: true, Signature: &sig.File{}}, none, none},
		{"V4", old, zip.Options{Raw: true, Version: ndz.V4, Signature: &sig.File{}}, none, full},
		{"delta", now, zip.Options{Raw: true, Base: base, Signature: state}, full, func() ndz.StateID { return state.ID() }},
		{"delta with checksums", now, zip.Options{Raw: true, Base: base, Signature: state, Checksum: true}, full, func() ndz.StateID { return state.ID() }},
		{"full after all", noise(3<<20, 9), zip.Options{Raw: true, Base: base, FullPercent: 1, Signature: state}, none, func() ndz.StateID { return state.ID() }},
		{"V1 delta", now, zip.Options{Raw: true, Base: base, Version: ndz.V1}, none, none},
	} {
		path := filepath.Join(t.TempDir(), "x")
		if _, err := zip.CreateFile(context.Background(), source(c.disk), path, path+".sig", c.opts); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, _ := f.Stat()
		sum, err := ndz.Info(f, info.Size())
		want := ndz.Mark{Delta: !c.base().IsZero(), Base: c.base(), State: c.state()}
		if err != nil || sum.Mark != want {
			t.Errorf("%s: mark %+v, want %+v; %v", c.name, sum.Mark, want, err)
		}
	}
}
