package emulab

import (
	"io"
	"slices"
	"strings"
)

// statement reads one statement; io.EOF when there are no more.
func (p *parser) statement() error {
	first, err := p.take()
	switch {
	case err != nil:
		return err
	case first.kind == tokenEnd:
		return io.EOF
	case first.is(";"):
		return nil
	case first.keyword("INSERT"), first.keyword("REPLACE"):
		return p.insert()
	case first.keyword("CREATE"):
		return p.create()
	}
	return p.skipStatement()
}

// skipStatement reads through the semicolon or the end.
func (p *parser) skipStatement() error {
	for {
		t, err := p.take()
		if err != nil || t.kind == tokenEnd || t.is(";") {
			return err
		}
	}
}

// create remembers the columns of CREATE TABLE name (...).
func (p *parser) create() error {
	for {
		t, err := p.peek()
		if err != nil || t.kind == tokenEnd || t.is(";") {
			return p.skipStatement()
		}
		p.peeked = false
		if t.keyword("TABLE") {
			break
		}
	}
	if err := p.skipWords("IF", "NOT", "EXISTS"); err != nil {
		return err
	}
	table, err := p.identifier()
	if err != nil {
		return p.skipStatement()
	}
	open, err := p.peek()
	if err != nil {
		return err
	}
	if open.is("(") {
		p.peeked = false
		if err := p.columnsOf(table); err != nil {
			return err
		}
	}
	return p.skipStatement()
}

// columnsOf reads the parenthesised body. A definition that begins with one of
// the key words is a key; a column of that name would be in backticks.
func (p *parser) columnsOf(table string) error {
	var columns []string
	depth, atStart := 1, true
	for depth > 0 {
		t, err := p.take()
		if err != nil {
			return err
		}
		switch {
		case t.kind == tokenEnd:
			return syntax("CREATE TABLE %s has no end", table)
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case atStart && (t.kind == tokenQuoted || t.kind == tokenName && !isKeyWord(t.text)):
			if columns = append(columns, strings.ToLower(t.text)); len(columns) > columnsMax {
				return syntax("table %s has more than %d columns", table, columnsMax)
			}
		}
		atStart = depth == 1 && t.is(",")
	}
	if len(p.created) >= tablesMax {
		return syntax("more than %d tables", tablesMax)
	}
	p.created[table] = columns
	return nil
}

func isKeyWord(word string) bool {
	return slices.Contains([]string{"PRIMARY", "KEY", "UNIQUE", "INDEX", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK"},
		strings.ToUpper(word))
}

// insert reads INSERT|REPLACE [options] [INTO] table [(columns)] VALUES (...), ...
func (p *parser) insert() error {
	if err := p.skipWords("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"); err != nil {
		return err
	}
	table, err := p.identifier()
	if err != nil {
		return err
	}
	columns := p.created[table]
	t, err := p.take()
	if err == nil && t.is("(") {
		if columns, err = p.columnList(); err == nil {
			t, err = p.take()
		}
	}
	if err != nil {
		return err
	}
	if !t.keyword("VALUES") && !t.keyword("VALUE") {
		return syntax("INSERT INTO %s: want VALUES, found %.20q", table, t.text)
	}
	return p.rows(table, columns)
}

// skipWords takes any of these words as long as they come.
func (p *parser) skipWords(words ...string) error {
	for {
		t, err := p.peek()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(words, t.keyword) {
			return nil
		}
		p.peeked = false
	}
}

// identifier reads a table name, with or without its database.
func (p *parser) identifier() (string, error) {
	for {
		t, err := p.take()
		if err != nil {
			return "", err
		}
		if t.kind != tokenName && t.kind != tokenQuoted {
			return "", syntax("want a name, found %.20q", t.text)
		}
		dot, err := p.peek()
		if err != nil {
			return "", err
		}
		if !dot.is(".") {
			return t.text, nil
		}
		p.peeked = false
	}
}

func (p *parser) columnList() ([]string, error) {
	var columns []string
	for {
		name, err := p.identifier()
		if err != nil {
			return nil, err
		}
		if columns = append(columns, strings.ToLower(name)); len(columns) > columnsMax {
			return nil, syntax("more than %d columns", columnsMax)
		}
		t, err := p.take()
		switch {
		case err != nil:
			return nil, err
		case t.is(")"):
			return columns, nil
		case !t.is(","):
			return nil, syntax("column list: want ',' or ')', found %.20q", t.text)
		}
	}
}

// rows reads the value lists of one statement.
func (p *parser) rows(table string, columns []string) error {
	wanted := p.want(table)
	for {
		if _, err := p.peek(); err != nil {
			return err
		}
		line := p.line // where the row begins
		values, err := p.values(wanted)
		if err != nil {
			return err
		}
		if err := p.deliver(wanted, Row{table, columns, values, line}); err != nil {
			return err
		}
		t, err := p.take()
		if err != nil {
			return err
		}
		if t.is(",") {
			continue
		}
		if t.kind == tokenEnd || t.is(";") {
			return nil
		}
		return p.skipStatement() // ON DUPLICATE KEY UPDATE ...
	}
}

func (p *parser) deliver(wanted bool, row Row) error {
	if !wanted {
		p.skipped(row.Table)
		return nil
	}
	if len(row.Columns) != len(row.Values) {
		return syntax("%s: %d values for %d columns; the dump needs CREATE TABLE or column lists", row.Table, len(row.Values), len(row.Columns))
	}
	return p.row(row)
}

// values reads one "(...)". Of unwanted rows nothing is kept.
func (p *parser) values(keep bool) ([]Value, error) {
	t, err := p.take()
	if err != nil {
		return nil, err
	}
	if !t.is("(") {
		return nil, syntax("want '(' before values, found %.20q", t.text)
	}
	var values []Value
	for {
		v, end, err := p.value(keep)
		if err != nil {
			return nil, err
		}
		if keep {
			values = append(values, v)
		}
		if len(values) > columnsMax {
			return nil, syntax("more than %d values", columnsMax)
		}
		if end {
			return values, nil
		}
	}
}

// value reads up to the comma or parenthesis that ends it. Functions such as
// now() come out as their name.
func (p *parser) value(keep bool) (v Value, end bool, err error) {
	var b strings.Builder
	for depth := 0; ; {
		t, err := p.take()
		switch {
		case err != nil:
			return v, false, err
		case t.kind == tokenEnd:
			return v, false, syntax("values have no end")
		case keep && (t.long || b.Len()+len(t.text) > valueBytesMax):
			return v, false, syntax("value is over %d bytes", valueBytesMax)
		case t.is("("):
			depth++
		case t.is(")") && depth > 0:
			depth--
		case depth > 0:
		case t.is(")"), t.is(","):
			v.Text = b.String()
			return v, t.is(")"), nil
		case t.kind == tokenName:
			v.Null = b.Len() == 0 && t.keyword("NULL")
			b.WriteString(constant(t.text))
		default:
			b.WriteString(t.text)
		}
	}
}

// constant is the value of a bare word. _binary and the like say only how the
// string after them is to be read.
func constant(word string) string {
	switch strings.ToUpper(word) {
	case "NULL":
		return ""
	case "TRUE":
		return "1"
	case "FALSE":
		return "0"
	}
	if strings.HasPrefix(word, "_") {
		return ""
	}
	return word
}
