// Package sha1pair is SHA-1 (RFC 3174) of two strings of one length at once.
// Processors with instructions for SHA-1 take half again to twice as many bytes
// in the same time so, because each instruction waits for the one before it; on
// others it is crypto/sha1 twice. imaging/sig hashes the blocks of disks with it.
package sha1pair
