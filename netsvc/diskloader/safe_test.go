package diskloader

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/imaging/zip"
	"hyzer/multicast/client"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestKeyAndManifest loads an image that lies with its signed manifest, from a
// session whose key came with load info. With another key nobody answers, and
// without the right signature nothing is written.
func TestKeyAndManifest(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{6}).Read(content)
	path := filepath.Join(t.TempDir(), "image.ndz")
	source := zip.Source{ReaderAt: bytes.NewReader(content), Bytes: int64(len(content))}
	if _, err := zip.CreateFile(t.Context(), source, path, "", zip.Options{Raw: true, Manifest: &manifest.Manifest{}, ManifestKey: private}); err != nil {
		t.Fatal(err)
	}
	key := wire.Key{1, 2, 3}
	at := serveWith(t, path, func(cfg *server.Config) {
		cfg.Key = &key
		var err error
		if cfg.Manifest, err = server.ReadManifest(path, cfg.Image); err != nil || len(cfg.Manifest) == 0 {
			t.Fatalf("manifest of %d bytes, %v", len(cfg.Manifest), err)
		}
	})
	for name, c := range map[string]struct {
		key    wire.Key
		signer ed25519.PublicKey
		want   error
	}{
		"right":          {key, public, nil},
		"another key":    {wire.Key{9}, public, client.ErrNoServer},
		"another signer": {key, make(ed25519.PublicKey, ed25519.PublicKeySize), client.ErrNoManifest},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(len(content), 0xa5)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			err := Run(ctx, Config{
				Ask: func(context.Context, string) (string, error) {
					return fmt.Sprintf("ADDR=%v PART=0 DISK=vda IMAGEID=a,b,c MCASTKEY=%s\n", at, hex.EncodeToString(c.key[:])), nil
				},
				OpenDisk: func(string) (Disk, error) { return disk, nil },
				Signer:   c.signer, Server: loopback, Local: clientAddress(), Log: slog.New(slog.DiscardHandler),
				Timing: Timing{JoinTimeout: 2 * time.Second},
			})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if want := bytes.Equal(disk.data, newDisk(len(content), 0xa5).data); want != (c.want != nil) {
				t.Errorf("disk untouched: %v", want)
			}
			if c.want == nil && !bytes.Equal(disk.data, content) {
				t.Error("content differs")
			}
		})
	}
}
