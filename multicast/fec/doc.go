// Package fec is the repair code of mode 2: a systematic linear code over the
// 1024 blocks of a chunk, with ParityBlocks parity blocks.
//
// One parity block repairs any one missing block of its chunk, another at each
// client, which is why a thousand clients at 1 % loss cost a server 2 % and
// not the 110 % of repeating what each has lost. The code is over the whole
// chunk because the overhead falls with its length (k=128: 5 %).
//
// Parity block r of a chunk is the sum of its blocks b(i), each times
//
//	c(r, i) = 2^(r·(i mod 8)) / ((r mod 128) ⊕ (128 + ⌊i/8⌋))
//
// byte by byte in GF(2^8) with the polynomial 0x11d. A chunk that is shorter
// than 1024 blocks is coded as if zeros followed it. No code over so small a
// field can have any n of its parity blocks restore any n blocks. This one
// does so for blocks of one of the eight interleaved groups, where it is a
// Cauchy matrix, and for all others but about one time in 255; Independent
// says which parity blocks count. In return a block costs half of what it does
// over GF(2^16), with instructions that every processor has (and less again
// with AVX2), and there are no large tables to build.
//
// The code corrects no wrong block, so blocks are checked before they get here.
// The callers are multicast/server and multicast/client.
package fec
