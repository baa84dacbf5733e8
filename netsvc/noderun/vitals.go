package noderun

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	vitalBytesMax   = 8 << 10
	hostKeyBytesMax = 4095 // what tmcd takes
)

// vitals reads what a node reports of itself.
type vitals struct {
	root string // before every path; "" but in tests
}

// rusage gives the arguments of rusage: load averages, and the percentage of
// the root file system that is in use, as df counts it.
func (v vitals) rusage() ([]string, error) {
	text, err := v.read("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	load := strings.Fields(text)
	if len(load) < 3 {
		return nil, fmt.Errorf("/proc/loadavg holds %q", text)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(v.root+"/", &fs); err != nil {
		return nil, fmt.Errorf("room of the root file system: %w", err)
	}
	used := percentUsed(fs.Blocks, fs.Bfree, fs.Bavail)
	return []string{"LA1=" + load[0], "LA5=" + load[1], "LA15=" + load[2], "DUSED=" + strconv.Itoa(used)}, nil
}

// percentUsed is of what users can have, rounded up.
func percentUsed(blocks, free, available uint64) int {
	used := blocks - min(free, blocks)
	if used+available == 0 {
		return 0
	}
	return int((used*100 + used + available - 1) / (used + available))
}

// drift is what the node's ntpd last wrote, nil if it has not.
func (v vitals) drift() []string {
	for _, path := range []string{"/var/lib/ntp/ntp.drift", "/var/lib/ntpsec/ntp.drift", "/var/lib/ntp/drift", "/var/db/ntpd.drift", "/etc/ntp.drift"} {
		text, err := v.read(path)
		if fields := strings.Fields(text); err == nil && len(fields) > 0 {
			if _, err := strconv.ParseFloat(fields[0], 64); err == nil {
				return fields[:1]
			}
		}
	}
	return nil
}

// hostKeys gives the arguments of hostkeys. The protocol names three kinds of
// keys and refuses others.
func (v vitals) hostKeys() (args []string) {
	for _, k := range []struct{ name, file string }{
		{"SSH_HOST_KEY", "ssh_host_key.pub"}, {"SSH_HOST_RSA_KEY", "ssh_host_rsa_key.pub"}, {"SSH_HOST_DSA_KEY", "ssh_host_dsa_key.pub"},
	} {
		text, err := v.read(filepath.Join("/etc/ssh", k.file))
		key := strings.Join(strings.Fields(text), " ")
		if err == nil && key != "" && len(key) <= hostKeyBytesMax && !strings.Contains(key, "'") {
			args = append(args, k.name+"='"+key+"'")
		}
	}
	return args
}

func (v vitals) read(path string) (string, error) {
	f, err := os.Open(v.root + path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, vitalBytesMax))
	return string(text), err
}
