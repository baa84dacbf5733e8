package initramfs

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Options of a RAM disk.
type Options struct {
	// Init is the program, a static binary.
	Init string
	// ModuleDir is the folder of a kernel's modules, lib/modules/<version>;
	// Modules names what to load, without folder and .ko. What they need is
	// added.
	ModuleDir string
	Modules   []string
	// CertDir is a folder with client.pem, a node's certificate and key, and
	// emulab.pem, the authority's, for TLS with tmcd; empty: none.
	CertDir string
}

// Build writes a RAM disk, compressed with gzip, which every kernel reads.
func Build(out io.Writer, o Options) error {
	packed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := NewWriter(packed)
	if err := fill(w, o); err != nil {
		return fmt.Errorf("RAM disk: %w", err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func fill(w *Writer, o Options) error {
	program, err := os.ReadFile(o.Init)
	if err != nil {
		return err
	}
	for _, dir := range []string{"dev", "proc", "sys", "etc", "system"} {
		if err := w.Dir(dir); err != nil {
			return err
		}
	}
	// The kernel opens it for init before anything is mounted.
	if err := w.CharDevice("dev/console", 0o600, 5, 1); err != nil {
		return err
	}
	if err := w.File("init", 0o755, program); err != nil {
		return err
	}
	if err := addCertificates(w, o.CertDir); err != nil {
		return err
	}
	if len(o.Modules) == 0 {
		return nil
	}
	return addModules(w, o)
}

// addCertificates puts the files where tmcc looks for them.
func addCertificates(w *Writer, from string) error {
	if from == "" {
		return nil
	}
	const to = "etc/emulab"
	if err := w.Dir(to); err != nil {
		return err
	}
	for _, name := range []string{"client.pem", "emulab.pem"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := w.File(path.Join(to, name), 0o600, data); err != nil {
			return err
		}
	}
	return nil
}

func addModules(w *Writer, o Options) error {
	needs, err := dependencies(o.ModuleDir)
	if err != nil {
		return err
	}
	files, err := order(needs, o.Modules)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(o.ModuleDir, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		name := path.Join("lib/modules", path.Base(file))
		if err := w.File(name, 0o644, data); err != nil {
			return err
		}
		fmt.Fprintf(&list, "/%s\n", name)
	}
	return w.File("etc/modules", 0o644, []byte(list.String()))
}
