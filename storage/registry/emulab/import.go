package emulab

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"hyzer/storage/registry"
)

// Options say what the database does not.
type Options struct {
	// Site is completed with the database's site variables. Emulab keeps
	// names, addresses and directories in its build configuration.
	Site registry.Site
	// Zone is the time zone of the database's DATETIMEs; nil is UTC.
	Zone *time.Location
	// Taken is when the dump was made: disk contents are confirmed as of
	// then. Zero is now.
	Taken time.Time
}

// TableCount is how many rows of a table went into records.
type TableCount struct {
	Table string
	Taken int
	Left  int
}

// Report says what was taken, what was left and what is wrong with it.
type Report struct {
	Tables []TableCount // sorted by name
	// Notes name rows and references that could not be used; the first
	// notesMax of them, NotesLeft more were not kept.
	Notes     []string
	NotesLeft int
}

const notesMax = 1000

// Import reads dumps, later ones over earlier ones, and maps them to records.
// The error is of reading; what cannot be mapped is in the report.
func Import(opts Options, dumps ...io.Reader) (*registry.SiteFile, *Report, error) {
	t := newTables()
	for _, dump := range dumps {
		if err := ReadRows(dump, t.wants, t.add, t.skip); err != nil {
			return nil, nil, fmt.Errorf("emulab: %w", err)
		}
	}
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	if opts.Taken.IsZero() {
		opts.Taken = time.Now()
	}
	m := &mapper{t: t, opts: opts, out: &registry.SiteFile{}, report: &Report{}, dropped: map[string]int{}}
	m.all()
	m.count()
	return m.out, m.report, nil
}

// mapper builds records table by table; each step may use what earlier ones
// made.
type mapper struct {
	t       *tables
	opts    Options
	out     *registry.SiteFile
	report  *Report
	dropped map[string]int // rows of read tables that went into nothing

	projects    map[string]bool
	users       map[string]bool
	types       map[string]bool
	nodes       map[string]*registry.Node
	experiments map[string]bool
	place       map[string]*registry.Experiment // by "pid/eid"
	byIndex     map[string]string               // exptidx -> "pid/eid"
	systems     map[string]*registry.OS         // by osid
	images      map[string]*registry.Image      // by imageid
}

func (m *mapper) all() {
	m.site()
	m.projectRecords()
	m.userRecords()
	m.groupRecords()
	m.osRecords()
	m.imageRecords()
	m.typeRecords()
	m.nodeRecords()
	m.experimentRecords()
	m.placeExperiments()
	m.topologyRecords()
	m.firewallRecords()
	m.serverRecords()
	m.clientServices()
	m.ipTunnels()
	m.experimentExtras()
	m.reservationRecords()
	m.nodeLifeRecords()
	m.serviceRecords()
	m.partitionRecords()
	m.loadRecords()
}

// drop notes a row that cannot be used.
func (m *mapper) drop(table string, row *record, format string, args ...any) {
	m.dropped[table]++
	m.note(table, row, format, args...)
}

// note notes a reference or value that was left out of a record.
func (m *mapper) note(table string, row *record, format string, args ...any) {
	if len(m.report.Notes) >= notesMax {
		m.report.NotesLeft++
		return
	}
	m.report.Notes = append(m.report.Notes, fmt.Sprintf("line %d: %s: %s", row.line, table, fmt.Sprintf(format, args...)))
}

func (m *mapper) count() {
	for table, rows := range m.t.rows {
		dropped := m.dropped[table]
		m.report.Tables = append(m.report.Tables, TableCount{table, len(rows) - dropped, dropped})
	}
	for table, rows := range m.t.left {
		m.report.Tables = append(m.report.Tables, TableCount{Table: table, Left: rows})
	}
	slices.SortFunc(m.report.Tables, func(a, b TableCount) int { return strings.Compare(a.Table, b.Table) })
}

// named says whether a row's name may be a record's, and notes one that may
// not.
func (m *mapper) named(table string, row *record, column string) (string, bool) {
	name := row.get(column)
	if err := registry.CheckName(name); err != nil {
		m.drop(table, row, "%v", err)
		return "", false
	}
	return name, true
}

// site takes the site variables: the value in effect is the default unless
// one is set.
func (m *mapper) site() {
	site := m.opts.Site
	vars := make(map[string]string, len(m.t.rows["sitevariables"]))
	for name, value := range site.Vars {
		vars[name] = value
	}
	for _, row := range m.t.rows["sitevariables"] {
		value := row.get("defaultvalue")
		if row.has("value") {
			value = row.get("value")
		}
		vars[row.get("name")] = value
	}
	if len(vars) > 0 {
		site.Vars = vars
	}
	m.out.Site = &site
}
