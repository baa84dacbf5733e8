package imaging

import (
	"os/exec"
	"strings"
)

// The tasks, in the order they are done: later ones need what earlier ones
// made.
const (
	taskCreate  = "create"
	taskRestore = "restore to nowhere"
	taskHash    = "hash"
	taskDelta   = "delta of 5 %"
)

// ours and theirs are the peers that ratios are of.
const (
	ours   = "hyzer"
	theirs = "C"
)

// peer is one program doing one task. The command is for a shell in the work
// folder; the disks are a.img and b.img.
type peer struct {
	task, name string
	command    string
	made       string // file whose size counts
	runs       []run
	err        error
}

// installed lists the peers whose programs are there. self is how to run ours.
func installed(self []string) []*peer {
	own := quote(self) + " "
	list := []*peer{
		{task: taskCreate, name: ours, command: own + "imagezip -l a.img h.ndz", made: "h.ndz"},
		{task: taskCreate, name: theirs, command: "imagezip -D -l a.img c.ndz", made: "c.ndz"},
		{task: taskCreate, name: "e2image, zstd -3", command: "e2image -ra a.img - | zstd -q -T0 -3 -f -o e.zst", made: "e.zst"},
		{task: taskCreate, name: "partclone, zstd -3", command: "partclone.ext4 -q -c -s a.img -o - | zstd -q -T0 -3 -f -o p.zst", made: "p.zst"},
		{task: taskCreate, name: "zstd -3 of all", command: "zstd -q -T0 -3 -f a.img -o z.zst", made: "z.zst"},
		{task: taskCreate, name: "casync", command: "rm -rf s.castr; casync make --store=s.castr s.caibx a.img"},
		{task: taskRestore, name: ours, command: own + "imageunzip h.ndz - >/dev/null"},
		{task: taskRestore, name: theirs, command: "imageunzip h.ndz - >/dev/null"},
		{task: taskRestore, name: "zstd -3 of all", command: "zstd -q -dc z.zst >/dev/null"},
		{task: taskHash, name: ours, command: own + "imagehash -c -X -o h.sig h.ndz", made: "h.sig"},
		{task: taskHash, name: theirs, command: "imagehash -c -X -o c.sig h.ndz", made: "c.sig"},
		{task: taskHash, name: "rdiff", command: "rdiff -f signature a.img r.sig", made: "r.sig"},
		{task: taskDelta, name: ours, command: own + "imagezip -l -H h.sig b.img h.ddz", made: "h.ddz"},
		{task: taskDelta, name: theirs, command: "imagezip -D -l -H c.sig b.img c.ddz", made: "c.ddz"},
		{task: taskDelta, name: "rdiff", command: "rdiff -f delta r.sig b.img r.delta", made: "r.delta"},
		{task: taskDelta, name: "casync", command: "casync make --store=s.castr t.caibx b.img"},
	}
	var there []*peer
	for _, p := range list {
		if p.name == ours || hasAll(p.command) {
			there = append(there, p)
		}
	}
	return there
}

// hasAll tells whether all programs of a command are installed.
func hasAll(command string) bool {
	for _, part := range strings.FieldsFunc(command, func(r rune) bool { return r == '|' || r == ';' }) {
		if _, err := exec.LookPath(strings.Fields(part)[0]); err != nil {
			return false
		}
	}
	return true
}

// quote makes words of a shell command.
func quote(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}
