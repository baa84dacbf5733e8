// Package getopt parses command lines as the old tools' getopt(3) does:
// letters that can be joined, arguments with or without a space before them,
// operands between options, and "--" to end them.
package getopt

import (
	"fmt"
	"strings"
)

// Option is one option of a command line.
type Option struct {
	Letter byte
	Value  string // of a letter that takes one
}

// Parse splits args by spec, which lists the letters; a colon after one says
// that it takes a value. "-" alone is an operand.
func Parse(args []string, spec string) (options []Option, operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return options, append(operands, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			operands = append(operands, arg)
			continue
		}
		for i := 1; i < len(arg); i++ {
			at := strings.IndexByte(spec, arg[i])
			if at < 0 || arg[i] == ':' {
				return nil, nil, fmt.Errorf("invalid option -- '%c'", arg[i])
			}
			if at+1 == len(spec) || spec[at+1] != ':' {
				options = append(options, Option{Letter: arg[i]})
				continue
			}
			value := arg[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option requires an argument -- '%c'", arg[i])
				}
				value, args = args[0], args[1:]
			}
			options = append(options, Option{arg[i], value})
			break
		}
	}
	return options, operands, nil
}
