package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"hyzer/netsvc/control"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
)

// importEmulab reads dumps of an Emulab database here and sends what they say
// as a site file. The dumps have no names and addresses of the site itself:
// those of the appliance's site record stay.
func importEmulab(e *env, args []string) error {
	fs, address := e.flags("import emulab")
	dry := fs.Bool("dry-run", false, "report only, change nothing")
	write := fs.Bool("print", false, "write the site file to standard output, change nothing")
	zone := fs.String("zone", "UTC", "time `zone` of the database's times")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return badUsage("want mysqldump files, or - for standard input")
	}
	location, err := time.LoadLocation(*zone)
	if err != nil {
		return badUsage("%v", err)
	}
	options := emulab.Options{Zone: location}
	if options.Site, err = siteNow(e, *dry || *write); err != nil {
		return err
	}
	site, report, err := readDumps(e, options, rest)
	if err != nil {
		return err
	}
	if *write {
		return site.WriteYAML(e.out)
	}
	var status *control.Status
	if !*dry {
		if status, err = sendSite(e, site); err != nil {
			return fmt.Errorf("nothing was imported: %w", err)
		}
	}
	return showReport(e, report, status)
}

// siteNow is the appliance's site record. Without changing anything, one may
// do without an appliance.
func siteNow(e *env, optional bool) (registry.Site, error) {
	var file registry.SiteFile
	err := e.client.Call(e.ctx, "GET", "/v1/export?format=json", nil, &file)
	if err != nil && !optional {
		return registry.Site{}, err
	}
	if file.Site == nil {
		return registry.Site{}, nil
	}
	return *file.Site, nil
}

func readDumps(e *env, options emulab.Options, names []string) (*registry.SiteFile, *emulab.Report, error) {
	var dumps []io.Reader
	for _, name := range names {
		f, err := e.open(name)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		dumps = append(dumps, f)
	}
	return emulab.Import(options, dumps...)
}

// sendSite sends a site file as JSON, which is YAML, and quicker to write.
func sendSite(e *env, site *registry.SiteFile) (*control.Status, error) {
	data, err := json.Marshal(site)
	if err != nil {
		return nil, err
	}
	status := &control.Status{}
	return status, e.client.Call(e.ctx, "POST", "/v1/import", bytes.NewReader(data), status)
}

func showReport(e *env, report *emulab.Report, status *control.Status) error {
	if e.json {
		return e.printJSON(reportJSON(report, status))
	}
	for _, note := range report.Notes {
		fmt.Fprintln(e.errs, printable(note))
	}
	if report.NotesLeft > 0 {
		fmt.Fprintf(e.errs, "and %d more notes\n", report.NotesLeft)
	}
	var rows [][]string
	for _, t := range report.Tables {
		rows = append(rows, []string{t.Table, strconv.Itoa(t.Taken), strconv.Itoa(t.Left)})
	}
	if err := e.table("TABLE TAKEN LEFT", rows); err != nil {
		return err
	}
	if status == nil {
		e.printf("nothing was changed\n")
		return nil
	}
	e.printf("imported; the site has %d nodes, revision %d\n", status.Nodes, status.Revision)
	return nil
}

type importReport struct {
	Tables    []importedTable `json:"tables"`
	Notes     []string        `json:"notes"`
	NotesLeft int             `json:"notes_left"`
	Status    *control.Status `json:"status,omitempty"` // nil: nothing was changed
}

type importedTable struct {
	Table string `json:"table"`
	Taken int    `json:"taken"`
	Left  int    `json:"left"`
}

func reportJSON(report *emulab.Report, status *control.Status) importReport {
	out := importReport{Tables: []importedTable{}, Notes: report.Notes, NotesLeft: report.NotesLeft, Status: status}
	for _, t := range report.Tables {
		out.Tables = append(out.Tables, importedTable(t))
	}
	return out
}
