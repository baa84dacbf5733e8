// Package lilo finds what the boot loader LILO, up to version 21, wrote into a
// partition: addresses of sectors, which count from the beginning of the disk
// and so must change if the partition is restored to another place (spec ndz,
// 1.5; the layout is that of the golden image lilo-slice1).
//
// Read returns every address or none: a boot sector of which one address cannot
// be moved is left as it is, with the reason. imaging/zip calls it for images of
// one partition.
package lilo
