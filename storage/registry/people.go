package registry

import (
	"net/netip"
	"time"
)

// Project owns experiments, images and systems.
type Project struct {
	ID       string `json:"id"` // pid
	LegacyID int    `json:"legacy_id,omitzero"`
	Name     string `json:"name,omitzero"`
	Leader   string `json:"leader,omitzero"`
	UnixGID  int    `json:"unix_gid,omitzero"`
	// ExperimentAccounts "swapper" limits accounts to leader and swapper.
	ExperimentAccounts string `json:"experiment_accounts,omitzero"`
}

// Group is a set of users of a project. Every project has one of its own name.
type Group struct {
	Project  string   `json:"project"`
	ID       string   `json:"id"` // gid
	Leader   string   `json:"leader,omitzero"`
	UnixName string   `json:"unix_name"`
	UnixGID  int      `json:"unix_gid"`
	Members  []Member `json:"members,omitzero"`
}

// Trust values of a membership that make root on nodes.
const (
	TrustLocalRoot   = "local_root"
	TrustGroupRoot   = "group_root"
	TrustProjectRoot = "project_root"
)

// Member is a user's place in a group.
type Member struct {
	User  string `json:"user"`
	Trust string `json:"trust"` // none, user, local_root, group_root, project_root
}

// User is a person with an account on nodes.
type User struct {
	ID       string    `json:"id"` // uid
	LegacyID int       `json:"legacy_id,omitzero"`
	UnixUID  int       `json:"unix_uid"`
	Name     string    `json:"name,omitzero"`
	Email    string    `json:"email,omitzero"`
	Shell    string    `json:"shell,omitzero"`
	Password string    `json:"password,omitzero"`    // crypt(3) hash
	Windows  string    `json:"w_password,omitzero"`  // Windows password
	Status   string    `json:"status,omitzero"`      // active ...
	Admin    bool      `json:"admin,omitzero"`       // of the site
	WebOnly  bool      `json:"web_only,omitzero"`    // has no account on nodes
	Nonlocal bool      `json:"nonlocal,omitzero"`    // federated
	Modified time.Time `json:"modified,omitzero"`    // SERIAL of accounts
	PubKeys  []string  `json:"public_keys,omitzero"` // lines of authorized_keys
	SFSKeys  []string  `json:"sfs_keys,omitzero"`    // legacy
}

// Experiment is what nodes are reserved to, with its virtual topology.
type Experiment struct {
	Project    string  `json:"project"`
	ID         string  `json:"id"` // eid
	Index      int     `json:"index,omitzero"`
	UUID       string  `json:"uuid,omitzero"`
	Group      string  `json:"group,omitzero"` // empty: same as Project
	Creator    string  `json:"creator,omitzero"`
	Swapper    string  `json:"swapper,omitzero"`
	State      string  `json:"state,omitzero"`
	SyncServer string  `json:"sync_server,omitzero"`
	KeyHash    string  `json:"key_hash,omitzero"`
	EventKey   string  `json:"event_key,omitzero"`
	NFSMounts  string  `json:"nfs_mounts,omitzero"`
	GeniFlags  int     `json:"geni_flags,omitzero"`
	Lans       []Lan   `json:"lans,omitzero"`
	VLANs      []VLAN  `json:"vlans,omitzero"`
	Routes     []Route `json:"routes,omitzero"`
	// The rest is handed to nodes as it is; see services.go.
	Programs    []Program          `json:"programs,omitzero"`
	TrafGens    []TrafficGenerator `json:"traffic_generators,omitzero"`
	Environment []Setting          `json:"environment,omitzero"`
	NodeAttrs   []Setting          `json:"node_attributes,omitzero"`
	Blobs       []Blob             `json:"blobs,omitzero"`
	Disks       []Disk             `json:"disks,omitzero"`
	Blockstores []Blockstore       `json:"blockstores,omitzero"`
	Tunnels     []ConsoleTunnel    `json:"console_tunnels,omitzero"`
	Firewall    *Firewall          `json:"firewall,omitempty"`
	IPTunnels   []Tunnel           `json:"ip_tunnels,omitzero"`
	Services    []ClientService    `json:"client_services,omitzero"`
	Hooks       []ServiceHook      `json:"service_hooks,omitzero"`
	NSEConfigs  []NodeText         `json:"nse_configs,omitzero"`
	MoteLogs    []MoteLog          `json:"mote_logs,omitzero"`
	PublicAddrs []PublicAddr       `json:"public_addresses,omitzero"`
	// RootKeys may log in as root on its nodes; SSLKey is the public half
	// of the key pair that its nodes have in common.
	RootKeys []string `json:"root_keys,omitzero"`
	SSLKey   string   `json:"ssl_key,omitzero"`
	// ElabInElab experiments are testbeds of their own; SingleNet ones have
	// one control network with the outer testbed.
	ElabInElab bool `json:"elab_in_elab,omitzero"`
	SingleNet  bool `json:"single_control_net,omitzero"`
	// PortFirst and PortLast are the ports that its jails may use.
	PortFirst int `json:"port_first,omitzero"`
	PortLast  int `json:"port_last,omitzero"`
}

// Key is "project/id".
func (e *Experiment) Key() string { return e.Project + "/" + e.ID }

// GroupID is the group in effect.
func (e *Experiment) GroupID() string {
	if e.Group == "" {
		return e.Project
	}
	return e.Group
}

// Lan is a virtual link or LAN with its members in stored order.
type Lan struct {
	Name    string      `json:"name"`
	Index   int         `json:"index,omitzero"`
	Members []LanMember `json:"members,omitzero"`
}

// LanMember is one virtual node's port on a Lan.
type LanMember struct {
	VNode    string     `json:"vnode"`
	Port     int        `json:"port"`
	Index    int        `json:"index,omitzero"` // vindex
	IP       netip.Addr `json:"ip,omitzero"`
	Mask     netip.Addr `json:"mask,omitzero"`
	Protocol string     `json:"protocol,omitzero"` // ethernet, ipv4 ...
	Trace    string     `json:"trace,omitzero"`
	Jumbo    bool       `json:"jumboframes,omitzero"`
}

// VLAN is a switch VLAN made for a Lan.
type VLAN struct {
	ID  int    `json:"id"`
	Lan string `json:"lan"`
	Tag int    `json:"tag"`
}

// Route is one of a virtual node's routes (virt_routes), in stored order.
type Route struct {
	VNode    string     `json:"vnode"`
	Src      netip.Addr `json:"src,omitzero"`
	Dest     netip.Addr `json:"dest"`
	DestType string     `json:"dest_type"` // host or net
	Mask     netip.Addr `json:"mask,omitzero"`
	NextHop  netip.Addr `json:"next_hop"`
	Cost     int        `json:"cost,omitzero"`
}
