package tmcc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// node is the machine that the command runs on.
type node struct {
	root string // before every path; "" but in tests
	env  func(string) string
}

// configDirs are searched in this order for bossnode.
func configDirs() []string {
	return []string{"/etc/testbed", "/etc/emulab", "/etc/rc.d/testbed", "/usr/local/etc/testbed", "/usr/local/etc/emulab"}
}

const (
	keyFileDefault  = "/etc/emulab.pkey"
	keyFileOverride = "/etc/emulab/emulab-privkey"
	dataBytesMax    = 16 << 20 // of -f; our server keeps as much of a log
	lineBytesMax    = 1 << 10
)

// server finds the server's name and, if one is given, its port.
func (n node) server(o *options) (name string, port uint16, err error) {
	for _, text := range []string{o.server, n.env("BOSSNAME"), n.bossnode(), n.nameserver()} {
		if text == "" {
			continue
		}
		name, portText, hasPort := strings.Cut(text, ":")
		if hasPort {
			p, err := strconv.ParseUint(portText, 10, 16)
			if err != nil {
				return "", 0, fmt.Errorf("tmcc: server %q: port is not a number", text)
			}
			port = uint16(p)
		}
		if o.port != 0 {
			port = o.port
		}
		return name, port, nil
	}
	return "", 0, errors.New("tmcc: no server: give -s, or set BOSSNAME, or write its name to /etc/emulab/bossnode")
}

func (n node) bossnode() string {
	for _, dir := range configDirs() {
		if line, err := n.firstLine(filepath.Join(dir, "bossnode")); err == nil && line != "" {
			return line
		}
	}
	return ""
}

// nameserver is the name of the first name server: on a testbed that is the
// server.
func (n node) nameserver() string {
	data, err := os.ReadFile(n.root + "/etc/resolv.conf")
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if names, err := net.LookupAddr(fields[1]); err == nil && len(names) > 0 {
			return strings.TrimSuffix(names[0], ".")
		}
		return fields[1]
	}
	return ""
}

// privKey is the key that says who the node is where its address does not.
func (n node) privKey(o *options) (string, error) {
	if o.unix != "" {
		return "", nil
	}
	if key, err := n.firstLine(keyFileOverride); err == nil {
		return key, nil
	}
	if o.keyFile == "" {
		key, _ := n.firstLine(keyFileDefault) // having none is normal
		return key, nil
	}
	key, err := firstLine(o.keyFile)
	if err != nil {
		return "", fmt.Errorf("tmcc: key file: %w", err)
	}
	return key, nil
}

func (n node) firstLine(path string) (string, error) { return firstLine(n.root + path) }

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, lineBytesMax)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

// readData reads the file of -f. Of one that is over dataBytesMax the middle is
// left out.
func readData(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	defer f.Close()
	const half = dataBytesMax / 2
	head, err := io.ReadAll(io.LimitReader(f, dataBytesMax))
	if err != nil {
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	if len(head) == 0 {
		return nil, fmt.Errorf("tmcc: %s is empty", path)
	}
	info, err := f.Stat()
	if err != nil || info.Size() <= dataBytesMax {
		return head, err
	}
	tail := make([]byte, half)
	n, err := f.ReadAt(tail, info.Size()-half)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	note := fmt.Appendf(nil, "\n[%d bytes cut]\n", info.Size()-dataBytesMax)
	return bytes.Join([][]byte{head[:half], tail[:n]}, note), nil
}
