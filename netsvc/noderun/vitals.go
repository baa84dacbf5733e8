package noderun

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	vitalBytesMax   = 8 << 10
	hostKeyBytesMax = 4095 // what tmcd takes
	hostKeysMax     = 16   // kinds
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

// hostKeys gives the words of hostkeys, all keys in one: first those of SSH's
// old kinds, then all that the node has. Old servers refuse the second.
func (v vitals) hostKeys() (calls []string) {
	var old, all []string
	files, _ := filepath.Glob(v.root + "/etc/ssh/ssh_host_*key.pub") // the pattern is good
	slices.Sort(files)
	for _, file := range files[:min(len(files), hostKeysMax)] {
		name := strings.ToUpper(strings.TrimSuffix(filepath.Base(file), ".pub"))
		text, err := v.read(strings.TrimPrefix(file, v.root))
		key := strings.Join(strings.Fields(text), " ")
		if err != nil || key == "" || len(key) > hostKeyBytesMax || strings.Contains(key, "'") {
			continue
		}
		word := name + "='" + key + "'"
		all = append(all, word)
		if name == "SSH_HOST_KEY" || name == "SSH_HOST_RSA_KEY" || name == "SSH_HOST_DSA_KEY" {
			old = append(old, word)
		}
	}
	if len(old) > 0 && len(old) < len(all) {
		calls = append(calls, strings.Join(old, " "))
	}
	if len(all) > 0 {
		calls = append(calls, strings.Join(all, " "))
	}
	return calls
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
