package house

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// room is what a part of the tree may import of ours besides itself. The
// longest prefix of a package's folder is its room.
type room struct {
	prefix string
	may    []string // prefixes of folders
}

// rooms are the arrows of the house, which point down only.
func rooms() []room {
	service := []string{"netsvc/lifecycle", "netsvc/bootfiles", "storage"}
	all := []string{""}
	return []room{
		{"cmd/hyzerd", []string{"netsvc/appliance"}},
		{"cmd/hyzer", []string{"multicast/doctor", "netsvc/control", "netsvc/lifecycle/states", "netsvc/lifecycle/wait", "imaging", "storage/registry", "storage/kv"}},
		{"cmd/hyzer-node", []string{"imaging", "multicast", "netsvc/tmcc", "netsvc/bootinfo", "netsvc/diskloader", "netsvc/mfs", "netsvc/noderun"}},
		{"cmd/hyzer-bench", []string{"bench"}},
		{"netsvc/appliance", []string{"netsvc", "multicast", "storage", "imaging/manifest"}},
		{"netsvc/dhcp", service}, {"netsvc/tftp", service}, {"netsvc/httpboot", service},
		{"netsvc/bootinfo", service}, {"netsvc/bootfiles", nil},
		{"netsvc/tmc2", nil},
		{"netsvc/tmcd", append([]string{"netsvc/tmc2"}, service...)},
		{"netsvc/tmcc", []string{"netsvc/tmcd", "netsvc/tmc2", "imaging/cli"}},
		{"netsvc/diskloader", []string{"imaging", "multicast", "netsvc/tmcc"}},
		{"netsvc/journal", nil},
		{"netsvc/noderun", []string{"imaging", "netsvc/tmcc", "netsvc/journal"}},
		{"netsvc/mfs", []string{"netsvc/journal", "imaging", "multicast", "netsvc/tmcc", "netsvc/bootinfo", "netsvc/diskloader", "netsvc/dhcp/client"}},
		{"netsvc/lifecycle", []string{"storage", "imaging", "multicast"}},
		{"netsvc/control", []string{"netsvc/lifecycle", "storage"}},
		{"imaging", nil},
		{"multicast", nil},
		{"multicast/standalone", []string{"multicast", "imaging/cli"}}, {"multicast/upload", []string{"multicast", "imaging/cli"}},
		{"multicast/server", []string{"multicast", "imaging/manifest"}},
		{"multicast/client", []string{"multicast", "imaging"}},
		{"multicast/carrier", []string{"multicast", "imaging"}},
		{"multicast/master", []string{"multicast", "imaging"}},
		{"storage", nil},
		{"bench", all}, {"fuzz", all},
	}
}

// roomOf finds the room of a package's folder.
func roomOf(dir string) (found room, ok bool) {
	for _, r := range rooms() {
		if within(dir, r.prefix) && len(r.prefix) > len(found.prefix) {
			found, ok = r, true
		}
	}
	return found, ok
}

func within(dir, prefix string) bool {
	return prefix == "" || dir == prefix || strings.HasPrefix(dir, prefix+"/")
}

// arrows checks what a file imports of ours. Tests may bring in what is under
// test beside them, and so may folders whose name ends in test.
func arrows(f *file) (found []Offence) {
	if f.isTest || strings.HasSuffix(f.dir(), "test") {
		return nil
	}
	home, ok := roomOf(f.dir())
	if !ok {
		return []Offence{f.offence(f.ast.Package, "arrow", "%s is no room of the house", f.dir())}
	}
	f.imports(func(spec *ast.ImportSpec, name string) {
		dir, ours := strings.CutPrefix(name, module+"/")
		if !ours || within(dir, home.prefix) {
			return
		}
		if !slices.ContainsFunc(home.may, func(prefix string) bool { return within(dir, prefix) }) {
			found = append(found, f.offence(spec.Pos(), "arrow", "%s may not import %s", home.prefix, dir))
		}
	})
	return found
}

// isCodec reports whether a file turns bytes into values and back: wire.go of
// a service, and packages called wire.
func isCodec(f *file) bool {
	return !f.isTest && (path.Base(f.path) == "wire.go" || path.Base(f.dir()) == "wire")
}

// knowsNothing checks that codecs know no sockets, files, clocks and stores,
// and that imaging and storage know no network.
func knowsNothing(f *file) (found []Offence) {
	codec := isCodec(f)
	offline := !f.isTest && (within(f.dir(), "imaging") || within(f.dir(), "storage"))
	f.imports(func(spec *ast.ImportSpec, name string) {
		network := name == "net" || name == "net/http"
		if offline && network {
			found = append(found, f.offence(spec.Pos(), "network", "imaging and storage know nothing of the network: %s", name))
		}
		if codec && (network || name == "os" || strings.HasPrefix(name, module+"/storage")) {
			found = append(found, f.offence(spec.Pos(), "codec", "a codec knows nothing of sockets, files and the store: %s", name))
		}
	})
	if !codec {
		return found
	}
	for _, clock := range []string{"Now", "Since", "Until", "Sleep", "After", "NewTimer", "NewTicker", "Tick"} {
		for _, at := range uses(f, "time", clock) {
			found = append(found, f.offence(at.Pos(), "codec", "a codec knows nothing of the clock: time.%s", clock))
		}
	}
	return found
}

// uses finds pkg.name in a file.
func uses(f *file, pkg, name string) (found []*ast.SelectorExpr) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkg {
			found = append(found, sel)
		}
		return true
	})
	return found
}
