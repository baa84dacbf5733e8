package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hyzer/netsvc/control"
	"hyzer/netsvc/control/controltest"
	"hyzer/storage/kv/pebblekv"
)

// A transcript is a session of an operator with a small site: commands after
// "$ ", then what they print, errors after "! ", and the exit status. Lines
// after "# " prepare the site. HYZER_REWRITE=1 writes what is printed now.

func transcripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	return files
}

func TestTranscripts(t *testing.T) {
	t.Parallel()
	for _, file := range transcripts(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(want))
			if os.Getenv("HYZER_REWRITE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s", file, diff(string(want), got))
			}
		})
	}
}

// diff shows the first lines that differ.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: want %q\n got %q\nwhole:\n%s", i+1, w[i], g[i], got)
		}
	}
	return "another length:\n" + got
}

func replay(t *testing.T, text string) string {
	t.Helper()
	site := controltest.New(t)
	variables := map[string]string{}
	stdin := ""
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# stdin "):
			stdin = strings.ReplaceAll(strings.TrimPrefix(line, "# stdin "), `\n`, "\n")
		case strings.HasPrefix(line, "# "):
			prepare(t, site, strings.Fields(line)[1:])
		case strings.HasPrefix(line, "$ "):
			args := words(strings.TrimPrefix(line, "$ hyzer"))
			for i := range args {
				args[i] = os.Expand(args[i], func(name string) string { return variables[name] })
			}
			fmt.Fprintf(&out, "%s\n%s", line, session(t, site, args, stdin, variables))
			stdin = ""
			continue
		case line == "":
		default:
			continue // what was printed when it was written
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

// words splits a command line; single quotes hold a word together.
func words(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

func prepare(t *testing.T, site *controltest.Site, args []string) {
	t.Helper()
	switch args[0] {
	case "report":
		if err := site.Runner.Report(t.Context(), args[1], "client", args[2:]...); err != nil {
			t.Fatal(err)
		}
	case "script":
		site.Machines.Script(args[1], args[2:]...)
	case "bootlog":
		site.StoreBootLog(t, args[1], strings.Join(args[2:], " ")+"\n\x1b[2Jend\n")
	case "progress":
		site.SetProgress(args[1], control.Progress{Image: "emulab-ops/DEBIAN-STD:0", ChunksDone: 1, ChunksTotal: 4})
	case "stop":
		if err := site.Stop(); err != nil {
			t.Fatal(err)
		}
	case "verify":
		if _, err := pebblekv.VerifyFS(site.FS, args[1]); err != nil {
			t.Error(err)
		}
	case "note": // for the reader
	default:
		t.Fatalf("no such preparation: %v", args)
	}
}

// session runs one command. An id of a load in its output becomes $load.
func session(t *testing.T, site *controltest.Site, args []string, stdin string, variables map[string]string) string {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"--control", site.Address}, args...)
	status := run(t.Context(), args, operator, strings.NewReader(stdin), &out, &errs)
	if id := loadID.FindString(out.String() + errs.String()); id != "" {
		variables["load"] = id
	}
	text := out.String()
	for line := range strings.Lines(errs.String()) {
		text += "! " + line
	}
	text = strings.NewReplacer(site.Address, "CONTROL", site.ImageDir, "IMAGES").Replace(text)
	return steady(text) + fmt.Sprintf("exit %d\n", status)
}

var (
	loadID    = regexp.MustCompile(`load-\d{8}-\d{6}-[A-Z2-7]{6}`)
	duration  = regexp.MustCompile(`\b\d+(\.\d+)?(ms|s|µs)\b`)
	moment    = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`)
	revision  = regexp.MustCompile(`((?:revision"?:?|"after":|"start":) ?)\d+`)
	generated = regexp.MustCompile(`"generation": \d+`)
	ordered   = regexp.MustCompile(`"ordered":true,`) // unless the node asked before
)

// operator is the environment of all sessions.
func operator(name string) string { return map[string]string{"USER": "operator"}[name] }

// noEnv is an environment without variables.
func noEnv(string) string { return "" }

// steady takes out what differs from run to run.
func steady(text string) string {
	text = loadID.ReplaceAllString(text, "load-YYYYMMDD-HHMMSS-XXXXXX")
	text = duration.ReplaceAllString(text, "Ns")
	text = moment.ReplaceAllString(text, "DATE TIME")
	text = ordered.ReplaceAllString(text, "")
	text = generated.ReplaceAllString(text, `"generation": N`)
	return revision.ReplaceAllString(text, "${1}N")
}

// TestEveryVerb: each verb is in a transcript, done well, used wrongly and with
// --json.
func TestEveryVerb(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, file := range transcripts(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		verb, isJSON := "", false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if command, ok := strings.CutPrefix(line, "$ hyzer"); ok {
				verb, _ = splitVerb(words(command))
				isJSON = strings.Contains(command, "--json")
			}
			if strings.HasPrefix(line, "exit ") {
				seen[verb+" "+line] = true
				seen[verb+" --json"] = seen[verb+" --json"] || isJSON && line != "exit 3"
			}
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(verbs())) {
		done := "exit 0"
		if verb == "doctor" {
			done = "exit 1" // what it finds is this machine's; loopback takes no multicast anywhere
		}
		for _, want := range []string{done, "exit 3", "--json"} {
			if !seen[verb+" "+want] {
				t.Errorf("no transcript shows %s with %s", verb, want)
			}
		}
	}
	for _, want := range []string{"wait exit 0", "wait exit 1", "wait exit 2", "wait exit 3", "load exit 1"} {
		if !seen[want] {
			t.Errorf("no transcript shows %s", want)
		}
	}
}
