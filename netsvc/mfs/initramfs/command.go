package initramfs

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Main is mkmfs: it writes the RAM disk of the memory file system, with the
// program that runs it as /init. args are those after the program's name.
func Main(args []string, _ io.Reader, _, errs io.Writer) int {
	var o Options
	fs := flag.NewFlagSet("mkmfs", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.StringVar(&o.Init, "init", "/proc/self/exe", "static `program` to be /init")
	fs.StringVar(&o.ModuleDir, "moduledir", "", "`folder` of the kernel's modules, such as /lib/modules/6.1.0")
	fs.StringVar(&o.CertDir, "certs", "", "`folder` with client.pem and emulab.pem, to speak TLS with tmcd")
	modules := fs.String("modules", "", "`names` of the modules to load, with commas between")
	if err := fs.Parse(args); err != nil || fs.NArg() != 1 {
		fmt.Fprintln(errs, "usage: mkmfs [-certs folder] [-moduledir folder -modules name,...] [-init program] <output file>")
		return 1
	}
	if *modules != "" {
		o.Modules = strings.Split(*modules, ",")
	}
	if err := WriteFile(fs.Arg(0), o); err != nil {
		fmt.Fprintln(errs, "mkmfs:", err)
		return 1
	}
	return 0
}

// WriteFile writes a RAM disk to a file.
func WriteFile(path string, o Options) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(Build(w, o), w.Flush(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
