package tmcc

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcc/framed"
)

// vnodeKeyFile holds what a host has given a virtual node to prove who it is
// with: its name and its key, on one line, as --delegate prints them.
const vnodeKeyFile = "/etc/emulab/tmc2.key"

// key is what the node proves with who it is (docs/tmc2.md): a key of a virtual
// node, else the PRIVKEY, if it has one.
func (n node) key(privKey string) framed.Key {
	line, err := n.firstLine(vnodeKeyFile)
	if name, text, ok := strings.Cut(line, " "); err == nil && ok {
		return framed.Key{Text: text, VNode: name}
	}
	return framed.Key{Text: privKey}
}

// delegate prints the key that a virtual node of this host proves with who it
// is. It speaks for that node alone.
func (n node) delegate(o *options, stdout io.Writer) error {
	privKey, err := n.privKey(o)
	if err == nil && privKey == "" {
		err = errors.New("tmcc: --delegate: this host has no PRIVKEY; see -k")
	}
	if err != nil {
		return err
	}
	vnode := o.words[0]
	_, err = fmt.Fprintf(stdout, "%s %s\n", vnode, tmc2.VNodeKey(privKey, vnode))
	return err
}
