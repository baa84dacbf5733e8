package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"-z -s 1 in out", "[{z } {s 1}] [in out]"},
		{"-zs1 in - -o", "[{z } {s 1} {o }] [in -]"},
		{"in -sx -- -z", "[{s x}] [in -z]"},
		{"in --keep -z --base x --base=y", "[{-keep } {z } {-base x} {-base y}] [in]"},
		{"--base", "error: option requires an argument -- 'base'"},
		{"--keep=1", "error: option takes no argument -- 'keep'"},
		{"--bas", "error: invalid option -- 'bas'"},
		{"-q", "error: invalid option -- 'q'"},
		{"-:", "error: invalid option -- ':'"},
		{"-s", "error: option requires an argument -- 's'"},
	} {
		options, operands, err := Parse(strings.Fields(c.args), "zs:o", "keep", "base:")
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			var list []string
			for _, o := range options {
				list = append(list, fmt.Sprintf("{%s %s}", strings.TrimPrefix(o.String(), "-"), o.Value))
			}
			got = fmt.Sprintf("%v %v", list, operands)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	options := []Option{{Letter: 'a'}, {Name: "best"}, {Letter: 's', Value: "x"}}
	for _, c := range []struct{ fails, want string }{
		{"", "-a --best -s "},
		{"--best", "-a --best option --best: no"},
		{"-s", "-a --best -s option -s: no"},
	} {
		got := ""
		err := Each(options, func(o Option) error {
			if got += o.String() + " "; o.String() == c.fails {
				return errors.New("no")
			}
			return nil
		})
		if err != nil {
			got += err.Error()
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
