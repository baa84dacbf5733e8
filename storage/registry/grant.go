package registry

import (
	"errors"
	"time"
)

// UploadGrant lets a node write one image, as capturing its disk needs. Without
// a grant no node writes any. A node has at most one.
type UploadGrant struct {
	Node  string    `json:"node"`
	Image Ref       `json:"image"`          // of no version: the next is written
	By    string    `json:"by,omitzero"`    // who gave it
	Given time.Time `json:"given,omitzero"` // when
	Until time.Time `json:"until"`          // it counts for nothing after
	Bytes int64     `json:"bytes,omitzero"` // largest file; 0: the appliance's limit
	Holds []Slot    `json:"holds,omitzero"` // for an image's first version, as in ImageVersion
	Part  int       `json:"part,omitzero"`  // likewise: LoadPart
	Boot  int       `json:"boot,omitzero"`  // likewise: BootPart
	OS    Ref       `json:"os,omitzero"`    // likewise: BootOS; zero: the image has versions
}

func (*UploadGrant) kind() string          { return kindGrant }
func (g *UploadGrant) key() string         { return g.Node }
func (*UploadGrant) claims() []string      { return nil }
func (g *UploadGrant) install(n *Snapshot) { n.grants = n.grants.With(g.Node, g) }
func (g *UploadGrant) remove(n *Snapshot)  { n.grants = n.grants.Without(g.Node) }
func (g *UploadGrant) check(tx *Tx) error {
	if g.Image.Version != Head {
		return invalid("image %s: a new version gets its number when it is written; name none", g.Image)
	}
	if g.Until.IsZero() || g.Bytes < 0 {
		return errors.New("want an end, and no negative size")
	}
	if err := firstError(need[Node](tx, g.Node), need[Project](tx, g.Image.Project), checkName(g.Image.Name), needOS(tx, g.OS)); err != nil {
		return err
	}
	image, err := Lookup[Image](tx, g.Image.Key())
	if err == nil && image == nil && g.OS.IsZero() {
		err = invalid("image %s is new: say which system it boots", g.Image)
	}
	return err
}

// UploadGrant is what a node may write, or nil. It may have run out.
func (s *Snapshot) UploadGrant(node string) *UploadGrant { return find(s.grants, node) }

// UploadGrants lists all, by node.
func (s *Snapshot) UploadGrants() []*UploadGrant { return sorted(s.grants) }
