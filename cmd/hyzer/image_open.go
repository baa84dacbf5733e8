package main

import (
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"hyzer/imaging/delta"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/view"
)

// keyFileBytesMax bounds the files of keys.
const keyFileBytesMax = 64 << 10

// readFlags are what verbs that read images have in common.
type readFlags struct {
	key, signingKey string
	anyBase         bool
	publisher       string
}

func (r *readFlags) add(fs *flag.FlagSet) {
	fs.StringVar(&r.key, "key", "", "`file` with the key of an encrypted image (.ekey)")
	fs.StringVar(&r.signingKey, "signing-key", "", "`file` with the key of signed checksums (.skey)")
	fs.BoolVar(&r.anyBase, "any-base", false, "open a delta over whatever is below it, or nothing")
}

// addPublisher is for verbs that verify manifests.
func (r *readFlags) addPublisher(fs *flag.FlagSet) {
	fs.StringVar(&r.publisher, "public-key", "", "`file` with the Ed25519 public key that manifests must be signed with (PEM or hex)")
}

// publicKey reads the key that manifests must be signed with, nil if none is
// asked for.
func (r *readFlags) publicKey() (ed25519.PublicKey, error) {
	if r.publisher == "" {
		return nil, nil
	}
	text, err := readKey(r.publisher)
	if err != nil {
		return nil, err
	}
	key, err := manifest.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.publisher, err)
	}
	return key, nil
}

// manifestOf reads the manifest of an image file of size bytes, nil if it has
// none. With a key it must have one, signed with it.
func manifestOf(image string, size int64, key ed25519.PublicKey) (*manifest.Manifest, error) {
	m, err := manifest.ReadFile(image + manifest.Suffix)
	if errors.Is(err, os.ErrNotExist) && key == nil {
		return nil, nil
	}
	if err == nil && key != nil {
		err = m.Verify(key)
	}
	if err == nil {
		err = m.CheckSize(size)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// decode reads the keys.
func (r *readFlags) decode() (opts ndz.DecodeOptions, err error) {
	if r.key != "" {
		text, err := readKey(r.key)
		if err == nil {
			opts.Key, err = ndz.ParseKey(text)
		}
		if err != nil {
			return opts, fmt.Errorf("%s: %w", r.key, err)
		}
	}
	if r.signingKey != "" {
		text, err := readKey(r.signingKey)
		if err == nil {
			opts.SigningKey, err = ndz.ParseSigningKey(text)
		}
		if err != nil {
			return opts, fmt.Errorf("%s: %w", r.signingKey, err)
		}
	}
	return opts, nil
}

func readKey(path string) ([]byte, error) { return readLimited(path, keyFileBytesMax) }

// readLimited reads a file, of which no more than bytesMax.
func readLimited(path string, bytesMax int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, bytesMax))
}

// chainPaths are the files of an image: one, or a full image with deltas over
// it, FULL,DELTA,...
func chainPaths(name string) []string {
	if _, err := os.Stat(name); err == nil {
		return []string{name}
	}
	return list([]string{name})
}

// open opens an image as one disk.
func (r *readFlags) open(e *env, name string) (*delta.Chain, error) {
	decode, err := r.decode()
	if err != nil {
		return nil, err
	}
	chain, err := delta.OpenChain(e.ctx, chainPaths(name), delta.ChainOptions{View: view.Options{Decode: decode}, AnyBase: r.anyBase})
	if errors.Is(err, view.ErrWrongBase) || errors.Is(err, view.ErrNoBase) {
		err = fmt.Errorf("%w (--any-base opens it all the same)", err)
	}
	return chain, err
}

// partOf parts IMAGE:PART. A colon that is part of a name stays.
func partOf(name string) (image string, part int) {
	if _, err := os.Stat(name); err == nil {
		return name, 0
	}
	at := strings.LastIndexByte(name, ':')
	if n, err := strconv.Atoi(name[at+1:]); at > 0 && err == nil && n > 0 {
		return name[:at], n
	}
	return name, 0
}

// section is the partition of a disk that is meant: number part, or if that is
// 0 the one that has what is looked for, or all of the disk.
func section(disk *view.Disk, part int, has func(io.ReaderAt) bool) (*io.SectionReader, error) {
	whole := io.NewSectionReader(disk, 0, int64(disk.Sectors())*ndz.SectorBytes)
	if part == 0 && has(whole) {
		return whole, nil
	}
	table, err := scheme.Read(partition.Disk{ReaderAt: whole, Sectors: disk.Sectors(), Unit: unit(disk)})
	if err != nil {
		return nil, fmt.Errorf("the image has no ext2, ext3 or ext4 file system, and %w", err)
	}
	if part > 0 {
		entry, err := table.Entry(part)
		if err != nil {
			return nil, err
		}
		return within(disk, entry), nil
	}
	return only(disk, table, has)
}

// unit is the size of the sectors that a disk's partition table counts in, 0 if
// the image does not say.
func unit(disk *view.Disk) int {
	if s := disk.Summary(); s.Version == ndz.V5 && s.SectorBytes > ndz.SectorBytes {
		return s.SectorBytes
	}
	return 0
}

func within(disk *view.Disk, e partition.Entry) *io.SectionReader {
	return io.NewSectionReader(disk, int64(e.Start)*ndz.SectorBytes, int64(e.Sectors)*ndz.SectorBytes)
}

// only is the one partition that has what is looked for.
func only(disk *view.Disk, table *partition.Table, has func(io.ReaderAt) bool) (*io.SectionReader, error) {
	var found []partition.Entry
	var numbers []string
	for _, e := range table.Entries {
		if has(within(disk, e)) {
			found, numbers = append(found, e), append(numbers, strconv.Itoa(e.Number))
		}
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no partition of the image has an ext2, ext3 or ext4 file system")
	case 1:
		return within(disk, found[0]), nil
	}
	return nil, badUsage("partitions %s of the image have file systems: name one, IMAGE:%s", strings.Join(numbers, ", "), numbers[0])
}
