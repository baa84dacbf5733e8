package control

import (
	"net/netip"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// DefaultSocket is where the appliance listens for operators.
const DefaultSocket = "/run/hyzer/control.sock"

// Status describes the appliance.
type Status struct {
	Version  string           `json:"version"`
	Started  time.Time        `json:"started"`
	Revision kv.Revision      `json:"revision"`
	Nodes    int              `json:"nodes"`
	Services []Service        `json:"services"`
	Counts   map[string]int64 `json:"counts,omitempty"`
}

// Service is one network service and where it listens.
type Service struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// Node is a node with what an operator wants to see at a glance.
type Node struct {
	*registry.Node
	Reservation *registry.Reservation    `json:"reservation,omitempty"`
	State       *registry.NodeState      `json:"state"`
	Status      *registry.NodeStatus     `json:"status,omitempty"`
	Boot        *registry.BootSelection  `json:"boot,omitempty"`
	Partitions  *registry.PartitionTable `json:"partitions,omitempty"`
	Runtime     *registry.Runtime        `json:"runtime,omitempty"`
	Load        *registry.NodeLoad       `json:"load,omitempty"`
	Command     *registry.Command        `json:"command,omitempty"`
	Progress    *Progress                `json:"progress,omitempty"`
}

// Progress is how far a node's image has come, as its loader reports.
type Progress struct {
	Image       string    `json:"image"`
	ChunksDone  int       `json:"chunks_done"`
	ChunksTotal int       `json:"chunks_total"`
	At          time.Time `json:"at"`
}

// NewNode is a node with the records that make it ready to boot.
type NewNode struct {
	Node        registry.Node         `json:"node"`
	Reservation *registry.Reservation `json:"reservation,omitempty"`
}

// LoadRequest asks for images on nodes.
type LoadRequest struct {
	Nodes    []string       `json:"nodes"`
	Images   []registry.Ref `json:"images"`
	WaitBoot bool           `json:"wait_boot,omitempty"`
	ZeroFree int            `json:"zero_free,omitempty"`
	Prepare  bool           `json:"prepare,omitempty"`
	By       string         `json:"by,omitempty"`
}

// LoadState is a job with its nodes' fates.
type LoadState struct {
	Job   registry.LoadJob    `json:"job"`
	Nodes []registry.LoadNode `json:"nodes"`
}

// CommandRequest asks for a reboot or a change of power.
type CommandRequest struct {
	Nodes []string `json:"nodes"`
	Kind  string   `json:"kind"`            // REBOOT, POWEROFF, POWERON, POWERCYCLE
	Force int      `json:"force,omitempty"` // states.Force
	By    string   `json:"by,omitempty"`
}

// OrderRequest asks for an order to boot loaders that wait (bootinfosend).
type OrderRequest struct {
	Nodes []string           `json:"nodes"`
	Order states.LoaderOrder `json:"order"`
	Force bool               `json:"force,omitempty"` // also nodes that do not wait
	By    string             `json:"by,omitempty"`
}

// CommandResult is what became of a command or an order for one node.
type CommandResult struct {
	Node  string `json:"node"`
	Error string `json:"error,omitempty"` // empty: accepted
}

// WaitRequest asks for states.
type WaitRequest struct {
	Nodes       []string    `json:"nodes"`
	Pattern     string      `json:"pattern"`
	After       kv.Revision `json:"after,omitempty"`
	TimeoutSecs float64     `json:"timeout_secs,omitempty"`
	NoFail      bool        `json:"no_fail,omitempty"` // failure states do not end the wait
}

// WaitResult is one line of a wait's answer.
type WaitResult = wait.Result

// SelectRequest changes what nodes boot.
type SelectRequest struct {
	Nodes   []string     `json:"nodes"`
	Slot    string       `json:"slot"` // def, temp or next
	OS      registry.Ref `json:"os,omitzero"`
	Cmdline string       `json:"cmdline,omitempty"`
	Clear   bool         `json:"clear,omitempty"`
}

// ImageRequest registers an image file that lies on the appliance.
type ImageRequest struct {
	Image  registry.Ref    `json:"image"`
	File   string          `json:"file"` // absolute path on the appliance
	BootOS registry.Ref    `json:"boot_os"`
	Part   int             `json:"part"`
	Boot   int             `json:"boot_part,omitempty"`
	Holds  []registry.Slot `json:"partitions,omitempty"`
}

// Explanation is what the services would answer, and why.
type Explanation struct {
	Subject  string    `json:"subject"`
	Node     string    `json:"node,omitempty"`
	Sections []Section `json:"sections"`
}

// Section is one service's part of an Explanation.
type Section struct {
	Service string `json:"service"`
	Text    string `json:"text"`
}

// Subject is what an explanation is asked about.
type Subject struct {
	Text string
	MAC  registry.MAC // zero if unknown
	IP   netip.Addr   // invalid if unknown
	Node *registry.Node
}

// BootLog names a stored boot log.
type BootLog struct {
	ID     string    `json:"id"`
	Began  time.Time `json:"began"`
	Bytes  int64     `json:"bytes"`
	Closed bool      `json:"closed,omitempty"`
}

// BackupRequest asks for a copy of the store.
type BackupRequest struct {
	Dir string `json:"dir"`
}

// Change is one line of the node stream: a step of a node's life, or news of
// its load.
type Change struct {
	Entry    *registry.StateLogEntry `json:"entry,omitempty"`
	Progress *Progress               `json:"progress,omitempty"`
	Node     string                  `json:"node"`
}
