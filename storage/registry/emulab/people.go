package emulab

import "hyzer/storage/registry"

func (m *mapper) projectRecords() {
	m.projects = map[string]bool{}
	for _, row := range m.t.rows["projects"] {
		pid, ok := m.named("projects", row, "pid")
		if !ok {
			continue
		}
		m.projects[pid] = true
		m.out.Projects = append(m.out.Projects, registry.Project{
			ID: pid, LegacyID: row.int("pid_idx"), Name: row.get("name"), Leader: row.get("head_uid"),
			UnixGID: row.int("unix_gid"), ExperimentAccounts: row.get("experiment_accounts"),
		})
	}
}

// project makes a project that only references name, as emulab-ops in a
// partial dump.
func (m *mapper) project(pid string) {
	if !m.projects[pid] && registry.CheckName(pid) == nil {
		m.projects[pid] = true
		m.out.Projects = append(m.out.Projects, registry.Project{ID: pid})
	}
}

func (m *mapper) userRecords() {
	m.users = map[string]bool{}
	place := map[string]int{}
	for _, row := range m.t.rows["users"] {
		uid, ok := m.named("users", row, "uid")
		if !ok {
			continue
		}
		m.users[uid] = true
		place[uid] = len(m.out.Users)
		m.out.Users = append(m.out.Users, registry.User{
			ID: uid, LegacyID: row.int("uid_idx"), UnixUID: row.int("unix_uid"), Name: row.get("usr_name"),
			Email: row.get("usr_email"), Shell: row.get("usr_shell"), Password: row.get("usr_pswd"),
			Windows: row.get("usr_w_pswd"), Status: row.get("status"), Admin: row.bool("admin"),
			WebOnly: row.bool("webonly"), Nonlocal: row.has("nonlocal_id"), Modified: row.time("usr_modified", m.opts.Zone),
		})
	}
	for _, row := range m.t.rows["user_pubkeys"] {
		if at, ok := place[row.get("uid")]; ok {
			m.out.Users[at].PubKeys = append(m.out.Users[at].PubKeys, row.get("pubkey"))
		} else {
			m.drop("user_pubkeys", row, "no user %q", row.get("uid"))
		}
	}
	for _, row := range m.t.rows["user_sfskeys"] {
		if at, ok := place[row.get("uid")]; ok {
			m.out.Users[at].SFSKeys = append(m.out.Users[at].SFSKeys, row.get("pubkey"))
		} else {
			m.drop("user_sfskeys", row, "no user %q", row.get("uid"))
		}
	}
}

func (m *mapper) groupRecords() {
	place := map[string]int{}
	for _, row := range m.t.rows["groups"] {
		gid, ok := m.named("groups", row, "gid")
		if !ok {
			continue
		}
		pid := row.get("pid")
		if !m.projects[pid] {
			m.drop("groups", row, "no project %q", pid)
			continue
		}
		place[pid+"/"+gid] = len(m.out.Groups)
		m.out.Groups = append(m.out.Groups, registry.Group{
			Project: pid, ID: gid, Leader: row.get("leader"), UnixName: row.get("unix_name"), UnixGID: row.int("unix_gid"),
		})
	}
	for _, row := range m.t.rows["group_membership"] {
		at, ok := place[row.get("pid")+"/"+row.get("gid")]
		if !ok || !m.users[row.get("uid")] {
			m.drop("group_membership", row, "no group %s/%s or user %q", row.get("pid"), row.get("gid"), row.get("uid"))
			continue
		}
		g := &m.out.Groups[at]
		g.Members = append(g.Members, registry.Member{User: row.get("uid"), Trust: row.get("trust")})
	}
}
