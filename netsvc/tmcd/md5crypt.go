package tmcd

import "crypto/md5"

const (
	md5CryptMagic  = "$1$"
	md5CryptRounds = 1000
)

// md5Crypt is crypt(3)'s "$1$" hash, which the oldest images' password files
// take too. salt has up to 8 characters.
func md5Crypt(password, salt string) string {
	inner := md5.Sum([]byte(password + salt + password))
	text := password + md5CryptMagic + salt
	for left := len(password); left > 0; left -= md5.Size {
		text += string(inner[:min(left, md5.Size)])
	}
	for bits := len(password); bits > 0; bits >>= 1 {
		if bits&1 == 1 {
			text += "\x00"
		} else {
			text += password[:1]
		}
	}
	sum := md5.Sum([]byte(text))
	for round := range md5CryptRounds {
		sum = md5CryptRound(round, password, salt, sum)
	}
	return md5CryptMagic + salt + "$" + md5CryptDigits(sum)
}

func md5CryptRound(round int, password, salt string, sum [md5.Size]byte) [md5.Size]byte {
	first, last := string(sum[:]), password
	if round%2 == 1 {
		first, last = last, first
	}
	text := first
	if round%3 != 0 {
		text += salt
	}
	if round%7 != 0 {
		text += password
	}
	return md5.Sum([]byte(text + last))
}

// md5CryptDigits writes the sum in groups of three bytes, lowest six bits
// first.
func md5CryptDigits(sum [md5.Size]byte) string {
	out := make([]byte, 0, 22)
	group := func(high, middle, low byte, digits int) {
		for bits := uint(high)<<16 | uint(middle)<<8 | uint(low); digits > 0; digits-- {
			out = append(out, saltDigits[bits&0x3f])
			bits >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		group(sum[i], sum[i+6], sum[last], 4)
	}
	group(0, 0, sum[11], 2)
	return string(out)
}
