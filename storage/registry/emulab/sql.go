package emulab

import (
	"bufio"
	"encoding/hex"
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

// quoted reads up to the closing quote; a doubled quote stands for itself, and
// strings have backslash escapes.
func (p *parser) quoted(quote byte, k kind) (token, error) {
	t := token{kind: k}
	var text []byte
	for {
		c, err := p.byte()
		if err == io.EOF {
			return t, syntax("string has no end")
		}
		if err != nil {
			return t, err
		}
		if c == quote && !p.follows(quote) {
			t.text = string(text)
			return t, nil
		}
		if c == '\\' && k == tokenString {
			if text, err = p.escape(text); err != nil {
				return t, err
			}
		} else {
			text = append(text, c)
		}
		if len(text) > valueBytesMax {
			text, t.long = text[:valueBytesMax], true
		}
	}
}

func (p *parser) escape(text []byte) ([]byte, error) {
	c, err := p.byte()
	if err != nil {
		return text, syntax("string has no end")
	}
	switch c {
	case '0':
		c = 0
	case 'b':
		c = '\b'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'Z':
		c = 0x1a
	case '%', '_': // these keep their backslash outside of LIKE
		text = append(text, '\\')
	}
	return append(text, c), nil
}

// name reads an identifier or keyword. x'4142' is a hex literal.
func (p *parser) name(first byte) (token, error) {
	text := []byte{first}
	for {
		c, err := p.byte()
		if err == nil && (isNameStart(c) || c >= '0' && c <= '9') {
			if text = append(text, c); len(text) > nameLengthMax {
				return token{}, syntax("name %.20q... is too long", text)
			}
			continue
		}
		if err == nil && c == '\'' && len(text) == 1 && (first == 'x' || first == 'X') {
			return p.hexString()
		}
		if err == nil {
			p.unread(c)
		}
		return token{kind: tokenName, text: string(text)}, nil
	}
}

func (p *parser) hexString() (token, error) {
	t, err := p.quoted('\'', tokenNumber)
	if err != nil {
		return t, err
	}
	return decodeHex(t)
}

func decodeHex(t token) (token, error) {
	if len(t.text)%2 == 1 {
		t.text = "0" + t.text
	}
	raw, err := hex.DecodeString(t.text)
	if err != nil {
		return t, syntax("hex literal %.20q", t.text)
	}
	t.text = string(raw)
	return t, nil
}

// number reads a decimal number with fraction and exponent, or 0x4142, which
// is the string "AB".
func (p *parser) number(first byte) (token, error) {
	t := token{kind: tokenNumber}
	text := []byte{first}
	isHex := first == '0' && p.follows('x')
	if isHex {
		text = text[:0]
	}
	for {
		c, err := p.byte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return t, err
		}
		if !isNumberByte(c, text, isHex) {
			p.unread(c)
			break
		}
		if text = append(text, c); len(text) > 2*valueBytesMax {
			text, t.long = text[:2*valueBytesMax], true
		}
	}
	t.text = string(text)
	if isHex {
		return decodeHex(t)
	}
	return t, nil
}

func isNumberByte(c byte, before []byte, isHex bool) bool {
	switch {
	case c >= '0' && c <= '9':
		return true
	case isHex:
		return c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	case c == '.' || c == 'e' || c == 'E':
		return true
	case c == '+' || c == '-':
		last := before[len(before)-1]
		return last == 'e' || last == 'E'
	}
	return false
}
