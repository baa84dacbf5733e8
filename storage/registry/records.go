package registry

import (
	"encoding/json"
	"fmt"
)

// record is what every stored type can do. Records are stored as JSON under
// their kind and key, so that they can be read with any tool and gain fields
// without migration.
type record interface {
	kind() string
	key() string
	// check verifies the record against the rest of the transaction. It
	// runs when the transaction has made all its changes.
	check(tx *Tx) error
	// claims are names that no other record may claim, such as a MAC.
	claims() []string
	// install and remove change the snapshot being built.
	install(s *Snapshot)
	remove(s *Snapshot)
}

// recordPtr ties a record type to its pointer, for the generic accessors.
type recordPtr[T any] interface {
	*T
	record
}

// newRecord makes an empty record of a kind, or nil for an unknown kind.
func newRecord(kind string) record {
	switch kind {
	case kindSite:
		return &Site{}
	case kindType:
		return &NodeType{}
	case kindNode:
		return &Node{}
	case kindOS:
		return &OS{}
	case kindImage:
		return &Image{}
	case kindProject:
		return &Project{}
	case kindGroup:
		return &Group{}
	case kindUser:
		return &User{}
	case kindExperiment:
		return &Experiment{}
	case kindReservation:
		return &Reservation{}
	case kindBoot:
		return &BootSelection{}
	case kindPartitions:
		return &PartitionTable{}
	case kindRuntime:
		return &Runtime{}
	case kindState:
		return &NodeState{}
	case kindStatus:
		return &NodeStatus{}
	case kindCommand:
		return &Command{}
	case kindErrand:
		return &Errand{}
	case kindLoad:
		return &NodeLoad{}
	case kindJob:
		return &LoadJob{}
	case kindLoadNode:
		return &LoadNode{}
	case kindGrant:
		return &UploadGrant{}
	}
	return nil
}

// Kinds of records, as they stand in keys. Never rename one.
const (
	kindSite        = "site"
	kindType        = "type"
	kindNode        = "node"
	kindOS          = "os"
	kindImage       = "image"
	kindProject     = "project"
	kindGroup       = "group"
	kindUser        = "user"
	kindExperiment  = "experiment"
	kindReservation = "reservation"
	kindBoot        = "boot"
	kindPartitions  = "partitions"
	kindRuntime     = "runtime"
	kindState       = "state"
	kindStatus      = "status"
	kindCommand     = "command"
	kindErrand      = "errand"
	kindLoad        = "load"
	kindJob         = "job"
	kindLoadNode    = "loadnode"
	kindGrant       = "grant"
)

func decodeRecord(kind, key string, value []byte) (record, error) {
	rec := newRecord(kind)
	if rec == nil {
		return nil, fmt.Errorf("registry: record %s/%s is of a kind this version does not know", kind, key)
	}
	if err := json.Unmarshal(value, rec); err != nil {
		return nil, fmt.Errorf("registry: record %s/%s: %w", kind, key, err)
	}
	return rec, nil
}
