package house

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path of this module.
const module = "hyzer"

// Offence is one place where a rule is broken.
type Offence struct {
	File string // from the root, with slashes
	Line int
	Rule string // a word
	Text string
}

func (o Offence) String() string { return fmt.Sprintf("%s:%d: %s: %s", o.File, o.Line, o.Rule, o.Text) }

// file is one Go source.
type file struct {
	path   string // from the root, with slashes
	isTest bool
	fset   *token.FileSet
	ast    *ast.File
}

func (f *file) dir() string { return path.Dir(f.path) }

func (f *file) offence(at token.Pos, rule, format string, args ...any) Offence {
	return Offence{f.path, f.fset.Position(at).Line, rule, fmt.Sprintf(format, args...)}
}

// imports calls fn with each imported path.
func (f *file) imports(fn func(spec *ast.ImportSpec, path string)) {
	for _, spec := range f.ast.Imports {
		fn(spec, strings.Trim(spec.Path.Value, `"`))
	}
}

// parse reads one source; the path decides which rules it is under.
func parse(name, text string) (*file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &file{path: name, isTest: strings.HasSuffix(name, "_test.go"), fset: fset, ast: tree}, nil
}

// skipped are folders without sources of ours.
func skipped(name string) bool {
	return name == "testdata" || name == "bin" || name == "demo" || strings.HasPrefix(name, ".")
}

// readTree parses all Go files below root.
func readTree(root string) (files []*file, err error) {
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// bench/demo has sources; demo at the top is what make demo writes.
			if rel != "." && skipped(entry.Name()) && rel != filepath.Join("bench", "demo") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), string(text))
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

// Check reads the tree below root and returns its offences, in order, without
// those that are allowed.
func Check(root, allowedFile string) ([]Offence, error) {
	files, err := readTree(root)
	if err != nil {
		return nil, err
	}
	var found []Offence
	for _, f := range files {
		found = append(found, checkFile(f)...)
	}
	found = append(found, packageComments(files)...)
	found = append(found, topLevel(files)...)
	found, err = withoutAllowed(found, allowedFile)
	slices.SortStableFunc(found, func(a, b Offence) int { return strings.Compare(a.File, b.File) })
	return found, err
}

// withoutAllowed drops what a line "rule file: reason" allows.
func withoutAllowed(found []Offence, allowedFile string) ([]Offence, error) {
	f, err := os.Open(allowedFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" || lines.Text()[0] == '#' {
			continue
		}
		head, reason, ok := strings.Cut(lines.Text(), ": ")
		rule, name, ok2 := strings.Cut(head, " ")
		if !ok || !ok2 || reason == "" {
			return nil, fmt.Errorf("%s:%d: want \"rule file: reason\"", allowedFile, n)
		}
		before := len(found)
		found = slices.DeleteFunc(found, func(o Offence) bool { return o.Rule == rule && o.File == name })
		if len(found) == before {
			found = append(found, Offence{"bench/house/" + filepath.ToSlash(allowedFile), n, "allowed", "no such offence is left; take the line out"})
		}
	}
	return found, lines.Err()
}
