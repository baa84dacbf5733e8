package lvm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// depthMax bounds how deep sections are nested; LVM itself has five levels.
const depthMax = 16

// node is a section of the metadata: sections below it and values, which are
// numbers, strings or lists of these.
type node struct {
	sections map[string]*node
	order    []string // of the sections
	values   map[string][]value
}

// value is a number or a string.
type value struct {
	text   string
	number uint64
	quoted bool
}

// number returns a value that must be one number.
func (n *node) number(key string) (uint64, error) {
	v := n.values[key]
	if len(v) != 1 || v[0].quoted {
		return 0, fmt.Errorf("no number %s", key)
	}
	return v[0].number, nil
}

// string returns a value that is one string, or "".
func (n *node) string(key string) string {
	if v := n.values[key]; len(v) == 1 && v[0].quoted {
		return v[0].text
	}
	return ""
}

// has tells whether a list has a string.
func (n *node) has(key, text string) bool {
	for _, v := range n.values[key] {
		if v.quoted && v.text == text {
			return true
		}
	}
	return false
}

// section returns a section below n, which is empty if there is none.
func (n *node) section(name string) *node {
	if s := n.sections[name]; s != nil {
		return s
	}
	return &node{}
}

// parser reads the text as tokens: names and numbers, strings, punctuation.
type parser struct {
	text   string
	token  string // "" at the end
	quoted bool
}

var errText = errors.New("metadata text cannot be read")

// parse reads metadata text. Nothing is left out and nothing comes twice.
func parse(text string) (*node, error) {
	p := &parser{text: text}
	if err := p.next(); err != nil {
		return nil, err
	}
	return p.section("", 0)
}

// next moves to the next token.
func (p *parser) next() error {
	p.quoted = false
	for {
		p.text = strings.TrimLeft(p.text, " \t\r\n")
		if !strings.HasPrefix(p.text, "#") {
			break
		}
		_, p.text, _ = strings.Cut(p.text, "\n")
	}
	switch {
	case p.text == "":
		p.token = ""
	case p.text[0] == '"':
		return p.string()
	case strings.IndexByte("{}[]=,", p.text[0]) >= 0:
		p.token, p.text = p.text[:1], p.text[1:]
	default:
		end := strings.IndexAny(p.text, " \t\r\n{}[]=,\"#")
		if end < 0 {
			end = len(p.text)
		}
		if end == 0 {
			return errText
		}
		p.token, p.text = p.text[:end], p.text[end:]
	}
	return nil
}

// string reads a string, in which a backslash protects the next character.
func (p *parser) string() error {
	var b strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch c := p.text[i]; c {
		case '"':
			p.token, p.quoted, p.text = b.String(), true, p.text[i+1:]
			return nil
		case '\\':
			if i++; i < len(p.text) {
				b.WriteByte(p.text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return errText
}

// at tells whether the token is this punctuation, or the end if it is empty.
func (p *parser) at(token string) bool { return !p.quoted && p.token == token }

// section reads up to the end of a section, or of the text.
func (p *parser) section(end string, depth int) (*node, error) {
	if depth > depthMax {
		return nil, errText
	}
	n := &node{sections: make(map[string]*node), values: make(map[string][]value)}
	for !p.at(end) {
		name := p.token
		if p.quoted || name == "" || strings.Contains("{}[]=,", name) || n.sections[name] != nil || n.values[name] != nil {
			return nil, errText
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		if err := p.member(n, name, depth); err != nil {
			return nil, err
		}
	}
	return n, p.next()
}

// member reads what follows a name.
func (p *parser) member(n *node, name string, depth int) error {
	open, assign := p.at("{"), p.at("=")
	if !open && !assign {
		return errText
	}
	err := p.next()
	if err != nil {
		return err
	}
	if open {
		n.order = append(n.order, name)
		n.sections[name], err = p.section("}", depth+1)
		return err
	}
	n.values[name], err = p.values()
	return err
}

// values reads a value or a list of them. An empty list is not nil.
func (p *parser) values() ([]value, error) {
	list := []value{}
	if !p.at("[") {
		v, err := p.value()
		return append(list, v), err
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	for !p.at("]") {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.at(",") {
			err = p.next()
		} else if !p.at("]") {
			err = errText
		}
		if err != nil {
			return nil, err
		}
	}
	return list, p.next()
}

func (p *parser) value() (value, error) {
	v := value{text: p.token, quoted: p.quoted}
	if !v.quoted {
		var err error
		if v.number, err = strconv.ParseUint(v.text, 10, 63); err != nil {
			return v, errText
		}
	}
	return v, p.next()
}
