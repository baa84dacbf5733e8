package view_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// partly is a disk of which data is in use.
func partly(t testing.TB, disk []byte, data []freemap.Range) *view.Disk {
	t.Helper()
	var out bytes.Buffer
	layout := &zip.Layout{Scheme: "test", Sectors: uint64(len(disk) / ndz.SectorBytes), Data: data}
	src := zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
	if _, err := zip.Write(context.Background(), src, layout, &out, zip.Options{}); err != nil {
		t.Fatal(err)
	}
	d, err := view.Stack(t.Context(), false, view.Layer{Image: openImage(t, out.Bytes(), view.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inUse is random parts of so many sectors, whole units of what is compared.
func inUse(r *rand.Rand, sectors uint64) (list []freemap.Range) {
	for at := uint64(0); at < sectors; {
		start := at + 8*r.Uint64N(200)
		at = start + 8*(1+r.Uint64N(600))
		list = freemap.Append(list, min(start, sectors), min(at, sectors))
	}
	return list
}

// TestDiff holds differences against a comparison sector by sector.
func TestDiff(t *testing.T) {
	t.Parallel()
	const sectors = 12000
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := random(r, sectors)
		q := bytes.Clone(p)
		for range 30 {
			q[r.IntN(len(q))] ^= 1
		}
		inP, inQ := inUse(r, sectors), inUse(r, sectors)
		a, b := partly(t, p, inP), partly(t, q, inQ)
		var got []view.Difference
		done := int64(0)
		err := view.Diff(t.Context(), a, b, func(n int64) { done = n }, func(d view.Difference) error { got = append(got, d); return nil })
		if want := bySector(p, q, inP, inQ); err != nil || !slices.Equal(got, want) {
			t.Errorf("seed %d: %d differences, %v, want %d", seed, len(got), err, len(want))
		}
		if done != view.Common(a, b) || done == 0 {
			t.Errorf("seed %d: %d bytes compared of %d", seed, done, view.Common(a, b))
		}
	}
}

// bySector compares what lies at the same place in two disks.
func bySector(p, q []byte, inP, inQ []freemap.Range) (list []view.Difference) {
	const unit = 8
	for at := uint64(0); at < uint64(len(p)/ndz.SectorBytes); at += unit {
		r := freemap.Range{Start: at, End: at + unit}
		a, b := len(freemap.Overlap(inP, r)) > 0, len(freemap.Overlap(inQ, r)) > 0
		kind := view.Changed
		switch from, to := at*ndz.SectorBytes, (at+unit)*ndz.SectorBytes; {
		case a && !b:
			kind = view.Freed
		case b && !a:
			kind = view.New
		case !a || bytes.Equal(p[from:to], q[from:to]):
			continue
		}
		if n := len(list); n > 0 && list[n-1].Kind == kind && list[n-1].End == at {
			list[n-1].End = r.End
		} else {
			list = append(list, view.Difference{Range: r, Kind: kind})
		}
	}
	return list
}

// TestDiffStops ends with the first error of who is told.
func TestDiffStops(t *testing.T) {
	t.Parallel()
	disk := random(rand.New(rand.NewPCG(1, 1)), 4096)
	a, b := partly(t, disk, []freemap.Range{{Start: 0, End: 4096}}), partly(t, disk, []freemap.Range{{Start: 0, End: 8}, {Start: 16, End: 24}})
	full, calls := errors.New("nobody reads"), 0
	if err := view.Diff(t.Context(), a, b, nil, func(view.Difference) error { calls++; return full }); err != full || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
