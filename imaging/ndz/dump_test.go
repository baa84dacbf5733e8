package ndz_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/ndz"
)

// TestDumpGolden describes every golden image as the C imagedump -dd did, to
// the letter.
func TestDumpGolden(t *testing.T) {
	t.Parallel()
	var m struct {
		Entries []struct{ File string }
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/ndz/MANIFEST.json"), &m); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, e := range m.Entries {
		name, ok := strings.CutSuffix(e.File, ".imagedump.txt")
		if !ok {
			continue
		}
		if _, err := os.Stat(shared.Path(t, "vectors/ndz") + "/" + name + ".ndz.gz"); err != nil {
			continue // made again from others, and not kept
		}
		tested++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, want := shared.ReadGzip(t, "vectors/ndz/"+name+".ndz.gz"), string(shared.ReadFile(t, "vectors/ndz/"+e.File))
			var out bytes.Buffer
			if err := ndz.Dump(&out, name+".ndz", bytes.NewReader(image), int64(len(image)), 2); err != nil {
				t.Fatal(err)
			}
			if out.String() != want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
	if tested < 30 {
		t.Errorf("only %d descriptions in the manifest", tested)
	}
}

// TestDumpCommand checks imagedump's exit status.
func TestDumpCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, file := range map[string]string{
		"good": "malformed/good.ndz.gz", "adler": "malformed/bad-adler.ndz.gz", "magic": "malformed/bad-magic.ndz.gz",
		"index": "malformed/wrong-index.ndz.gz", "junk": "malformed/trailing-junk.ndz.gz", "signed": "v4-enc-signed.ndz.gz",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), shared.ReadGzip(t, "vectors/ndz/"+file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := shared.ReadFile(t, "vectors/ndz/v4-enc-signed.skey")
	if err := os.WriteFile(filepath.Join(dir, "signed.skey"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	marked := shared.ReadGzip(t, "vectors/ndz/"+"malformed/good.ndz.gz")
	state := ndz.StateID{0xab, 0xcd}
	if done, err := ndz.AddMark(marked, ndz.Mark{Delta: true, Base: ndz.StateID{1}, State: state}); err != nil || !done {
		t.Fatal(done, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "marked"), marked, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"-d marked", 0, "  makes state: " + state.String() + "\n"},
		{"-dc marked", 0, "  delta on state: 01000000"},
		{"good", 0, "covered sector range: [0-127]"},
		{"-d good", 0, "Chunk 0: 1405 compressed bytes"},
		{"-m good", 0, "version 3\nF: [00000000-00000007]\nA: [00000008-00000047]\nF: [00000048-0000007f]\n"},
		{"-h", 1, "usage: imagedump"},
		{"-q good", 0, ""},
		{"-q magic", 1, ""},
		{"-c good signed", 0, ""},
		{"adler", 0, ""},
		{"-c adler", 1, "Adler-32"},
		{"magic index junk good", 3, "bad chunk index (7)"},
		{"-c none", 1, "no such file"},
		{"", 1, "usage: imagedump"},
	} {
		var stdout, stderr bytes.Buffer
		var args []string
		for _, a := range strings.Fields(c.args) {
			if a[0] != '-' {
				a = filepath.Join(dir, a)
			}
			args = append(args, a)
		}
		code := ndz.Main(args, nil, &stdout, &stderr)
		if text := stdout.String() + stderr.String(); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d and %q; %s", c.args, code, c.code, c.text, text)
		}
		if strings.HasPrefix(c.args, "-q") && stdout.Len()+stderr.Len() > 0 {
			t.Errorf("%s: not quiet", c.args)
		}
	}
}
