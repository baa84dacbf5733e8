package emulab_test

import (
	"context"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"hyzer/storage/registry/emulab"
	"hyzer/storage/registry/emulab/emulabtest"
)

// literals are the values of a dump.
var literals = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|\b\d+\b|NULL`)

// TestDamagedDumps changes values of a dump at random, the same ones each time.
// Whatever stands in a row, what Import makes of it satisfies the registry.
func TestDamagedDumps(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile("../../../netsvc/tmcd/testdata/configured.sql")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(dump), strings.ReplaceAll(smallSite, "\n ", " ")}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 100 {
		text := damage(rng, texts[round%len(texts)])
		file, _, err := emulab.Import(emulab.Options{}, strings.NewReader(text))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		reg := emulabtest.Open(t, nil)
		if err := reg.Import(context.Background(), file); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// damage replaces a few values by others, of the dump or odd ones.
func damage(rng *rand.Rand, text string) string {
	places := literals.FindAllStringIndex(text, -1)
	odd := []string{"''", "'bad name'", "'../x'", "-1", "0", "129", "99999999999999999999", "NULL", `'a\nb'`, "'255.255.255.255'", "'\xff\xfe'", "0x00"}
	for range 1 + rng.IntN(12) {
		at := places[rng.IntN(len(places))]
		value := odd[rng.IntN(len(odd))]
		if rng.IntN(2) == 0 {
			other := places[rng.IntN(len(places))]
			value = text[other[0]:other[1]]
		}
		text = text[:at[0]] + value + text[at[1]:]
		places = literals.FindAllStringIndex(text, -1)
	}
	return text
}
