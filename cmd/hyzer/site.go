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
	rest, err := e.simple("explain", args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one MAC address, IP address or node")
	}
	var x control.Explanation
	if err := e.client.Call(e.ctx, "GET", "/v1/explain?subject="+url.QueryEscape(rest[0]), nil, &x); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(x)
	}
	for _, s := range x.Sections {
		e.printf("%s:\n  %s\n", s.Service, strings.ReplaceAll(strings.TrimSpace(s.Text), "\n", "\n  "))
	}
	return nil
}

func importSite(e *env, args []string) error {
	rest, err := e.simple("import", args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one site file, or - for standard input")
	}
	var file io.Reader = e.in
	if rest[0] != "-" {
		f, err := os.Open(rest[0])
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
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

func exportSite(e *env, args []string) error {
	if _, err := e.simple("export", args); err != nil {
		return err
	}
	return e.client.Copy(e.ctx, "GET", "/v1/export", nil, e.out)
}

func backup(e *env, args []string) error {
	rest, err := e.simple("backup", args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return badUsage("want one folder")
	}
	dir, err := filepath.Abs(rest[0])
	if err != nil {
		return err
	}
	if err := e.client.Call(e.ctx, "POST", "/v1/backup", control.BackupRequest{Dir: dir}, nil); err != nil {
		return err
	}
	if !e.json {
		e.printf("backup in %s\n", dir)
	}
	return nil
}
