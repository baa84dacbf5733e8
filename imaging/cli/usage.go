package cli

import (
	"errors"
	"fmt"
	"io"
)

// ErrHelp is what reading a command line returns for -h, to have the usage
// printed. The exit status is that of wrong usage, as of the old programs.
var ErrHelp = errors.New("help")

// PrintUsage says what is wrong with a program's command line, and how it is
// written; for ErrHelp only that.
func PrintUsage(w io.Writer, name, usage string, err error) {
	if !errors.Is(err, ErrHelp) {
		fmt.Fprintf(w, "%s: %v\n", name, err)
	}
	fmt.Fprint(w, usage)
}
