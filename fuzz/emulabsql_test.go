package fuzz

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
)

// FuzzEmulabSQL reads any text as a dump. What it yields as rows, written as
// plain INSERTs, yields the same rows again; what Import makes of it is a
// site that a snapshot can be built from.
func FuzzEmulabSQL(f *testing.F) {
	for _, name := range []string{"common.sql", "extra.sql"} {
		f.Add(shared.ReadFile(f, "vectors/tmcd/"+name))
	}
	for line := range bytes.Lines(shared.ReadFile(f, "vectors/tmcd/siteA.sql")) {
		f.Add(line)
	}
	f.Add([]byte("CREATE TABLE `nodes` (`node_id` int, KEY (x));\nINSERT INTO `nodes` VALUES (0x41),(x'42'),(_binary 'c\\'\\0')/*!x*/;"))
	f.Fuzz(func(t *testing.T, dump []byte) {
		if len(dump) > 64<<10 {
			return
		}
		rows, err := sqlRows(dump)
		if err == nil {
			again, err := sqlRows([]byte(strings.Join(rows, "")))
			if err != nil || strings.Join(again, "") != strings.Join(rows, "") {
				t.Fatalf("second reading: %v\n%q\n%q", err, rows, again)
			}
		}
		file, report, err := emulab.Import(emulab.Options{}, bytes.NewReader(dump))
		if err != nil {
			return
		}
		if len(report.Notes) > 1000 {
			t.Fatalf("%d notes", len(report.Notes))
		}
		registry.NewSnapshot(file)
	})
}

// sqlRows reads a dump and writes its rows in a plain form.
func sqlRows(dump []byte) ([]string, error) {
	var rows []string
	everyTable := func(string) bool { return true }
	err := emulab.ReadRows(bytes.NewReader(dump), everyTable, func(row emulab.Row) error {
		quote := func(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
		columns := make([]string, len(row.Columns))
		for i, name := range row.Columns {
			columns[i] = quote(name)
		}
		values := make([]string, len(row.Values))
		for i, v := range row.Values {
			values[i] = fmt.Sprintf("x'%x'", v.Text)
			if v.Null {
				values[i] = "NULL"
			}
		}
		rows = append(rows, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);\n", quote(row.Table), strings.Join(columns, ","), strings.Join(values, ",")))
		return nil
	}, func(string) {})
	return rows, err
}
