package registry

import (
	"time"

	"hyzer/storage/kv"
)

// Holding experiments that the appliance itself uses; Import creates them.
const (
	OpsProject        = "emulab-ops"
	ReloadingExpt     = "emulab-ops/reloading"
	ReloadPendingExpt = "emulab-ops/reloadpending"
	HWDownExpt        = "emulab-ops/hwdown"
)

// Reservation ties a node to an experiment. A node without one is free.
type Reservation struct {
	Node       string    `json:"node"`
	Experiment string    `json:"experiment"` // "project/id"
	VName      string    `json:"vname,omitzero"`
	Role       string    `json:"role,omitzero"` // erole: node, delaynode, virthost ...
	MustWipe   bool      `json:"must_wipe,omitzero"`
	Sharing    string    `json:"sharing,omitzero"` // sharing_mode
	ExternalID string    `json:"external_key,omitzero"`
	InnerRole  string    `json:"inner_elab_role,omitzero"` // in a testbed within: boss, ops ...
	InnerBoot  bool      `json:"inner_elab_boot,omitzero"` // that testbed boots it
	PlabBoot   bool      `json:"plab_boot,omitzero"`
	Since      time.Time `json:"since,omitzero"`
}

// BootSelection says what a node boots: Next once, else Temp, else Def. None
// of them: the node waits in its loader.
type BootSelection struct {
	Node        string `json:"node"`
	Def         Ref    `json:"def,omitzero"`
	DefCmdline  string `json:"def_cmdline,omitzero"`
	Temp        Ref    `json:"temp,omitzero"`
	Next        Ref    `json:"next,omitzero"`
	NextCmdline string `json:"next_cmdline,omitzero"`
	// PXEPath replaces the network boot program (nodes.pxe_boot_path).
	PXEPath     string `json:"pxe_path,omitzero"`
	NextPXEPath string `json:"next_pxe_path,omitzero"`
}

// SlotsMax is the highest partition number, that of a usual GPT.
const SlotsMax = 128

// PartitionTable says what each slot of a node's disk holds.
type PartitionTable struct {
	Node  string      `json:"node"`
	Slots []Partition `json:"slots,omitzero"`
}

// Partition is the content of a slot. It is intended until Confirmed.
type Partition struct {
	Slot      int       `json:"slot"`
	OS        Ref       `json:"os"`
	Image     Ref       `json:"image,omitzero"`
	Confirmed time.Time `json:"confirmed,omitzero"`
}

// Runtime holds what an allocated node is given and what it reports.
type Runtime struct {
	Node           string   `json:"node"`
	StartupCmd     string   `json:"startup_cmd,omitzero"`
	StartStatus    string   `json:"start_status,omitzero"` // "none" or an exit status
	Ready          bool     `json:"ready,omitzero"`
	UpdateAccounts int      `json:"update_accounts,omitzero"`
	RPMs           string   `json:"rpms,omitzero"`
	Tarballs       string   `json:"tarballs,omitzero"`
	RouterType     string   `json:"router_type,omitzero"`
	NFSMounts      string   `json:"nfs_mounts,omitzero"`
	Taints         []string `json:"taints,omitzero"`
	BootErrno      int      `json:"boot_errno,omitzero"`
	// What the node says of itself.
	NTPDrift  string            `json:"ntp_drift,omitzero"` // as its ntpd prints it
	CDVersion string            `json:"cd_version,omitzero"`
	SSHKeys   map[string]string `json:"ssh_host_keys,omitzero"` // by tmcd's names
	Services  map[string]int    `json:"services,omitzero"`      // registered ports
	// IPODHash authenticates a "ping of death", the reboot of last resort.
	IPODHash string `json:"ipod_hash,omitzero"`
	// RootPassword is made when the node first asks for it.
	RootPassword string    `json:"root_password,omitzero"`
	SFSHostID    string    `json:"sfs_host_id,omitzero"`
	Trimmed      time.Time `json:"trimmed,omitzero"`   // its disk, by a load
	Collected    time.Time `json:"collected,omitzero"` // what hardware it has
}

// NodeState is where a node is in its life (states, stated). Mode and State
// equal those of the last entry of the node's state log. Only stated writes it.
type NodeState struct {
	Node      string    `json:"node"`
	Mode      string    `json:"mode"`
	State     string    `json:"state"`
	Since     time.Time `json:"since,omitzero"`
	ModeSince time.Time `json:"mode_since,omitzero"`
	Seq       uint64    `json:"seq,omitzero"`  // of the last log entry
	Life      uint64    `json:"life,omitzero"` // boots so far
	// Asked is the revision of the records that the loader was answered from
	// in this boot; 0: it has not asked.
	Asked    kv.Revision `json:"asked,omitzero"`
	NextMode string      `json:"next_mode,omitzero"`
	Running  Ref         `json:"running,omitzero"`   // system last booted
	TimedOut int         `json:"timed_out,omitzero"` // since the last good boot
	GaveUp   bool        `json:"gave_up,omitzero"`
	// Triggers are one-shot trigger rows of this node alone.
	Triggers []NodeTrigger `json:"triggers,omitempty"`
	// Generation is the last one given to a deadline or command, so that a
	// stale timer is known.
	Generation uint64   `json:"generation,omitzero"`
	Deadline   Deadline `json:"deadline,omitzero"`
}

// NodeTrigger is a row of state_triggers for one node.
type NodeTrigger struct {
	Mode     string   `json:"mode,omitzero"` // empty: any
	State    string   `json:"state"`
	Triggers []string `json:"triggers"`
}

// Deadline is when a node's present state times out.
type Deadline struct {
	At         time.Time `json:"at,omitzero"`
	Generation uint64    `json:"generation,omitzero"`
	Fired      int       `json:"fired,omitzero"`
}

// NodeStatus is whether a node was heard from (node_status).
type NodeStatus struct {
	Node     string    `json:"node"`
	Status   string    `json:"status,omitzero"` // up, down ...
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Last report of a node's usage and battery.
	Load           [3]float64 `json:"load,omitzero"` // 1, 5 and 15 minutes
	DiskUsed       float64    `json:"disk_used,omitzero"`
	BatteryPercent float64    `json:"battery_percent,omitzero"`
	BatteryVolts   float64    `json:"battery_volts,omitzero"`
}

// StateLogEntry is one step of a node's life. Entries are never changed.
type StateLogEntry struct {
	Node     string    `json:"node"`
	Seq      uint64    `json:"seq"` // 1 and up, without gap
	At       time.Time `json:"at"`
	FromMode string    `json:"from_mode,omitzero"`
	Mode     string    `json:"mode"` // after the step
	From     string    `json:"from"`
	To       string    `json:"to"`
	Reported string    `json:"reported,omitzero"` // where it differs from To
	Source   string    `json:"source"`            // client, bootinfo, reboot, power, stated ...
	Invalid  bool      `json:"invalid,omitzero"`  // the tables do not know the step
	// ModeChange entries follow from a report's entry and are no report of
	// their own.
	ModeChange bool   `json:"mode_change,omitzero"`
	Errno      int    `json:"errno,omitzero"` // boot errno, with a failure
	Note       string `json:"note,omitzero"`
	// Ended is set in entries that are no step (From equals To): they say
	// that the node will not go on by itself, EndedGaveUp or EndedDeleted.
	// Note has the reason.
	Ended string `json:"ended,omitzero"`
	// Revision is the transaction that wrote it; filled by a LogWatcher.
	Revision kv.Revision `json:"revision,omitzero"`
}

// Values of StateLogEntry.Ended.
const (
	EndedGaveUp  = "gave up" // retries are exhausted
	EndedDeleted = "deleted" // the node is no longer in the registry
)

// IsArrival reports whether the entry says that the node reached a state, and
// is not an op_mode change that followed from one or the end of trying.
func (e *StateLogEntry) IsArrival() bool { return !e.ModeChange && e.Ended == "" }

// Command is an order to a node that has not had its effect yet: a reboot
// asked for and not yet seen. It is apart from the state's deadline.
type Command struct {
	Node       string    `json:"node"`
	Kind       string    `json:"kind"` // REBOOT, POWERCYCLE, POWEROFF, POWERON
	Force      int       `json:"force,omitzero"`
	By         string    `json:"by"`
	Attempts   int       `json:"attempts,omitzero"`
	Since      time.Time `json:"since"`
	At         time.Time `json:"at,omitzero"` // when this attempt times out; zero: never
	Generation uint64    `json:"generation"`
	// After is the revision up to which records do not know the order: a boot
	// that was answered from those does not settle it.
	After  kv.Revision `json:"after,omitzero"`
	Seq    uint64      `json:"seq,omitzero"`    // of the node's log when this attempt began
	Failed bool        `json:"failed,omitzero"` // this attempt could not be made
}

// Errand is something to do outside the store that a transaction decided on.
// It is kept until it was done, so that a crash forgets none.
type Errand struct {
	Node string `json:"node"`
	// After is the revision before the transaction that decided it; with
	// Index it names the errand.
	After      kv.Revision `json:"after"`
	Index      int         `json:"index"`
	Kind       string      `json:"kind"`
	Method     string      `json:"method,omitzero"`
	State      string      `json:"state,omitzero"`
	Life       uint64      `json:"life,omitzero"`
	Script     string      `json:"script,omitzero"`
	Reason     string      `json:"reason,omitzero"`
	Generation uint64      `json:"generation,omitzero"` // of the command it is for
	Created    time.Time   `json:"created"`
}

// NodeLoad is the load a node has been told to make (current_reloads).
type NodeLoad struct {
	Node   string      `json:"node"`
	Job    string      `json:"job,omitzero"`
	Images []LoadImage `json:"images"`
	Asked  time.Time   `json:"asked,omitzero"`
	// Life is the node's boot at the time: a RELOADDONE of that same boot
	// is about an older load.
	Life uint64 `json:"life,omitzero"`
}

// LoadImage is one image of a load, in order.
type LoadImage struct {
	Image    Ref  `json:"image"` // with its version
	MustWipe int  `json:"must_wipe,omitzero"`
	Prepare  bool `json:"prepare,omitzero"`
}

// LoadJob is one request to load images onto nodes. Each node's fate is a
// LoadNode of its own.
type LoadJob struct {
	ID       string      `json:"id"`
	By       string      `json:"by,omitzero"`
	Images   []Ref       `json:"images"`
	Nodes    []string    `json:"nodes"`
	WaitBoot bool        `json:"wait_boot,omitzero"` // done only when booted
	Created  time.Time   `json:"created"`
	Finished time.Time   `json:"finished,omitzero"`
	Start    kv.Revision `json:"start"` // waits begin after it
}

// Results of a node in a job.
const (
	LoadWaiting   = "waiting"
	LoadLoaded    = "loaded" // waiting for the boot
	LoadDone      = "done"
	LoadFailed    = "failed"
	LoadTimedOut  = "timeout"
	LoadCancelled = "cancelled"
)

// LoadNode is one node's place in a LoadJob.
type LoadNode struct {
	Job      string      `json:"job"`
	Node     string      `json:"node"`
	Result   string      `json:"result"`
	State    string      `json:"state,omitzero"` // that ended it
	Reason   string      `json:"reason,omitzero"`
	Errno    int         `json:"errno,omitzero"`
	Attempt  int         `json:"attempt"`           // 1 and up
	After    kv.Revision `json:"after"`             // this attempt's waits begin after it
	Life     uint64      `json:"life,omitzero"`     // the node's boot when this attempt began
	Deadline time.Time   `json:"deadline,omitzero"` // of this attempt
	Ordered  bool        `json:"ordered,omitzero"`  // this attempt's reboot was
	Loaded   time.Time   `json:"loaded,omitzero"`
	Ended    time.Time   `json:"ended,omitzero"`
}

// Open reports whether the node's fate is still to be decided.
func (n *LoadNode) Open() bool { return n.Result == LoadWaiting || n.Result == LoadLoaded }
