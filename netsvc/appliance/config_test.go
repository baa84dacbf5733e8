package appliance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hyzerd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"empty: the defaults", "", ""},
		{"unknown field", "data_dir: /x\nlistne: 1\n", "line 2: field listne not found"},
		{"unknown field inside", "tftp:\n  port: 69\n", "line 2: field port not found"},
		{"relative folder", "data_dir: var\n", `data_dir "var": want an absolute path`},
		{"relative scripts", "script_dir: x\n", "script_dir"},
		{"relative key", "reboot: {ssh_key: x}\n", "ssh_key"},
		{"bad address", "tftp: {listen: here}\n", "not an ip:port"},
		{"port out of range", "dhcp: {port: 70000}\n", "line 1: cannot unmarshal"},
		{"twice", "data_dir: /a\ndata_dir: /b\n", "already defined"},
		{"two documents", "data_dir: /a\n---\ncontrol: x\n", "more than one YAML document"},
		{"no control", "control: ''\n", "control is empty"},
		{"no address", "control: sock\n", "want the path of a unix socket, or address:port"},
		{"control from elsewhere", "control: '10.0.0.1:6970'\n", "can be reached from other machines"},
		{"control from elsewhere, wanted", "control: '10.0.0.1:6970'\ncontrol_public: true\n", ""},
		{"control from here", "control: '127.0.0.1:6970'\n", ""},
		{"log level", "log: {level: loud}\n", "loud"},
		{"log format", "log: {format: xml}\n", "want text or json"},
		{"frisbee without interface", "frisbee: {listen: '10.0.0.1:64494'}\n", "multicast: interface"},
		{"groups", "multicast: {groups: 10.0.0.0/8}\n", "multicast addresses"},
		{"ports", "multicast: {first_port: 9, last_port: 8}\n", "range of ports"},
		{"mode 2 off", "frisbee: {mode2: off}\n", ""},
		{"mode 2 is no number", "frisbee: {mode2: 2}\n", "cannot unmarshal"},
		{"parity ports", "multicast: {first_parity_port: 9}\n", "first_parity_port 9"},
		{"rate", "multicast: {rate_mbps: -1}\n", "negative"},
		{"boot logs", "tmcd: {boot_log_bytes_max: -1}\n", "negative"},
		{"watches", "tmcd: {watches_max: -1}\n", "negative"},
		{"not YAML", "\t", "cannot start any token"},
		{"a list", "[1]", "cannot unmarshal"},
		{"too large", "# " + strings.Repeat("x", configBytesMax), "over 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := configFile(t, c.text)
			_, err := ReadConfig(path)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path)):
				t.Errorf("got %v, want %s: ...%s...", err, path, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "appliance.") {
				t.Errorf("%v tells of our types", err)
			}
		})
	}
	if _, err := ReadConfig("/nonexistent"); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

// TestExample reads the example of the manual, and what it is as JSON.
func TestExample(t *testing.T) {
	t.Parallel()
	cfg, err := ReadConfig("../../docs/hyzerd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/example.json"
	if os.Getenv("HYZER_REWRITE") != "" {
		if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.TrimSpace(string(want)) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	again, err := ReadConfig(configFile(t, string(got)))
	if err != nil {
		t.Fatalf("as JSON: %v", err)
	}
	if second, _ := json.MarshalIndent(again, "", "  "); string(second) != string(got) {
		t.Errorf("as JSON it reads as %s", second)
	}
}
