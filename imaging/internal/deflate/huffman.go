package deflate

import (
	"math/bits"
	"slices"
)

// The longest codes. Those of literals are shorter than the format allows, so
// that four of them fit into the bit buffer.
const (
	litCodeBitsMax    = 14
	distCodeBitsMax   = 15
	lengthCodeBitsMax = 7
)

// symbolBits are how many bits a symbol takes in a key.
const symbolBits = 9

// codeLengths gives every symbol that occurs the length of its code, of at
// most most bits. At least two symbols get one, as old readers want it.
func codeLengths(counts []uint32, lengths []uint8, most int) {
	var keys [1 << symbolBits]uint32
	n := 0
	for symbol, count := range counts {
		lengths[symbol] = 0
		if count > 0 {
			keys[n] = count<<symbolBits | uint32(symbol)
			n++
		}
	}
	for symbol := 0; n < 2; symbol++ {
		if counts[symbol] == 0 {
			keys[n] = 1<<symbolBits | uint32(symbol)
			n++
		}
	}
	sorted := keys[:n]
	sortKeys(sorted)
	var perLength [32]int
	treeDepths(sorted, &perLength)
	limitDepths(&perLength, most)
	i := 0
	for length := most; length > 0; length-- {
		for range perLength[length] {
			lengths[sorted[i]&(1<<symbolBits-1)] = uint8(length)
			i++
		}
	}
}

const (
	// fewKeys are sorted faster by comparing them.
	fewKeys   = 80
	digitBits = 8
)

// sortKeys sorts keys: many by the digits of their counts, from the lowest on,
// as long as any has more digits; their symbols must ascend already.
func sortKeys(keys []uint32) {
	if len(keys) < fewKeys {
		slices.Sort(keys)
		return
	}
	var spare [1 << symbolBits]uint32
	from, to := keys, spare[:len(keys)]
	all := uint32(0)
	for _, k := range keys {
		all |= k
	}
	passes := 0
	for shift := symbolBits; all>>shift > 0; shift += digitBits {
		var at [1 << digitBits]uint16
		for _, k := range from {
			at[uint8(k>>shift)]++
		}
		sum := uint16(0)
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, k := range from {
			digit := uint8(k >> shift)
			to[at[digit]] = k
			at[digit]++
		}
		from, to = to, from
		passes++
	}
	if passes%2 == 1 {
		copy(keys, from)
	}
}

// treeDepths counts the leaves of the Huffman tree by depth, of ascending keys
// (Moffat and Katajainen, in-place calculation of minimum-redundancy codes).
func treeDepths(keys []uint32, perLength *[32]int) {
	var weight [1 << symbolBits]uint32
	n := len(keys)
	for i, k := range keys {
		weight[i] = k >> symbolBits
	}
	leaf, root := 0, 0
	pick := func(next int) uint32 {
		if leaf >= n || root < next && weight[root] < weight[leaf] {
			w := weight[root]
			weight[root] = uint32(next) // parent
			root++
			return w
		}
		leaf++
		return weight[leaf-1]
	}
	for next := range n - 1 {
		w := pick(next)
		w += pick(next)
		weight[next] = w
	}
	weight[n-2] = 0
	for i := n - 3; i >= 0; i-- {
		weight[i] = weight[weight[i]] + 1
	}
	open, inner := 1, n-2
	for depth := 0; open > 0; depth++ {
		used := 0
		for inner >= 0 && int(weight[inner]) == depth {
			used++
			inner--
		}
		perLength[min(depth, len(perLength)-1)] += open - used
		open = 2 * used
	}
}

// limitDepths moves leaves that are too deep up, and others down for them.
func limitDepths(perLength *[32]int, most int) {
	for depth := len(perLength) - 1; depth > most; depth-- {
		perLength[most] += perLength[depth]
		perLength[depth] = 0
	}
	room := 0 // in units of codes of most bits; negative: too many
	for depth := 1; depth <= most; depth++ {
		room += perLength[depth] << (most - depth)
	}
	for room -= 1 << most; room > 0; room-- {
		depth := most - 1
		for perLength[depth] == 0 {
			depth--
		}
		perLength[depth]--
		perLength[depth+1] += 2
		perLength[most]--
	}
}

// assign makes the codes of the lengths, first bit lowest.
func assign(lengths []uint8, codes []uint16) {
	var count, next [16]uint16
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	code := uint16(0)
	for n := 1; n < 16; n++ {
		code = (code + count[n-1]) << 1
		next[n] = code
	}
	for symbol, n := range lengths {
		codes[symbol] = 0
		if n > 0 {
			codes[symbol] = bits.Reverse16(next[n]) >> (16 - n)
			next[n]++
		}
	}
}
