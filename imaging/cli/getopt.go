package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Option is one option of a command line.
type Option struct {
	Letter byte   // 0 for a long option
	Name   string // of a long option, without dashes
	Value  string // of an option that takes one
}

func (o Option) String() string {
	if o.Letter == 0 {
		return "--" + o.Name
	}
	return "-" + string(o.Letter)
}

// Parse parses a command line as the old programs' getopt(3) does: letters that
// can be joined, values with or without a space before them, operands between
// options, and "--" to end them. New options are long ones, so that no letter
// means something else in a script.
//
// It splits args by spec, which lists the letters, and long, the names of
// long options; a colon after one says that it takes a value. "-" alone is an
// operand.
func Parse(args []string, spec string, long ...string) (options []Option, operands []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return options, append(operands, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			operands = append(operands, arg)
			continue
		case arg[1] == '-':
			var o Option
			if o, args, err = parseLong(arg[2:], args, long); err != nil {
				return nil, nil, err
			}
			options = append(options, o)
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
			options = append(options, Option{Letter: arg[i], Value: value})
			break
		}
	}
	return options, operands, nil
}

// Each calls take for each of options. An error names the option.
func Each(options []Option, take func(Option) error) error {
	for _, o := range options {
		if err := take(o); err != nil {
			return fmt.Errorf("option %s: %w", o, err)
		}
	}
	return nil
}

// parseLong parses one long option, "name", "name value" or "name=value".
func parseLong(arg string, args, long []string) (Option, []string, error) {
	name, value, given := strings.Cut(arg, "=")
	switch {
	case slices.Contains(long, name) && !given:
		return Option{Name: name}, args, nil
	case slices.Contains(long, name):
		return Option{}, nil, fmt.Errorf("option takes no argument -- '%s'", name)
	case !slices.Contains(long, name+":"):
		return Option{}, nil, fmt.Errorf("invalid option -- '%s'", name)
	case given:
		return Option{Name: name, Value: value}, args, nil
	case len(args) == 0:
		return Option{}, nil, fmt.Errorf("option requires an argument -- '%s'", name)
	}
	return Option{Name: name, Value: args[0]}, args[1:], nil
}
