package cli

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"7": 7, "0x10": 16, "010": 8, "20": 20, "21": -1, "-1": -1, "": -1, "x": -1} {
		n, err := Number(s, 0, 20)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", s, n, want)
		}
	}
}

func TestAtMost(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"7": 7, "20": 20, "21": 20, strconv.Itoa(math.MaxInt32): 20, "-1": -1, strconv.Itoa(math.MaxInt32 + 1): -1} {
		n, err := AtMost(s, 20)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", s, n, want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"10.0.0.1": "10.0.0.1", "fe80::1": "", "boss": "", "": ""} {
		if a, err := IPv4(s); (err == nil) != (want != "") || err == nil && a != netip.MustParseAddr(want) {
			t.Errorf("IPv4 %q: %v, %v", s, a, err)
		}
	}
	for s, want := range map[string]time.Duration{"0": 0, "90": 90 * time.Second, "1000001": -1, "1s": -1} {
		if d, err := Seconds(s); (err == nil) != (want >= 0) || err == nil && d != want {
			t.Errorf("seconds %q: %v, %v", s, d, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := KeyFile(path); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, 2*keyFileBytesMax), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := KeyFile(path); err != nil || len(b) != keyFileBytesMax {
		t.Errorf("%d bytes read, %v", len(b), err)
	}
}
