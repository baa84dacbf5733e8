package emulab

import (
	"cmp"
	"slices"
	"strings"

	"hyzer/storage/registry"
)

// osRecords joins os_info with its versions. Databases from before versions
// (2012) have all columns in os_info, and names as ids.
func (m *mapper) osRecords() {
	m.systems = map[string]*registry.OS{}
	versions := byColumn(m.t.rows["os_info_versions"], "osid")
	next := map[*registry.OS][]*record{}
	named := map[string]*registry.OS{}
	var order []*registry.OS
	for _, row := range m.t.rows["os_info"] {
		name, ok := m.named("os_info", row, "osname")
		if !ok {
			continue
		}
		rows := versions[row.get("osid")]
		if len(rows) == 0 {
			rows = []*record{row}
		}
		m.project(row.get("pid"))
		os := &registry.OS{Project: row.get("pid"), Name: name, LegacyID: row.int("osid")}
		for _, v := range rows {
			switch {
			case v.has("deleted"):
			case v.number("vers") < 0:
				m.note("os_info_versions", v, "%s/%s has a version %d", os.Project, name, v.int("vers"))
			case os.Version(v.int("vers")) != nil && len(os.Versions) > 0:
				m.note("os_info_versions", v, "%s/%s has two versions %d", os.Project, name, v.int("vers"))
			default:
				os.Versions = append(os.Versions, osVersion(v))
				next[os] = append(next[os], v)
			}
		}
		if len(os.Versions) == 0 || registry.CheckName(os.Project) != nil {
			m.drop("os_info", row, "%s/%s has no version or no project", os.Project, name)
			continue
		}
		if named[os.Project+"/"+name] != nil {
			m.drop("os_info", row, "%s/%s stands twice", os.Project, name)
			continue
		}
		named[os.Project+"/"+name] = os
		m.systems[row.get("osid")] = os
		order = append(order, os)
	}
	for _, os := range order {
		for i, row := range next[os] {
			os.Versions[i].NextOS = m.osRef("os_info", row, "nextosid", "nextosid_vers")
			if leadsBack(named, os, os.Versions[i].NextOS) {
				m.note("os_info", row, "nextosid of %s/%s leads in a circle", os.Project, os.Name)
				os.Versions[i].NextOS = registry.Ref{}
			}
			if os.Versions[i].OpMode == "" && os.Versions[i].NextOS.IsZero() {
				os.Versions[i].OpMode = opModeNone
			}
		}
	}
	for _, os := range order {
		m.out.OSes = append(m.out.OSes, sortedOS(*os))
	}
}

// opModeNone is what stated assumes of a system without a mode.
const opModeNone = "MINIMAL"

// leadsBack says whether a chain of generic systems that begins with next comes
// to os, or is too long for the registry, as far as it is known. Versions are
// not sorted yet, so all of them are followed.
func leadsBack(named map[string]*registry.OS, os *registry.OS, next registry.Ref) bool {
	chain := map[string]bool{}
	for at := []registry.Ref{next}; len(at) > 0; at = at[1:] {
		key := at[0].Key()
		switch {
		case at[0].IsZero() || chain[key]:
			continue
		case key == os.Project+"/"+os.Name || len(chain) >= nextOSHopsMax:
			return true
		}
		chain[key] = true
		if o := named[key]; o != nil {
			for i := range o.Versions {
				at = append(at, o.Versions[i].NextOS)
			}
		}
	}
	return false
}

// nextOSHopsMax is under the registry's bound on such a chain.
const nextOSHopsMax = 6

func sortedOS(os registry.OS) registry.OS {
	slices.SortFunc(os.Versions, func(a, b registry.OSVersion) int { return cmp.Compare(a.Version, b.Version) })
	return os
}

func osVersion(row *record) registry.OSVersion {
	v := registry.OSVersion{
		Version: row.int("vers"), Family: row.get("os"), Release: row.get("version"), Path: row.get("path"),
		MFS: row.bool("mfs"), OpMode: row.get("op_mode"), RebootSecs: row.int("reboot_waittime"),
	}
	if features := row.get("osfeatures"); features != "" {
		v.Features = strings.Split(features, ",")
	}
	return v
}

// osRef resolves an osid column. A version that does not exist is replaced by
// the newest, as Emulab does for columns older than versions.
func (m *mapper) osRef(table string, row *record, column, versionColumn string) registry.Ref {
	id := row.get(column)
	if id == "" || id == "0" {
		return registry.Ref{}
	}
	os := m.systems[id]
	if os == nil {
		m.note(table, row, "%s: no system %q", column, id)
		return registry.Ref{}
	}
	ref := registry.HeadRef(os.Project, os.Name)
	if row.has(versionColumn) && os.Version(row.int(versionColumn)) != nil {
		ref.Version = row.int(versionColumn)
	}
	return ref
}

func byColumn(rows []*record, column string) map[string][]*record {
	groups := map[string][]*record{}
	for _, row := range rows {
		groups[row.get(column)] = append(groups[row.get(column)], row)
	}
	return groups
}

func (m *mapper) imageRecords() {
	m.images = map[string]*registry.Image{}
	versions := byColumn(m.t.rows["image_versions"], "imageid")
	named := map[string]bool{}
	for _, row := range m.t.rows["images"] {
		name, ok := m.named("images", row, "imagename")
		if !ok {
			continue
		}
		rows := versions[row.get("imageid")]
		if len(rows) == 0 {
			rows = []*record{row}
		}
		image := &registry.Image{Project: row.get("pid"), Name: name, LegacyID: row.int("imageid"), Global: row.bool("global")}
		if gid := row.get("gid"); gid != image.Project {
			image.Group = gid
		}
		for _, v := range rows {
			if v.has("deleted") {
				continue
			}
			if fault := imageFault(image, v); fault != "" {
				m.note("image_versions", v, "%s/%s version %d %s", image.Project, name, v.int("version"), fault)
				continue
			}
			image.Versions = append(image.Versions, m.imageVersion(v))
		}
		if len(image.Versions) == 0 || registry.CheckName(image.Project) != nil {
			m.drop("images", row, "%s/%s has no version with a file, or no project", image.Project, name)
			continue
		}
		if named[image.Project+"/"+name] {
			m.drop("images", row, "%s/%s stands twice", image.Project, name)
			continue
		}
		named[image.Project+"/"+name] = true
		slices.SortFunc(image.Versions, func(a, b registry.ImageVersion) int { return cmp.Compare(a.Version, b.Version) })
		m.images[row.get("imageid")] = image
		m.out.Images = append(m.out.Images, *image)
	}
}

// imageFault says why a version cannot be taken, "" if it can.
func imageFault(image *registry.Image, v *record) string {
	switch part := v.number("loadpart"); {
	case v.get("path") == "":
		return "has no path"
	case part < 0 || part > registry.SlotsMax:
		return "loads no partition of a disk"
	case v.number("version") < 0:
		return "has no number"
	case len(image.Versions) > 0 && image.Version(v.int("version")) != nil:
		return "stands twice"
	}
	return ""
}

func (m *mapper) imageVersion(row *record) registry.ImageVersion {
	v := registry.ImageVersion{
		Version: row.int("version"), Path: row.get("path"), Format: row.get("format"), AccessKey: row.get("access_key"),
		LoadPart: row.int("loadpart"), LoadLength: row.int("loadlength"), MBRVersion: row.int("mbr_version"),
		SizeBytes: row.number("size"), LBALow: row.number("lba_low"), LBAHigh: row.number("lba_high"),
		LBASize: row.int("lba_size"), Relocs: row.bool("relocatable"), Updated: row.time("updated", m.opts.Zone),
		BootOS: m.osRef("image_versions", row, "default_osid", "default_vers"),
	}
	if v.Format == "ndz" {
		v.Format = ""
	}
	for slot, prefix := range []string{"part1", "part2", "part3", "part4"} {
		if os := m.osRef("image_versions", row, prefix+"_osid", prefix+"_vers"); !os.IsZero() {
			v.Partitions = append(v.Partitions, registry.Slot{Slot: slot + 1, OS: os})
			if v.LoadPart == 0 && os.Same(v.BootOS) && v.BootPart == 0 {
				v.BootPart = slot + 1
			}
		}
	}
	if len(v.Partitions) == 0 && v.LoadPart > 0 && !v.BootOS.IsZero() {
		v.Partitions = []registry.Slot{{Slot: v.LoadPart, OS: v.BootOS}}
	}
	return v
}

// imageRef resolves an imageid column.
func (m *mapper) imageRef(table string, row *record, column, versionColumn string) registry.Ref {
	id := row.get(column)
	if id == "" || id == "0" {
		return registry.Ref{}
	}
	image := m.images[id]
	if image == nil {
		m.note(table, row, "%s: no image %q", column, id)
		return registry.Ref{}
	}
	ref := registry.HeadRef(image.Project, image.Name)
	if row.has(versionColumn) && image.Version(row.int(versionColumn)) != nil {
		ref.Version = row.int(versionColumn)
	}
	return ref
}
