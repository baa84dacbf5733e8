package tmcd

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"hyzer/storage/registry"
)

// homeRoot is where nodes have home directories.
const homeRoot = "/users"

// account is a user with what the experiment makes of him.
type account struct {
	user   *registry.User
	gid    int   // primary group
	others []int // further groups
	root   bool
}

// runAccounts lists groups, then users sorted by name. The node need not ask
// again until its counter is raised.
func runAccounts(c *call) {
	project, group := c.who.expt.Project, c.who.expt.GroupID()
	adminsOnly := c.adminsOnly()
	if adminsOnly {
		project, group = registry.OpsProject, registry.OpsProject
	}
	for _, id := range c.snap.ProjectGroups(project) {
		if g := c.snap.Group(project, id); g != nil {
			c.str("ADDGROUP NAME=", g.UnixName, " GID=", strconv.Itoa(g.UnixGID), "\n")
		}
	}
	for _, a := range c.accounts(project, group) {
		if adminsOnly && !a.user.Admin || !c.wanted(a.user) {
			continue
		}
		c.addUser(&a)
		c.pubKeys(a.user)
	}
	if c.who.run.UpdateAccounts > 0 {
		c.effect(AccountsFetched{Node: c.who.node.ID, Count: c.who.run.UpdateAccounts})
	}
}

// adminsOnly keeps the experiment's users off machines that are not theirs.
func (c *call) adminsOnly() bool {
	return c.who.tainted("blackbox") || c.who.shared && !c.who.vnode
}

// accounts collects the members of the project, or of one subgroup with all
// their groups in the project.
func (c *call) accounts(project, group string) []account {
	byUser := map[string]*account{}
	for _, id := range c.snap.ProjectGroups(project) {
		g := c.snap.Group(project, id)
		if g == nil {
			continue
		}
		for _, m := range g.Members {
			c.member(byUser, g, m, id == group)
		}
	}
	var list []account
	for name, a := range byUser {
		if group == project || isMember(c.snap.Group(project, group), name) {
			list = append(list, a.settled())
		}
	}
	slices.SortFunc(list, func(a, b account) int { return cmp.Compare(a.user.ID, b.user.ID) })
	return list
}

// member adds one membership; own says it is in the experiment's group, which
// decides primary group and root.
func (c *call) member(byUser map[string]*account, g *registry.Group, m registry.Member, own bool) {
	user := c.snap.User(m.User)
	if user == nil || user.Status != "active" || user.WebOnly || m.Trust == "none" {
		return
	}
	a := byUser[m.User]
	if a == nil {
		a = &account{user: user, root: user.Admin}
		byUser[m.User] = a
	}
	if !own {
		a.others = append(a.others, g.UnixGID)
		return
	}
	a.gid = g.UnixGID
	a.root = a.root || m.Trust == registry.TrustLocalRoot || m.Trust == registry.TrustGroupRoot || m.Trust == registry.TrustProjectRoot
}

// settled gives an account without membership in the experiment's group its
// last one as primary.
func (a *account) settled() account {
	if last := len(a.others) - 1; a.gid == 0 && last >= 0 {
		a.gid, a.others = a.others[last], a.others[:last]
	}
	return *a
}

func isMember(g *registry.Group, user string) bool {
	return g != nil && slices.ContainsFunc(g.Members, func(m registry.Member) bool {
		return m.User == user && m.Trust != "none"
	})
}

// wanted applies a project's rule that only its leader and the swapper have
// accounts.
func (c *call) wanted(u *registry.User) bool {
	project := c.snap.Project(c.who.expt.Project)
	if project == nil || project.ExperimentAccounts != "swapper" {
		return true
	}
	return u.ID == project.Leader || u.ID == c.who.expt.Swapper || u.Admin && c.adminsOnly()
}

func (c *call) addUser(a *account) {
	root := a.root && !c.who.tainted("useronly")
	c.str("ADDUSER LOGIN=", a.user.ID, " PSWD=", c.password(a.user), " UID=", strconv.Itoa(a.user.UnixUID),
		" GID=", strconv.Itoa(a.gid), " ROOT=", zeroOne(root), ` NAME="`, a.user.Name, `" HOMEDIR=`, homeRoot, "/", a.user.ID)
	others := make([]string, len(a.others))
	for i, gid := range a.others {
		others[i] = strconv.Itoa(gid)
	}
	list := strings.Join(others, ",")
	switch {
	case !c.v(4):
		c.str(" GLIST=", list)
	case !c.v(5):
		c.str(` GLIST="`, list, `" EMULABPUBKEY="" HOMEPUBKEY=""`)
	default:
		c.str(` GLIST="`, list, `" SERIAL=`, strconv.FormatInt(unixTime(a.user), 10))
	}
	if c.v(9) {
		c.str(` EMAIL="`, a.user.Email, `"`)
	}
	if c.v(10) {
		c.str(" SHELL=", a.user.Shell)
	}
	c.str("\n")
}

func unixTime(u *registry.User) int64 {
	if u.Modified.IsZero() {
		return 0
	}
	return u.Modified.Unix()
}

// password is the hash, or "*" where none may be used.
func (c *call) password(u *registry.User) string {
	switch {
	case c.arg() == "windows":
		return windowsPassword(u)
	case !c.who.local && c.v(6):
		return "*"
	case !c.who.local && c.v(5):
		return "'*'"
	case number(c.snap.Site().Vars["node/user_passwords"]) == "0":
		return "*"
	}
	return u.Password
}

// windowsPassword is the one the user set, or else the salt of the hash.
func windowsPassword(u *registry.User) string {
	if u.Windows != "" {
		return u.Windows
	}
	salt, ok := strings.CutPrefix(u.Password, "$1$")
	if !ok {
		return "*"
	}
	return salt[:min(len(salt), 8)]
}

// pubKeys is for nodes that do not mount the home directories they are in.
func (c *call) pubKeys(u *registry.User) {
	if !c.v(5) || c.mountsHomes() && len(c.args) == 0 {
		return
	}
	for _, key := range u.PubKeys {
		c.str("PUBKEY LOGIN=", u.ID, ` KEY="`, key, "\"\n")
	}
	if !c.v(6) {
		return
	}
	for _, key := range u.SFSKeys {
		c.str(`SFSKEY KEY="`, key, "\"\n")
	}
}

func (c *call) mountsHomes() bool {
	way := c.who.nfsMounts()
	return c.who.local && !c.who.shared && way != mountsNone && way != mountsGeniDefault && c.snap.Site().FSName != ""
}
