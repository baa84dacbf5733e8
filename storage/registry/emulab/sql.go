package emulab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Value is one column of a row. Numbers, strings and hex literals all come as
// text, as MySQL would print them.
type Value struct {
	Text string
	Null bool
}

// Row is one row of an INSERT or REPLACE.
type Row struct {
	Table   string
	Columns []string // shared by the rows of a statement
	Values  []Value  // as many as Columns
	Line    int
}

// Limits on one statement. Rows are read one at a time, so that a dump's INSERT
// of any length needs the memory of its longest row.
const (
	valueBytesMax = 1 << 20
	nameLengthMax = 64 // MySQL's limit for identifiers
	columnsMax    = 1017
	tablesMax     = 4096 // whose columns are remembered
)

// errSyntax is wrapped with line and reason.
var errSyntax = errors.New("not MySQL text")

// ReadRows calls fn for each row of the tables that want accepts, in file
// order, and skips everything else. Column names come from the statement or,
// without a list there, from the table's CREATE TABLE. skipped is called with
// the name of each row of the other tables.
func ReadRows(r io.Reader, want func(table string) bool, fn func(Row) error, skipped func(table string)) error {
	p := &parser{in: bufio.NewReaderSize(r, 64<<10), line: 1, created: map[string][]string{},
		want: want, row: fn, skipped: skipped}
	for {
		err := p.statement()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", p.line, err)
		}
	}
}

// parser reads MySQL text with one token of look-ahead.
type parser struct {
	in      *bufio.Reader
	line    int
	created map[string][]string // table -> columns
	want    func(string) bool
	row     func(Row) error
	skipped func(string)

	peeked bool
	next   token
}

// kind of a token.
type kind int

const (
	tokenEnd    kind = iota // of input
	tokenName               // identifier or keyword, unquoted
	tokenQuoted             // identifier in backticks
	tokenString             // '...' or "..."
	tokenNumber             // also hex literals, decoded
	tokenPunct              // one byte
)

type token struct {
	kind kind
	text string
	// long says that the text was cut at valueBytesMax.
	long bool
}

func (t token) is(punct string) bool { return t.kind == tokenPunct && t.text == punct }

func (t token) keyword(word string) bool {
	return t.kind == tokenName && strings.EqualFold(t.text, word)
}

func syntax(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSyntax, fmt.Sprintf(format, args...))
}

func (p *parser) peek() (token, error) {
	if p.peeked {
		return p.next, nil
	}
	t, err := p.scan()
	if err == nil {
		p.next, p.peeked = t, true
	}
	return t, err
}

func (p *parser) take() (token, error) {
	t, err := p.peek()
	p.peeked = false
	return t, err
}

// scan reads the next token, past white space and comments.
func (p *parser) scan() (token, error) {
	for {
		c, err := p.byte()
		if err == io.EOF {
			return token{kind: tokenEnd}, nil
		}
		if err != nil {
			return token{}, err
		}
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			continue
		case c == '#', c == '-' && p.commentDash():
			err = p.skipLine()
		case c == '/' && p.follows('*'):
			err = p.skipComment()
		default:
			return p.token(c)
		}
		if err != nil {
			return token{}, err
		}
	}
}

func (p *parser) token(c byte) (token, error) {
	switch {
	case c == '\'' || c == '"':
		return p.quoted(c, tokenString)
	case c == '`':
		return p.quoted(c, tokenQuoted)
	case c >= '0' && c <= '9':
		return p.number(c)
	case isNameStart(c):
		return p.name(c)
	}
	return token{kind: tokenPunct, text: string(rune(c))}, nil
}

func isNameStart(c byte) bool {
	return c == '_' || c == '$' || c == '@' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (p *parser) byte() (byte, error) {
	c, err := p.in.ReadByte()
	if c == '\n' {
		p.line++
	}
	return c, err
}

func (p *parser) unread(c byte) {
	_ = p.in.UnreadByte() // cannot fail right after ReadByte
	if c == '\n' {
		p.line--
	}
}

// follows takes the next byte if it is c.
func (p *parser) follows(c byte) bool {
	got, err := p.byte()
	if err != nil {
		return false
	}
	if got == c {
		return true
	}
	p.unread(got)
	return false
}

// commentDash tells "-- " from a minus sign.
func (p *parser) commentDash() bool {
	ahead, _ := p.in.Peek(2)
	return len(ahead) == 1 && ahead[0] == '-' ||
		len(ahead) == 2 && ahead[0] == '-' && (ahead[1] == ' ' || ahead[1] == '\t' || ahead[1] == '\n' || ahead[1] == '\r')
}

func (p *parser) skipLine() error {
	for {
		c, err := p.byte()
		if err == io.EOF || c == '\n' {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// skipComment skips /*! ... */ too: what is in them never carries rows.
func (p *parser) skipComment() error {
	for {
		c, err := p.byte()
		if err == io.EOF {
			return syntax("comment has no end")
		}
		if err != nil {
			return err
		}
		if c == '*' && p.follows('/') {
			return nil
		}
	}
}
