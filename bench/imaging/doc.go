// Package imaging is `make bench-imaging`: our imaging programs beside every
// other one that is installed, on a disk of real files.
//
// The old C programs are in the folder that a flag names, or in PATH, as are e2image, partclone, zstd,
// casync and rdiff. Programs take turns, round by round, so that what else the
// machine does meets all of them; the best round of each counts. Ours run as
// processes too, by the first word "tool". disk.go makes the disks, peers.go
// lists the programs, run.go measures them, report.go prints the table and
// draws the figure. cmd/hyzer-bench calls Main.
package imaging
