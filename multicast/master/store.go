package master

import (
	"fmt"
	"net/netip"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// Assignment is a session that runs, or ran when the process was killed: which
// version of which file is sent where.
type Assignment struct {
	ImageID string
	Path    string
	Version server.Identity
	Method  wire.Methods
	Address netip.AddrPort // session address; for unicast the client's
	Pace    server.Pace
}

// Key is unique among the sessions of a Store. It does not contain the
// address, so that two sessions of one version cannot both be stored.
func (a Assignment) Key() string {
	v := a.Version
	key := fmt.Sprintf("%d/%x/%x/%d/%d/%s", a.Method, v.Device, v.Inode, v.Bytes, v.MTimeNS, a.Path)
	if a.Method == wire.Unicast {
		key = a.Address.Addr().String() + "/" + key
	}
	return key
}

// Store keeps the assignments over a crash. Save returns when the assignment
// is durable; Save of a key that is there replaces it, Delete of one that is
// not is no error.
type Store interface {
	Load() ([]Assignment, error)
	Save(Assignment) error
	Delete(key string) error
}

// noStore forgets: sessions end with the process.
type noStore struct{}

func (noStore) Load() ([]Assignment, error) { return nil, nil }
func (noStore) Save(Assignment) error       { return nil }
func (noStore) Delete(string) error         { return nil }
