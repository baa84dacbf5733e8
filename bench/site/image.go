package site

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"hyzer/imaging/ndz"
	"hyzer/imaging/zip"
	"hyzer/storage/registry"
)

// ErrNoTools is wrapped when the programs that make file systems are missing.
var ErrNoTools = errors.New("mke2fs is not installed (package e2fsprogs)")

const (
	sectorBytes = ndz.SectorBytes
	// partitionOffset is where the partition of a whole-disk image begins.
	partitionOffset = 1 << 20
	// diskBytesMin leaves room for a file system.
	diskBytesMin = 16 << 20
	// linuxPartition is the MBR's type of a Linux file system.
	linuxPartition = 0x83
	// fsUUID and fsTime are the same in all images.
	fsUUID = "48595a45-5220-4265-6e63-682064697363"
	fsTime = 1750000000
)

// ImageOptions say what to put on a disk.
type ImageOptions struct {
	Dir   string // where the image and its source are written
	Files string // folder to take files from; /usr if empty
	// ContentBytes of files go in, about.
	ContentBytes int64
	// DiskBytes is the size of the disk, or of the file system if Slice;
	// 0: twice the content and room for the file system's own.
	DiskBytes int64
	// Slice makes an image of the file system alone, for partition 1; else
	// the image is of a whole disk with one partition.
	Slice bool
}

// Image is a disk image with what it must become on a disk.
type Image struct {
	Path       string // the .ndz
	Source     string // what it was made of: a disk, or a file system if Slice
	DiskBytes  int64  // of the source
	ImageBytes int64
	DataBytes  int64  // allocated content
	FileBytes  int64  // of the files in it
	SHA256     string // of the .ndz
	Slice      bool

	layout *zip.Layout
}

// MakeImage makes a file system of real files and an image of it.
func MakeImage(ctx context.Context, o ImageOptions) (*Image, error) {
	if o.Files == "" {
		o.Files = "/usr"
	}
	if o.DiskBytes == 0 {
		o.DiskBytes = max(diskBytesMin, 2*o.ContentBytes+diskBytesMin)
	}
	o.DiskBytes = o.DiskBytes / partitionOffset * partitionOffset
	m := &Image{
		Path: filepath.Join(o.Dir, "image.ndz"), Source: filepath.Join(o.Dir, "source.disk"),
		DiskBytes: o.DiskBytes, Slice: o.Slice,
	}
	root := filepath.Join(o.Dir, "root")
	defer os.RemoveAll(root)
	var err error
	if m.FileBytes, err = copyFiles(o.Files, root, o.ContentBytes); err != nil {
		return nil, fmt.Errorf("files for the image: %w", err)
	}
	if err := m.format(ctx, root); err != nil {
		return nil, err
	}
	if err := m.pack(ctx); err != nil {
		return nil, fmt.Errorf("image of %s: %w", m.Source, err)
	}
	return m, nil
}

// offset is where the file system begins in the source.
func (m *Image) offset() int64 {
	if m.Slice {
		return 0
	}
	return partitionOffset
}

// format makes the file system, and before it the partition table.
func (m *Image) format(ctx context.Context, root string) error {
	program, err := exec.LookPath("mke2fs")
	if err != nil {
		return ErrNoTools
	}
	if err := os.WriteFile(m.Source, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(m.Source, m.DiskBytes); err != nil {
		return err
	}
	kib := (m.DiskBytes - m.offset()) / 1024
	extended := "hash_seed=" + fsUUID + ",lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0"
	if !m.Slice {
		extended += ",offset=" + strconv.FormatInt(m.offset(), 10)
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-t", "ext4", "-U", fsUUID, "-E", extended, "-d", root, m.Source, strconv.FormatInt(kib, 10))
	cmd.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+strconv.Itoa(fsTime))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs %s: %w: %.400s", m.Source, err, out)
	}
	if m.Slice {
		return nil
	}
	return m.writeTable()
}

// writeTable writes an MBR with one active partition.
func (m *Image) writeTable() error {
	f, err := os.OpenFile(m.Source, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var table [sectorBytes]byte
	e := table[446:]
	e[0], e[4] = 0x80, linuxPartition
	binary.LittleEndian.PutUint32(e[8:], partitionOffset/sectorBytes)
	binary.LittleEndian.PutUint32(e[12:], uint32((m.DiskBytes-partitionOffset)/sectorBytes))
	table[510], table[511] = 0x55, 0xaa
	_, err = f.WriteAt(table[:], 0)
	return err
}

// pack makes the image.
func (m *Image) pack(ctx context.Context) error {
	src, closer, err := zip.OpenSource(m.Source)
	if err != nil {
		return err
	}
	defer closer.Close()
	opts := zip.Options{Bare: m.Slice}
	if m.layout, err = zip.Analyze(src, opts); err != nil {
		return err
	}
	stats, err := zip.CreateFile(ctx, src, m.Path, "", opts)
	if err != nil {
		return err
	}
	m.ImageBytes, m.DataBytes = stats.ImageBytes, stats.DataBytes
	m.SHA256, err = sumFile(m.Path)
	return err
}

func sumFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Version is the registry's record of the image, which boots os.
func (m *Image) Version(os registry.Ref) registry.ImageVersion {
	v := registry.ImageVersion{
		Path: m.Path, LoadPart: 0, LoadLength: 4, BootPart: 1, BootOS: os,
		Partitions: []registry.Slot{{Slot: 1, OS: os}}, MBRVersion: 3,
		SizeBytes: m.ImageBytes, SHA256: m.SHA256, Updated: time.Unix(fsTime, 0).UTC(),
		LBAHigh: m.DiskBytes/sectorBytes - 1, LBASize: sectorBytes,
	}
	if m.Slice {
		v.LoadPart, v.LoadLength, v.BootPart = 1, 1, 0
	}
	return v
}
