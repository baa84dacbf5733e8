package fuzz

import (
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/bsdlabel"
	"hyzer/imaging/partition/gpt"
	"hyzer/imaging/partition/lilo"
	"hyzer/imaging/partition/mbr"
	"hyzer/imaging/partition/scheme"
)

// FuzzPartition gives the heads of disks to every reader of partition tables:
// partitions must not overlap, nor touch what is called free.
func FuzzPartition(f *testing.F) {
	const diskBytes, headBytes = 48 << 20, 34 * partition.SectorBytes
	for _, name := range []string{"mbr", "mbr-extended", "mbr-unusedentry", "gpt", "bsd-mbr", "lilo-slice1", "fat12"} {
		f.Add(ndzGunzip(f, shared.ReadFile(f, "vectors/ndz/"+name+".img.gz"))[:headBytes])
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		disk := volume{head, diskBytes}
		const sectors = diskBytes / partition.SectorBytes
		for _, unit := range []int{512, 4096, partition.UnitBytesMax} {
			d := partition.Disk{ReaderAt: disk, Sectors: sectors, Unit: unit}
			if table, err := gpt.Read(d); err == nil {
				checkTable(t, table)
			}
			if table, err := mbr.Read(d); err == nil {
				checkTable(t, table)
			}
		}
		if table, err := scheme.Read(partition.Disk{ReaderAt: disk, Sectors: sectors}); err == nil {
			checkTable(t, table)
		}
		if loader, err := lilo.Read(disk, 1, sectors); err == nil {
			for _, r := range loader.Relocs {
				if _, end := r.Span(); end > sectors {
					t.Fatalf("relocation %v", r)
				}
			}
		}
		if label, err := bsdlabel.Read(disk, 63, sectors, false); err == nil {
			if table, err := label.Table(); err == nil {
				checkTable(t, table)
			}
			label.Relative()
		}
	})
}

func checkTable(t *testing.T, table *partition.Table) {
	t.Helper()
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	free := freemap.Normalize(append([]freemap.Range(nil), table.Free...))
	for _, e := range table.Entries {
		used := []freemap.Range{{Start: e.Start, End: e.End()}}
		if e.Sectors == 0 || freemap.Total(freemap.Subtract(used, free)) != e.Sectors {
			t.Fatalf("%s: partition %d [%d,%d) is empty or called free", table.Scheme, e.Number, e.Start, e.End())
		}
	}
}
