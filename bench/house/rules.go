package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// functionLinesMax is the hard ceiling of a function outside tests.
const functionLinesMax = 70

// checkFile applies every rule that looks at one file.
func checkFile(f *file) (found []Offence) {
	for _, rule := range []func(*file) []Offence{arrows, knowsNothing, functionLength, sleeps, mutableVariables, machinePaths, alone} {
		found = append(found, rule(f)...)
	}
	return found
}

func functionLength(f *file) (found []Offence) {
	if f.isTest {
		return nil
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncDecl); ok {
			if lines := f.lines(fn); lines > functionLinesMax {
				found = append(found, f.offence(fn.Pos(), "length", "%s has %d lines, at most %d", fn.Name.Name, lines, functionLinesMax))
			}
		}
		return true
	})
	return found
}

func (f *file) lines(n ast.Node) int {
	return f.fset.Position(n.End()).Line - f.fset.Position(n.Pos()).Line + 1
}

// sleeps finds tests that wait for time to pass. In a file that uses synctest
// the time is virtual.
func sleeps(f *file) (found []Offence) {
	if !f.isTest {
		return nil
	}
	virtual := false
	f.imports(func(_ *ast.ImportSpec, name string) { virtual = virtual || name == "testing/synctest" })
	if virtual {
		return nil
	}
	for _, at := range uses(f, "time", "Sleep") {
		found = append(found, f.offence(at.Pos(), "sleep", "a test that sleeps is slow or wrong: wait for what happens, or use synctest"))
	}
	return found
}

// aloneRooms start nothing beside themselves: the Makefile tests them without
// the race detector.
func aloneRooms() []string {
	return []string{"imaging/freemap", "imaging/extfs", "imaging/partition"}
}

// alone finds goroutines where there must be none.
func alone(f *file) (found []Offence) {
	if f.isTest || !slices.ContainsFunc(aloneRooms(), func(room string) bool { return within(f.dir(), room) }) {
		return nil
	}
	const why = "this package is tested without the race detector: leave goroutines to its callers"
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if start, ok := n.(*ast.GoStmt); ok {
			found = append(found, f.offence(start.Pos(), "goroutine", why))
		}
		return true
	})
	f.imports(func(spec *ast.ImportSpec, name string) {
		if name == "sync" {
			found = append(found, f.offence(spec.Pos(), "goroutine", why))
		}
	})
	return found
}

// mutableVariables finds maps, slices and pointers that a package holds for
// everybody to change. Tests may have tables, but nothing that is made to be
// filled: they run beside each other.
func mutableVariables(f *file) (found []Offence) {
	for _, decl := range f.ast.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			if isEmbed(group.Doc) || isEmbed(v.Doc) {
				continue
			}
			for i, name := range v.Names {
				table := f.isTest && i < len(v.Values) && isTable(v.Values[i])
				if name.Name != "_" && !table && isMutable(v, i) {
					found = append(found, f.offence(name.Pos(), "variable", "%s can be changed by everybody; make it a function or a field", name.Name))
				}
			}
		}
	}
	return found
}

func isEmbed(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

func isMutable(v *ast.ValueSpec, i int) bool {
	if v.Type != nil && isReference(v.Type) {
		return true
	}
	if i >= len(v.Values) {
		return false
	}
	switch value := v.Values[i].(type) {
	case *ast.CompositeLit:
		return isReference(value.Type)
	case *ast.UnaryExpr:
		return value.Op == token.AND
	case *ast.CallExpr:
		fn, ok := value.Fun.(*ast.Ident)
		if ok && (fn.Name == "make" || fn.Name == "new") {
			return true
		}
		return isReference(value.Fun) // a conversion, such as []byte("x")
	}
	return false
}

// isTable reports whether a value is written out and not empty.
func isTable(value ast.Expr) bool {
	lit, ok := value.(*ast.CompositeLit)
	return ok && len(lit.Elts) > 0
}

// isReference reports whether a type's values share what they hold.
func isReference(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.MapType, *ast.StarExpr, *ast.ChanType:
		return true
	case *ast.ArrayType:
		return t.Len == nil
	case *ast.ParenExpr:
		return isReference(t.X)
	}
	return false
}

// machinePath matches folders that are on one machine only.
var machinePath = regexp.MustCompile(`(^|[^\w.<>*-])/(wo` + `rk|ro` + `ot|Us` + `ers|home/\w+/(go|src|git))/`)

func machinePaths(f *file) (found []Offence) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && machinePath.MatchString(lit.Value) {
			found = append(found, f.offence(lit.Pos(), "path", "%s is on one machine only", lit.Value))
		}
		return true
	})
	for _, group := range f.ast.Comments {
		if machinePath.MatchString(group.Text()) {
			found = append(found, f.offence(group.Pos(), "path", "the comment names a folder of one machine"))
		}
	}
	return found
}

// packageComments finds packages that do not say what they are.
func packageComments(files []*file) (found []Offence) {
	said := map[string]bool{}
	first := map[string]*file{}
	for _, f := range files {
		if f.isTest {
			continue
		}
		if first[f.dir()] == nil {
			first[f.dir()] = f
		}
		said[f.dir()] = said[f.dir()] || f.ast.Doc != nil
	}
	for dir, f := range first {
		if !said[dir] {
			found = append(found, f.offence(f.ast.Package, "comment", "package %s has no comment; write doc.go", f.ast.Name.Name))
		}
	}
	return found
}

// topLevel finds folders of code beside those of the house.
func topLevel(files []*file) (found []Offence) {
	known := []string{"cmd", "netsvc", "imaging", "multicast", "storage", "bench", "fuzz"}
	seen := map[string]bool{}
	for _, f := range files {
		top, _, below := strings.Cut(f.path, "/")
		if !below {
			top = "."
		}
		if !seen[top] && !slices.Contains(known, top) {
			found = append(found, f.offence(f.ast.Package, "folder", "%s is no folder of the house: %s", top, strings.Join(known, ", ")))
		}
		seen[top] = true
	}
	return found
}
