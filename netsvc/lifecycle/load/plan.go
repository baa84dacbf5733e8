package load

import (
	"errors"
	"fmt"
	"time"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/storage/registry"
)

// Request says what to load where.
type Request struct {
	Nodes    []string
	Images   []registry.Ref // in order; the last sets what boots
	By       string
	WaitBoot bool // done only when the loaded system is up
	ZeroFree int  // 0 no, 1 the loader zeroes free blocks, 2 it zeroes the disk first
	Prepare  bool // invalidate old metadata on the disk
}

// Limits of a request.
const (
	nodesMax  = 10_000 // a job is planned in one transaction (kv.TxBytesMax)
	imagesMax = 16
)

// WholeDiskSlots are the partition slots that a whole-disk image takes (page
// load, partitions update).
const WholeDiskSlots = 4

var errNoLoader = errors.New("the node's type names no loader_os")

// planned is an image with its version pinned.
type planned struct {
	ref     registry.Ref
	version *registry.ImageVersion
}

func resolveImages(s *registry.Snapshot, refs []registry.Ref) ([]planned, error) {
	if len(refs) == 0 || len(refs) > imagesMax {
		return nil, fmt.Errorf("load: %d images, want 1 to %d", len(refs), imagesMax)
	}
	images := make([]planned, len(refs))
	for i, ref := range refs {
		_, version := s.ImageVersion(ref)
		if version == nil {
			return nil, fmt.Errorf("load: image %s: %w", ref, registry.ErrNotFound)
		}
		if version.SizeBytes <= 0 {
			return nil, fmt.Errorf("load: image %s is empty; make it again or record its size_bytes", ref)
		}
		ref.Version = version.Version
		images[i] = planned{ref, version}
	}
	return images, nil
}

// planNode writes everything that tells a node to load: what it boots, what
// its disk will hold, and what its loader is to fetch.
func planNode(tx *registry.Tx, s *registry.Snapshot, runner *stated.Runner, id string, job *registry.LoadJob, req Request, images []planned) (*registry.NodeLoad, error) {
	node, err := registry.Get[registry.Node](tx, id)
	if err != nil {
		return nil, err
	}
	loader, err := loaderOf(s, node)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", id, err)
	}
	if err := holdFree(tx, id, job.Created); err != nil {
		return nil, err
	}
	boots := images[len(images)-1].version.BootOS
	if boots.IsZero() {
		return nil, fmt.Errorf("node %s: image %s names no boot_os", id, images[len(images)-1].ref)
	}
	if err := planPartitions(tx, id, req.Prepare, images); err != nil {
		return nil, err
	}
	state, err := registry.Lookup[registry.NodeState](tx, id)
	if err != nil {
		return nil, err
	}
	load := &registry.NodeLoad{Node: id, Job: job.ID, Asked: job.Created}
	if state != nil {
		load.Life = state.Life
	}
	for i, image := range images {
		// Only the first image may prepare or wipe the disk: it would take
		// the ones before it away.
		one := registry.LoadImage{Image: image.ref}
		if i == 0 {
			one.Prepare, one.MustWipe = req.Prepare, req.ZeroFree
		}
		load.Images = append(load.Images, one)
	}
	if err := registry.Put(tx, load); err != nil {
		return nil, err
	}
	// After the load is written: without it the loader is no choice.
	return load, runner.Select(tx, id, func(b *registry.BootSelection) {
		b.Def, b.DefCmdline = boots, ""
		b.Next, b.NextCmdline = loader, ""
	})
}

func loaderOf(s *registry.Snapshot, node *registry.Node) (registry.Ref, error) {
	t := s.Type(node.Type)
	if t == nil || t.LoaderOS.IsZero() {
		return registry.Ref{}, errNoLoader
	}
	return t.LoaderOS, nil
}

// holdFree reserves a free node to the reloading experiment, which frees it
// when its load is done: a free node would be told to wait in its boot loader.
func holdFree(tx *registry.Tx, id string, now time.Time) error {
	held, err := registry.Lookup[registry.Reservation](tx, id)
	if err != nil || held != nil {
		return err
	}
	return registry.Put(tx, &registry.Reservation{Node: id, Experiment: registry.ReloadingExpt, Since: now})
}

// planPartitions writes what the disk will hold. The rows are a plan until the
// loader reports that it is done.
func planPartitions(tx *registry.Tx, id string, prepare bool, images []planned) error {
	table, err := registry.Lookup[registry.PartitionTable](tx, id)
	if err != nil {
		return err
	}
	if table == nil || prepare {
		table = &registry.PartitionTable{Node: id}
	}
	for _, image := range images {
		table.Slots = replaceSlots(table.Slots, image)
	}
	return registry.Put(tx, table)
}

// replaceSlots puts an image's systems into the slots that it covers: all of
// them for an image of the whole disk.
func replaceSlots(slots []registry.Partition, image planned) []registry.Partition {
	var out []registry.Partition
	first := image.version.LoadPart
	end := first + max(image.version.LoadLength, 1)
	for _, p := range slots {
		// Slot 0 is a whole disk with one system: any write ends it.
		if first != 0 && p.Slot != 0 && (p.Slot < first || p.Slot >= end) {
			out = append(out, p)
		}
	}
	holds := image.version.Partitions
	if len(holds) == 0 { // one system: in its slot, or the whole disk
		slot := image.version.LoadPart
		if slot == 0 {
			slot = image.version.BootPart
		}
		holds = []registry.Slot{{Slot: slot, OS: image.version.BootOS}}
	}
	for _, h := range holds {
		out = append(out, registry.Partition{Slot: h.Slot, OS: h.OS, Image: image.ref})
	}
	return out
}

// Time that a load may take (page load, wait loop): a slow network moves
// 100 MiB in loadTimePer100MiB, and the machine needs loadTimeBase to start.
const (
	loadTimePer100MiB = 65 * time.Second
	loadTimeBase      = 10 * time.Minute
	bootTimeBase      = 6 * time.Minute
)

func loadTime(images []planned) time.Duration {
	var bytes int64
	for _, image := range images {
		bytes += image.version.SizeBytes
	}
	return loadTimeBase + time.Duration(bytes>>20)*loadTimePer100MiB/100
}
