// Package fec is the repair code of mode 2: a systematic Reed-Solomon code
// over the 1024 blocks of a chunk, with ParityBlocks parity blocks.
//
// One parity block repairs any one missing block of its chunk, another at each
// client, which is why a thousand clients at 1 % loss cost a server 2 % and
// not the 110 % of repeating what each has lost. The code is over the whole
// chunk because the overhead falls with its length (k=128: 5 %), and over
// GF(2^16) in the Leopard form because decoding is then O(n log n).
//
// A chunk that is shorter than 1024 blocks is coded as if zeros followed it.
// Any set of blocks and parity blocks as large as the chunk restores it; the
// code corrects no wrong block, so blocks are checked before they get here.
//
// The first use builds tables of some 70 MB that live as long as the process:
// a client without losses and a server without NAKs never pay for them.
//
// The callers are multicast/server and multicast/client.
package fec
