// Package getopt reads the command lines of the old programs as they did:
// letters that may be put together, values beside or after them. The callers
// are the programs in multicast/client, multicast/upload and multicast/standalone.
package getopt

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// secondsMax bounds a time on the command line.
const secondsMax = 1_000_000

// Parse calls option for each letter with its value, and returns what follows
// the options. Letters are as getopt(3) has them: a colon after those with a
// value.
func Parse(args []string, letters string, option func(letter byte, value string) error) (rest []string, err error) {
	return ParseLong(args, letters, func(string, string) error { return errors.New("unknown option") }, option)
}

// ParseLong is Parse for programs that have options of ours, too, which are words
// and have values: --name value, --name=value.
func ParseLong(args []string, letters string, long func(name, value string) error, option func(letter byte, value string) error) (rest []string, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		cluster := args[0][1:]
		args = args[1:]
		if cluster == "-" {
			break
		}
		if cluster[0] == '-' {
			if args, err = takeLong(cluster[1:], args, long); err != nil {
				return nil, err
			}
			continue
		}
		for len(cluster) > 0 {
			letter := cluster[0]
			cluster = cluster[1:]
			at := strings.IndexByte(letters, letter)
			if at < 0 || letter == ':' {
				return nil, fmt.Errorf("unknown option -%c", letter)
			}
			value := ""
			if at+1 < len(letters) && letters[at+1] == ':' {
				if value, cluster = cluster, ""; value == "" {
					if len(args) == 0 {
						return nil, fmt.Errorf("option -%c needs a value", letter)
					}
					value, args = args[0], args[1:]
				}
			}
			if err := option(letter, value); err != nil {
				return nil, fmt.Errorf("option -%c: %w", letter, err)
			}
		}
	}
	return args, nil
}

func takeLong(name string, args []string, long func(name, value string) error) ([]string, error) {
	name, value, given := strings.Cut(name, "=")
	if !given {
		if len(args) == 0 {
			return nil, fmt.Errorf("option --%s needs a value", name)
		}
		value, args = args[0], args[1:]
	}
	if err := long(name, value); err != nil {
		return nil, fmt.Errorf("option --%s: %w", name, err)
	}
	return args, nil
}

// IPv4 reads an address.
func IPv4(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && !a.Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", s)
	}
	return a, err
}

// Number reads a number, also octal and hexadecimal.
func Number(s string, low, high int) (int, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < int64(low) || n > int64(high) {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, low, high)
	}
	return int(n), nil
}

// AtMost reads a number from 0 on; one above high counts as high.
func AtMost(s string, high int) (int, error) {
	n, err := Number(s, 0, math.MaxInt32)
	return min(n, high), err
}

// Seconds reads a time in whole seconds.
func Seconds(s string) (time.Duration, error) {
	n, err := Number(s, 0, secondsMax)
	return time.Duration(n) * time.Second, err
}
