package unzip_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	chunksums "hyzer/imaging/manifest"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// TestManifest holds images of V3 and V5 against their manifests, by every way
// in: a chunk that is not the one named is not written.
func TestManifest(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, version := range []string{"", "--v5 "} {
		dir := t.TempDir()
		disk, image, out := filepath.Join(dir, "disk"), filepath.Join(dir, "image"), filepath.Join(dir, "out")
		data := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{}).Read(data)
		private := ed25519.NewKeyFromSeed(make([]byte, 32))
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		write(t, disk, data)
		write(t, dir+"/private", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		write(t, dir+"/public", []byte(hex.EncodeToString(private.Public().(ed25519.PublicKey))))
		write(t, dir+"/other", []byte(strings.Repeat("00", 32)))
		var text bytes.Buffer
		args := strings.Fields(version + "-r -z 0 -U " + image + ".sig --manifest-key " + dir + "/private " + disk + " " + image)
		if zip.Main(args, nil, io.Discard, &text) != 0 {
			t.Fatal(text.String())
		}
		restore := func(args string) (int, string) {
			var text bytes.Buffer
			code := unzip.Main(strings.Fields(args), nil, io.Discard, &text)
			return code, text.String()
		}
		if code, text := restore("--manifest-key " + dir + "/public " + image + " " + out); code != 0 {
			t.Errorf("%ssound: exit %d: %s", version, code, text)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%srestored data differs: %v", version, err)
		}
		if code, text := restore("--manifest-key " + dir + "/other " + image + " " + out); code == 0 || !strings.Contains(text, "signed by key") {
			t.Errorf("%sother key: exit %d: %s", version, code, text)
		}
		m, err := chunksums.ReadFile(image + chunksums.Suffix)
		if err != nil || m.State.IsZero() {
			t.Fatalf("manifest of state %s: %v", m.State, err)
		}
		chunks, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckSize(int64(len(chunks))); err != nil {
			t.Error(err)
		}
		chunks[2<<20-1] ^= 1 // padding: only the manifest covers it in V3
		var fault *chunksums.ChunkError
		target := newDisk(int64(len(data) + 512))
		if _, err := unzip.File(ctx, bytes.NewReader(chunks), int64(len(chunks)), target, unzip.Options{Manifest: m, Workers: 1}); !errors.As(err, &fault) || fault.Chunk != 1 {
			t.Errorf("%sdamaged: %v", version, err)
		}
		if _, err := unzip.Stream(ctx, bytes.NewReader(chunks), io.Discard, unzip.Options{Manifest: m}); !errors.As(err, &fault) || fault.Chunk != 1 {
			t.Errorf("%sdamaged stream: %v", version, err)
		}
		if _, err := unzip.Stream(ctx, bytes.NewReader(chunks[:1<<20]), io.Discard, unzip.Options{Manifest: m}); err == nil || !strings.Contains(err.Error(), "the end is missing") {
			t.Errorf("%scut stream: %v", version, err)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
