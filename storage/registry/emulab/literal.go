package emulab

import (
	"encoding/hex"
	"io"
)

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
