// Command hyzer-node is the node's side of the appliance in one static binary.
// What it does depends on the name it is called by: link tmcc, frisbee,
// imagezip and the others to it. Called by its own name, the first argument
// names the program.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"hyzer/imaging/delta"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
	"hyzer/multicast/client"
	"hyzer/multicast/doctor"
	"hyzer/multicast/standalone"
	"hyzer/multicast/upload"
	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/noderun"
	"hyzer/netsvc/tmcc"
)

// program is one of the old programs: arguments without its name in, exit
// status out.
type program func(args []string, in io.Reader, out, errs io.Writer) int

func programs() map[string]program {
	return map[string]program{
		"tmcc": func(args []string, in io.Reader, out, errs io.Writer) int {
			return tmcc.Main(args, os.Getenv, in, out, errs)
		},
		"frisbee":        client.Main,
		"frisbeed":       standalone.Main,
		"frisupload":     upload.Main,
		"doctor":         doctor.Main,
		"imagezip":       zip.Main,
		"imageunzip":     unzip.Main,
		"imagehash":      sig.Main,
		"imagedelta":     delta.Main,
		"imageundelta":   delta.MainUndelta,
		"imagerezip":     delta.MainRezip,
		"imagedump":      ndz.Main,
		"bootinfoclient": bootinfo.ClientMain,
		"init":           initMain,
		"mkmfs":          mkmfsMain,

		"bootsetup":        noderun.BootSetup,
		"injail":           noderun.InJail,
		"vnodesetup":       noderun.VNodeSetup,
		"cdboot":           noderun.CDBoot,
		"watchdog":         noderun.Watchdog,
		"create-swapimage": noderun.CreateSwapImage,
	}
}

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

func run(argv []string, in io.Reader, out, errs io.Writer) int {
	all := programs()
	// tmcc.bin is what Emulab's wrapper scripts call the client itself.
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".bin")
	args := argv[1:]
	if all[name] == nil && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if run := all[name]; run != nil {
		return run(args, in, out, errs)
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	fmt.Fprintf(errs, "usage: hyzer-node PROGRAM [arguments], or link it to PROGRAM: %s\n", strings.Join(names, ", "))
	return 1
}
