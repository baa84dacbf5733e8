package tmcd

import "hyzer/storage/registry"

// Where nodes have the shared directories.
const (
	projRoot    = "/proj"
	groupsRoot  = "/groups"
	scratchRoot = "/scratch"
	shareRoot   = "/share"
)

// runMounts lists the directories to mount, or to make if nothing is mounted.
func runMounts(c *call) {
	site := c.snap.Site()
	local := c.who.nfsMounts() == mountsNone || site.FSName == ""
	if !c.v(32) {
		if local {
			return
		}
	} else if local {
		c.str("FSTYPE=LOCAL\n")
	} else {
		c.str("FSTYPE=NFS")
		if transport := site.Vars["node/nfs_transport"]; transport != "" {
			c.str(" TRANSPORT=", transport)
		}
		c.str("\n")
	}
	m := mounts{call: c, local: local, fs: site.FSName}
	if c.who.shared && !c.who.vnode {
		m.topLevel(site.Dirs)
		return
	}
	m.experiment(site.Dirs)
	m.homes(site.Dirs)
}

// mounts writes one line per directory.
type mounts struct {
	*call
	local bool
	fs    string
}

func (m mounts) dir(exported, path string) {
	if m.local {
		m.str("LOCAL=", path, "\n")
		return
	}
	m.str("REMOTE=", m.fs, ":", exported, " LOCAL=", path, "\n")
}

// topLevel is for machines that carry several experiments' nodes.
func (m mounts) topLevel(dirs registry.SiteDirs) {
	for _, d := range []struct{ exported, path string }{
		{dirs.Proj, projRoot}, {dirs.Groups, groupsRoot}, {dirs.Scratch, scratchRoot},
		{dirs.Share, shareRoot}, {dirs.Users, homeRoot},
	} {
		if d.exported != "" {
			m.dir(d.exported, d.path)
		}
	}
}

func (m mounts) experiment(dirs registry.SiteDirs) {
	project, group := m.who.expt.Project, m.who.expt.GroupID()
	m.dir(dirs.Proj+"/"+project, projRoot+"/"+project)
	if group != project {
		m.dir(dirs.Groups+"/"+project+"/"+group, groupsRoot+"/"+project+"/"+group)
	}
	if dirs.Scratch != "" {
		m.dir(dirs.Scratch+"/"+project, scratchRoot+"/"+project)
	}
	if dirs.Share != "" {
		m.dir(dirs.Share, shareRoot)
	}
}

func (m mounts) homes(dirs registry.SiteDirs) {
	if !m.who.local || m.who.nfsMounts() == mountsGeniDefault || m.who.tainted("blackbox") {
		return
	}
	group := m.snap.Group(m.who.expt.Project, m.who.expt.GroupID())
	for _, a := range m.accounts(m.who.expt.Project, m.who.expt.GroupID()) {
		if isMember(group, a.user.ID) {
			m.dir(dirs.Users+"/"+a.user.ID, homeRoot+"/"+a.user.ID)
		}
	}
}
