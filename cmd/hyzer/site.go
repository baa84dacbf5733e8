package main

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"hyzer/netsvc/control"
)

func explain(e *env, args []string) error {
	rest, err := e.simple("explain", args, 1, 1, "one MAC address, IP address or node")
	if err != nil {
		return err
	}
	var x control.Explanation
	if err := e.client.Call(e.ctx, "GET", "/v1/explain?subject="+url.QueryEscape(rest[0]), nil, &x); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(x)
	}
	for _, s := range x.Sections {
		e.printf("%s:\n", s.Service)
		for line := range strings.Lines(strings.TrimSpace(s.Text)) {
			e.printf("  %s\n", printable(strings.TrimRight(line, "\n")))
		}
	}
	return nil
}

func importSite(e *env, args []string) error {
	if verb, rest := splitVerb(args); verb == "emulab" {
		return importEmulab(e, rest)
	}
	rest, err := e.simple("import", args, 1, 1, "one site file, or - for standard input")
	if err != nil {
		return err
	}
	file, err := e.open(rest[0])
	if err != nil {
		return err
	}
	defer file.Close()
	var s control.Status
	if err := e.client.Call(e.ctx, "POST", "/v1/import", file, &s); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(s)
	}
	e.printf("imported; the site has %d nodes, revision %d\n", s.Nodes, s.Revision)
	return nil
}

// open opens a file, or standard input for "-".
func (e *env) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.in), nil
	}
	return os.Open(name)
}

func exportSite(e *env, args []string) error {
	if err := e.bare("export", args); err != nil {
		return err
	}
	format := "yaml"
	if e.json {
		format = "json"
	}
	return e.client.Copy(e.ctx, "GET", "/v1/export?format="+format, nil, e.out)
}

func backup(e *env, args []string) error {
	rest, err := e.simple("backup", args, 1, 1, "one folder")
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(rest[0])
	if err != nil {
		return err
	}
	if err := e.client.Call(e.ctx, "POST", "/v1/backup", control.BackupRequest{Dir: dir}, nil); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(control.BackupRequest{Dir: dir})
	}
	e.printf("backup in %s\n", dir)
	return nil
}
