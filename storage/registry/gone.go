package registry

import (
	"errors"
	"fmt"
)

// nodeKinds are the records of a node that go with it. Its log stays: history
// is never rewritten.
var nodeKinds = [...]string{kindBoot, kindPartitions, kindRuntime, kindStatus, kindCommand, kindLoad, kindState, kindGrant}

// checkGone refuses to delete what others refer to, and takes a deleted node's
// records with it. It costs a scan of the referring kinds: deleting is rare.
func (tx *Tx) checkGone(c change) error {
	switch c.kind {
	case kindNode:
		return tx.nodeGone(c.key)
	case kindType:
		return noneUses(tx, func(n *Node) (string, bool) { return "node " + n.ID + " is of this type", n.Type == c.key })
	case kindExperiment:
		return noneUses(tx, func(r *Reservation) (string, bool) {
			return "node " + r.Node + " is reserved to it", r.Experiment == c.key
		})
	case kindProject:
		return tx.projectGone(c.key)
	case kindUser:
		return noneUses(tx, func(g *Group) (string, bool) { return "is a member of group " + g.key(), g.has(c.key) })
	case kindOS:
		return tx.osUsersKept()
	case kindImage:
		return noneUses(tx, func(l *NodeLoad) (string, bool) { return "node " + l.Node + " is to load it", l.uses(c.key) })
	}
	return nil
}

// noneUses scans a kind for a record that uses what is being deleted.
func noneUses[T any, P recordPtr[T]](tx *Tx, uses func(*T) (string, bool)) error {
	return List[T, P](tx, func(rec *T) error {
		if who, yes := uses(rec); yes {
			return invalid("%s", who)
		}
		return nil
	})
}

func (tx *Tx) projectGone(project string) error {
	err := noneUses(tx, func(e *Experiment) (string, bool) { return "experiment " + e.ID + " is in it", e.Project == project })
	if err != nil {
		return err
	}
	return noneUses(tx, func(g *Group) (string, bool) { return "group " + g.ID + " is in it", g.Project == project })
}

func (tx *Tx) nodeGone(node string) error {
	if _, reserved, err := Find[Reservation](tx, node); reserved || err != nil {
		return firstError(err, invalid("is reserved; free it first"))
	}
	err := noneUses(tx, func(n *Node) (string, bool) { return "node " + n.ID + " runs on it", n.IsVirtual() && n.Host == node })
	if err != nil {
		return err
	}
	if err := endLog(tx, node); err != nil {
		return err
	}
	for _, kind := range nodeKinds {
		if err := tx.kv.Delete(recordKey(kind, node)); err != nil {
			return err
		}
	}
	return tx.errandsGone(node)
}

func (tx *Tx) errandsGone(node string) error {
	var keys [][]byte
	err := tx.kv.Scan(recordKey(kindErrand, node+"/"), func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		err = errors.Join(err, tx.kv.Delete(key))
	}
	return err
}

// osUsersKept checks every reference to a system after one was deleted or lost
// versions: a dangling one would break the next change of its record, which
// may be a node's report.
func (tx *Tx) osUsersKept() error {
	for _, users := range []func() error{
		func() error {
			return List(tx, func(t *NodeType) error {
				return tx.dangling("node type "+t.Name+" uses it", t.DefaultOS, t.LoaderOS, t.AdminOS)
			})
		},
		func() error {
			return List(tx, func(b *BootSelection) error {
				return tx.dangling("node "+b.Node+" boots it", b.Def, b.Temp, b.Next)
			})
		},
		func() error {
			return List(tx, func(o *OS) error { return tx.dangling("system "+o.key()+" leads to it", o.nexts()...) })
		},
		func() error {
			return List(tx, func(i *Image) error { return tx.dangling("image "+i.key()+" boots it", i.boots()...) })
		},
	} {
		if err := users(); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) dangling(who string, refs ...Ref) error {
	for _, ref := range refs {
		if err := needOS(tx, ref); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return nil
}

// lostVersions reports whether a changed system lacks a version it had.
func lostVersions(c change) bool {
	was, ok := c.was.(*OS)
	if !ok {
		return false
	}
	is := c.is.(*OS)
	for i := range was.Versions {
		if is.Version(was.Versions[i].Version) == nil {
			return true
		}
	}
	return false
}

func (o *OS) nexts() (refs []Ref) {
	for i := range o.Versions {
		refs = append(refs, o.Versions[i].NextOS)
	}
	return refs
}

func (i *Image) boots() (refs []Ref) {
	for n := range i.Versions {
		refs = append(refs, i.Versions[n].BootOS)
	}
	return refs
}

func (g *Group) has(user string) bool {
	for _, m := range g.Members {
		if m.User == user {
			return true
		}
	}
	return false
}

func (l *NodeLoad) uses(image string) bool {
	for _, i := range l.Images {
		if i.Image.Key() == image {
			return true
		}
	}
	return false
}
