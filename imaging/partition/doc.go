// Package partition holds what the readers of partition tables have in common.
//
// Each scheme has a package below this one: mbr, gpt. imaging/zip calls them
// to make images, and imaging/unzip to find the partition a slice image goes
// into. They read and never write.
package partition
