package site

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Sizes of the boot files, about those of real ones.
const (
	biosFileBytes = 330_112
	uefiFileBytes = 1_048_113
	mfsFileBytes  = 4_194_304
)

// bootFiles are the files nodes fetch, by the name they ask for. They are
// random but the same each time: what matters is that they arrive whole.
func bootFiles() map[string][]byte {
	files := map[string][]byte{}
	for name, size := range map[string]int{BIOSFile: biosFileBytes, UEFIFile: uefiFileBytes, LoaderPath: mfsFileBytes} {
		data := make([]byte, size)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(data) // never fails
		files[name] = data
	}
	return files
}

// BootFileSums are their SHA-256 sums in hex, by name.
func BootFileSums() map[string]string {
	sums := map[string]string{}
	for name, data := range bootFiles() {
		sum := sha256.Sum256(data)
		sums[name] = hex.EncodeToString(sum[:])
	}
	return sums
}

// WriteBootFiles writes them below the folder that the appliance serves.
func WriteBootFiles(dir string) error {
	for name, data := range bootFiles() {
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, "/tftpboot/")))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("boot file %s: %w", name, err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return fmt.Errorf("boot file %s: %w", name, err)
		}
	}
	return nil
}
