package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"hyzer/imaging/freemap"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

// imageFacts is what `image info` tells.
type imageFacts struct {
	Image        string      `json:"image"`
	Bytes        int64       `json:"bytes"`
	Version      int         `json:"version"`
	ImageID      string      `json:"image_id,omitempty"`
	ImageVersion uint32      `json:"image_version,omitempty"`
	SectorBytes  int         `json:"sector_bytes"`
	Chunks       int         `json:"chunks"`
	DiskBytes    int64       `json:"disk_bytes"`
	DataBytes    int64       `json:"data_bytes"`
	PayloadBytes int64       `json:"payload_bytes"`
	Regions      int         `json:"regions"`
	Relocations  int         `json:"relocations"`
	Encrypted    bool        `json:"encrypted"`
	Checksum     string      `json:"checksum"` // none, sha1, signed
	Delta        bool        `json:"delta"`
	Base         string      `json:"base,omitempty"`
	State        string      `json:"state,omitempty"`
	Notes        []string    `json:"notes,omitempty"`
	Signature    *sigFacts   `json:"signature,omitempty"`
	Manifest     string      `json:"manifest,omitempty"`
	Parts        []partFacts `json:"parts,omitempty"`
}

type sigFacts struct {
	File       string `json:"file"`
	Hash       string `json:"hash"`
	BlockBytes uint64 `json:"block_bytes"`
	Records    int    `json:"records"`
	State      string `json:"state"`
}

type partFacts struct {
	Number     int    `json:"number"` // 0: no partition table
	Start      uint64 `json:"start_sector"`
	Bytes      uint64 `json:"bytes"`
	Type       string `json:"type"`
	FileSystem string `json:"file_system"`
	FreeBytes  uint64 `json:"free_bytes"`
}

func imageInfo(e *env, args []string) error {
	fs, address := e.flags("image info")
	read := readFlags{}
	read.add(fs)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one image")
	}
	read.anyBase = true // of a delta alone
	chain, err := read.open(e, rest[0])
	if err != nil {
		return err
	}
	defer chain.Close()
	top := chain.Files[len(chain.Files)-1]
	x := facts(top)
	if x.Signature, err = signatureFacts(top.Path + ".sig"); err != nil {
		return err
	}
	if list, err := manifest.ReadFile(top.Path + manifest.Suffix); err == nil && list.Signed() {
		x.Manifest = fmt.Sprintf("signed with %x", list.Signer())
	} else if err == nil {
		x.Manifest = "not signed"
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", top.Path+manifest.Suffix, err)
	}
	if s := top.Summary(); !x.Delta && (!s.Encrypted || read.key != "") || len(chain.Files) > 1 {
		x.Parts = parts(chain.Disk)
	}
	if e.json {
		return e.printJSON(x)
	}
	return x.print(e)
}

func facts(f *view.File) imageFacts {
	s := f.Summary()
	x := imageFacts{
		Image: f.Path, Bytes: f.Info.Size(), Version: int(s.Version), Chunks: s.Chunks, ImageVersion: s.ImageVersion, SectorBytes: s.SectorBytes, DiskBytes: s.EndBytes,
		DataBytes: s.DataBytes, PayloadBytes: s.PayloadBytes, Regions: s.Regions, Relocations: s.Relocs,
		Encrypted: s.Encrypted, Checksum: "none", Delta: s.Mark.Delta, Notes: s.Irregular,
	}
	switch s.Checksum {
	case ndz.ChecksumSHA1:
		x.Checksum = "sha1"
	case ndz.ChecksumSignedSHA1:
		x.Checksum = "signed"
	}
	if s.ImageID != (ndz.ImageID{}) {
		x.ImageID = s.ImageID.String()
	}
	if s.Mark.Delta {
		x.Base = s.Mark.Base.String()
	}
	if !s.Mark.State.IsZero() {
		x.State = s.Mark.State.String()
	}
	return x
}

// signatureFacts reads the signature beside an image; nil if there is none.
func signatureFacts(path string) (*sigFacts, error) {
	s, err := sig.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &sigFacts{path, s.Type.String(), s.BlockSectors * ndz.SectorBytes, s.Len(), s.ID().String()}, nil
}

// parts looks for partitions and file systems. What is not understood has none.
func parts(d *view.Disk) []partFacts {
	l, err := zip.Analyze(zip.Source{ReaderAt: d, Bytes: int64(d.Sectors()) * ndz.SectorBytes, Unit: unit(d)}, zip.Options{Version: ndz.V5})
	if err != nil {
		return nil
	}
	var out []partFacts
	for _, p := range l.Parts {
		out = append(out, partFacts{p.Number, p.Start, p.Sectors * freemap.SectorBytes, p.Type, p.FileSystem, p.FreeSectors * freemap.SectorBytes})
	}
	return out
}

func (x imageFacts) print(e *env) error {
	e.printf("%s: version %d, %d chunks, %s\n", printable(x.Image), x.Version, x.Chunks, size(x.Bytes))
	e.printf("  disk      %s, %s of it in use in %d regions, %s compressed\n", size(x.DiskBytes), size(x.DataBytes), x.Regions, size(x.PayloadBytes))
	line := func(name, text string) {
		if text != "" {
			e.printf("  %-9s %s\n", name, printable(text))
		}
	}
	line("id", x.ImageID)
	kind := "full image"
	if x.Delta {
		kind = "delta on state " + x.Base
	}
	line("kind", kind)
	line("state", x.State)
	var extras []string
	if x.Encrypted {
		extras = append(extras, "encrypted")
	}
	if x.Checksum != "none" {
		extras = append(extras, "checksums: "+x.Checksum)
	}
	if x.Relocations > 0 {
		extras = append(extras, fmt.Sprintf("%d relocations", x.Relocations))
	}
	line("has", strings.Join(extras, ", "))
	if s := x.Signature; s != nil {
		line("signature", fmt.Sprintf("%s, %d records of %s in blocks of %s", s.File, s.Records, s.Hash, size(int64(s.BlockBytes))))
	}
	line("manifest", x.Manifest)
	for _, n := range x.Notes {
		line("note", n)
	}
	if len(x.Parts) == 0 {
		return nil
	}
	var rows [][]string
	for _, p := range x.Parts {
		rows = append(rows, []string{fmt.Sprint(p.Number), fmt.Sprint(p.Start), size(int64(p.Bytes)), dash(p.FileSystem), size(int64(p.FreeBytes)), dash(p.Type)})
	}
	return e.table("PART START SIZE CONTENT FREE TYPE", rows)
}
