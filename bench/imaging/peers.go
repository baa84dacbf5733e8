package imaging

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// The tasks, in the order they are done: later ones need what earlier ones
// made.
const (
	taskCreate  = "create"
	taskNowhere = "restore to nowhere"
	taskFile    = "restore to a file"
	taskHash    = "hash"
	taskDelta   = "delta of 5 %"
)

// ours are the programs that ratios are of, and oursBest is beside them.
const (
	oursV3   = "hyzer V3"
	oursBest = "hyzer V3 --best"
	oursV5   = "hyzer V5"
	theirs   = "C"
)

func isOurs(name string) bool { return strings.HasPrefix(name, "hyzer") }

// peer is one program doing one task. The command is for a shell in the work
// folder; the disks are a.img and b.img.
type peer struct {
	task, name string
	command    string
	made       string // file whose size counts
	absent     string // the program that is not installed
	runs       []run
	err        error
}

// list is all peers. self is how to run ours, c the folder of the old C
// programs or empty.
func list(self []string, c string) []*peer {
	own, old := quote(self)+" ", func(command string) string { return command }
	if c != "" {
		old = func(command string) string { return quote([]string{c}) + "/" + command }
	}
	peers := []*peer{
		{task: taskCreate, name: oursV3, command: own + "imagezip -l a.img h.ndz", made: "h.ndz"},
		{task: taskCreate, name: theirs, command: old("imagezip -D -l a.img c.ndz"), made: "c.ndz"},
		{task: taskCreate, name: oursBest, command: own + "imagezip --best -l a.img b.ndz", made: "b.ndz"},
		{task: taskCreate, name: oursV3 + " -U", command: own + "imagezip -U '' -l a.img u.ndz", made: "u.ndz"},
		{task: taskCreate, name: oursV5, command: own + "imagezip --v5 -l a.img h5.ndz", made: "h5.ndz"},
		{task: taskCreate, name: "e2image, zstd -3", command: "e2image -ra a.img - | zstd -q -T0 -3 -f -o e.zst", made: "e.zst"},
		{task: taskCreate, name: "partclone, zstd -3", command: "partclone.ext4 -q -c -s a.img -o - | zstd -q -T0 -3 -f -o p.zst", made: "p.zst"},
		{task: taskCreate, name: "partclone, pigz -6", command: "partclone.ext4 -q -c -s a.img -o - | pigz -6 >p.gz", made: "p.gz"},
		{task: taskCreate, name: "zstd -3 of all", command: "zstd -q -T0 -3 -f a.img -o z.zst", made: "z.zst"},
		{task: taskCreate, name: "casync", command: "rm -rf s.castr; casync make --store=s.castr s.caibx a.img"},
		{task: taskNowhere, name: oursV3, command: own + "imageunzip h.ndz - >/dev/null"},
		{task: taskNowhere, name: theirs, command: old("imageunzip h.ndz - >/dev/null")},
		{task: taskNowhere, name: oursV5, command: own + "imageunzip h5.ndz - >/dev/null"},
		{task: taskNowhere, name: "zstd -3 of all", command: "zstd -q -dc z.zst >/dev/null"},
		{task: taskFile, name: oursV3, command: "rm -f r.img; " + own + "imageunzip h.ndz r.img"},
		{task: taskFile, name: theirs, command: "rm -f r.img; " + old("imageunzip h.ndz r.img")},
		{task: taskFile, name: oursV5, command: "rm -f r.img; " + own + "imageunzip h5.ndz r.img"},
		{task: taskFile, name: "dd of the data", command: "rm -f r.img; dd if=/dev/zero of=r.img bs=1M count=$(($(du -m a.img | cut -f1))) oflag=direct status=none"},
		{task: taskHash, name: oursV3, command: own + "imagehash -c -X -o h.sig h.ndz", made: "h.sig"},
		{task: taskHash, name: theirs, command: old("imagehash -c -X -o c.sig h.ndz"), made: "c.sig"},
		{task: taskHash, name: "rdiff", command: "rdiff -f signature a.img r.sig", made: "r.sig"},
		{task: taskDelta, name: oursV3, command: own + "imagezip -l -H h.sig b.img h.ddz", made: "h.ddz"},
		{task: taskDelta, name: theirs, command: old("imagezip -D -l -H c.sig b.img c.ddz"), made: "c.ddz"},
		{task: taskDelta, name: oursV5, command: own + "imagezip --v5 -l -H h.sig b.img h5.ddz", made: "h5.ddz"},
		{task: taskDelta, name: "rdiff", command: "rdiff -f delta r.sig b.img r.delta", made: "r.delta"},
		{task: taskDelta, name: "casync", command: "casync make --store=s.castr t.caibx b.img"},
	}
	for _, p := range peers {
		if !isOurs(p.name) {
			p.absent = absent(p.command)
		}
	}
	return peers
}

// absent names the first program of a command that is not installed.
func absent(command string) string {
	for _, part := range strings.FieldsFunc(command, func(r rune) bool { return r == '|' || r == ';' }) {
		name := strings.Trim(strings.Fields(part)[0], "'")
		name = strings.ReplaceAll(name, "'/", "/")
		if _, err := exec.LookPath(name); err != nil {
			return filepath.Base(name)
		}
	}
	return ""
}

// quote makes words of a shell command.
func quote(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}
