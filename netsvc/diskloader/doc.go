// Package diskloader is what the Frisbee memory file system does: it asks
// tmcd's loadinfo what belongs on the disk, receives it, writes it, and reports
// each step (page load, section 6, steps 5 and 6).
//
// ParseLoadInfo and the partition table are pure; Run is the shell, over a disk
// and a way to ask tmcd that the caller gives.
//
// Invariants: RELOADDONEV2 is reported only when every chunk of every image is
// on the disk and durable; what the server says is bounded before it is
// believed.
//
// The callers are netsvc/mfs and the virtual nodes of bench, which inject their
// faults through what they give it.
package diskloader
