package registry

import "net/netip"

// What an experiment's virtual topology gives its nodes beyond the network.
// Lists are in stored order; VNode is the virtual node that an entry is for.

// Program is a command for the program agent (virt_programs).
type Program struct {
	VNode        string `json:"vnode"`
	Name         string `json:"name"`
	Command      string `json:"command,omitzero"`
	Dir          string `json:"dir,omitzero"`
	TimeoutSecs  int    `json:"timeout_secs,omitzero"`
	ExpectedExit *int   `json:"expected_exit,omitempty"` // nil: any
}

// TrafficGenerator is one end of a generated stream (virt_trafgens).
type TrafficGenerator struct {
	VNode      string     `json:"vnode"`
	Name       string     `json:"name"`
	Role       string     `json:"role"`  // source or sink
	Proto      string     `json:"proto"` // udp or tcp
	IP         netip.Addr `json:"ip,omitzero"`
	Port       int        `json:"port"`
	TargetIP   netip.Addr `json:"target_ip,omitzero"`
	TargetPort int        `json:"target_port"`
	Generator  string     `json:"generator"` // TG
}

// Setting is a name and its value: an environment variable of all nodes, or an
// attribute of one.
type Setting struct {
	VNode string `json:"vnode,omitzero"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Blob is a file that nodes fetch and act on (experiment_blobs).
type Blob struct {
	Path   string `json:"path"`
	Action string `json:"action"`
}

// Disk is a disk made for a virtual node (virt_node_disks).
type Disk struct {
	VNode      string `json:"vnode"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Size       string `json:"size"`
	MountPoint string `json:"mount_point,omitzero"`
	Parameters string `json:"parameters,omitzero"`
	Command    string `json:"command,omitzero"`
}

// Classes of blockstores.
const (
	ClassLocal = "local"
	ClassSAN   = "SAN"
)

// Blockstore is storage of a virtual node (virt_blockstores); attributes are
// class, placement, mountpoint and so on. One of class SAN is on a storage
// host, and given to the nodes that share a lan with it.
type Blockstore struct {
	Name       string            `json:"name"`
	VNode      string            `json:"vnode,omitzero"` // it is on: its user if local, the storage host if SAN
	SizeMiB    int               `json:"size_mib"`
	IQN        string            `json:"iqn,omitzero"` // iSCSI name, of SAN ones
	Attributes map[string]string `json:"attributes,omitzero"`
}

// ConsoleTunnel lets one node reach another's console (virt_tiptunnels).
type ConsoleTunnel struct {
	Host  string `json:"host"` // virtual node that may
	VNode string `json:"vnode"`
}

// Console is where a node's serial line is served (tiplines).
type Console struct {
	Server string `json:"server"`
	Port   int    `json:"port"`
	KeyLen int    `json:"key_len,omitzero"`
	Key    string `json:"key,omitzero"`
}

// NTPServer is a node's own time source (ntpinfo).
type NTPServer struct {
	Address string `json:"address"`
	Type    string `json:"type"` // server or peer
}

// Shaping is one direction of an emulated link: a dummynet pipe.
type Shaping struct {
	Pipe          int     `json:"pipe"`
	DelayMs       float64 `json:"delay_ms,omitzero"`
	BandwidthKbps int     `json:"bandwidth_kbps,omitzero"`
	Loss          float64 `json:"loss,omitzero"` // 0 to 1
	BackfillKbps  int     `json:"backfill_kbps,omitzero"`
}

// Queue is a pipe's queue with its RED parameters.
type Queue struct {
	RED         int     `json:"red,omitzero"`
	Limit       int     `json:"limit,omitzero"`
	MaxThresh   int     `json:"max_thresh,omitzero"`
	MinThresh   int     `json:"min_thresh,omitzero"`
	Weight      float64 `json:"weight,omitzero"`
	LinTerm     int     `json:"lin_term,omitzero"`
	QInBytes    int     `json:"q_in_bytes,omitzero"`
	Bytes       int     `json:"bytes,omitzero"`
	MeanPktSize int     `json:"mean_packet_bytes,omitzero"`
	Wait        int     `json:"wait,omitzero"`
	SetBit      int     `json:"set_bit,omitzero"`
	DropTail    int     `json:"drop_tail,omitzero"`
	Gentle      int     `json:"gentle,omitzero"`
}

// Delay is a link that a delay node emulates between two of its ports.
type Delay struct {
	Link      string     `json:"link"`
	Ports     [2]string  `json:"ports"`                  // names of interfaces
	Units     [2]int     `json:"virtual_ports,omitzero"` // units of virtual ones on them; 0: none
	VNodes    [2]string  `json:"vnodes"`                 // at the ends
	Shaping   [2]Shaping `json:"shaping"`
	Queues    [2]Queue   `json:"queues"`
	NoShaping int        `json:"no_shaping,omitzero"`
}

// LinkDelay is shaping that a node does on its own port.
type LinkDelay struct {
	Link    string     `json:"link"`
	Port    string     `json:"port"`
	Unit    int        `json:"virtual_port,omitzero"` // of a virtual one on it; 0: none
	Type    string     `json:"type"`                  // simplex or duplex
	VNode   string     `json:"vnode"`
	IP      netip.Addr `json:"ip,omitzero"`
	Mask    netip.Addr `json:"mask,omitzero"`
	Shaping Shaping    `json:"shaping"`
	Return  Shaping    `json:"return"` // the other direction
	Queue   Queue      `json:"queue"`
}
