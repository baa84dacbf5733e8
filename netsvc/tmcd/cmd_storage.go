package tmcd

import (
	"cmp"
	"strconv"
	"strings"

	"hyzer/storage/registry"
)

// runStorageConfig lists the node's storage: elements on storage hosts that it
// shares a lan with, then slices of its own disks.
func runStorageConfig(c *call) {
	index := 0
	for i := range c.who.expt.Blockstores {
		b := &c.who.expt.Blockstores[i]
		if host := c.storageHost(b); host != nil {
			index++
			c.storageElement(index, b, host)
		}
	}
	for i := range c.who.expt.Blockstores {
		b := &c.who.expt.Blockstores[i]
		if b.VNode == c.who.nickname() && b.Attributes["class"] == registry.ClassLocal {
			index++
			c.storageSlice(index, b)
		}
	}
}

// storageHost is the host's port on the lan by which this node reaches remote
// storage, or nil if it is not this node's.
func (c *call) storageHost(b *registry.Blockstore) *registry.LanMember {
	if b.Attributes["class"] != registry.ClassSAN || b.IQN == "" || b.VNode == c.who.nickname() {
		return nil
	}
	for i := range c.who.expt.Lans {
		lan := &c.who.expt.Lans[i]
		if host := memberOf(lan, b.VNode); host != nil && memberOf(lan, c.who.nickname()) != nil {
			return host
		}
	}
	return nil
}

func memberOf(lan *registry.Lan, vnode string) *registry.LanMember {
	for i := range lan.Members {
		if lan.Members[i].VNode == vnode {
			return &lan.Members[i]
		}
	}
	return nil
}

// storageElement writes remote storage. PERSIST must be absent if it is 0, so
// that clients which do not know it fail where it matters.
func (c *call) storageElement(index int, b *registry.Blockstore, host *registry.LanMember) {
	c.str("CMD=ELEMENT IDX=", strconv.Itoa(index), " HOSTID=", host.VNode, " VOLNAME=", b.Name,
		" VOLSIZE=", strconv.Itoa(b.SizeMiB), " HOSTIP=", addr(host.IP), " HOSTMASK=", addr(host.Mask),
		" CLASS=", registry.ClassSAN, " PROTO=", cmp.Or(b.Attributes["protocol"], "iSCSI"),
		" UUID=", strings.ReplaceAll(b.IQN, "_", "-"), " UUID_TYPE=iqn PERMS=", storagePerms(b))
	c.storageMount(b)
	if number(b.Attributes["persist"]) != "0" {
		c.str(" PERSIST=1")
	}
	c.str("\n")
}

func storagePerms(b *registry.Blockstore) string {
	switch {
	case number(b.Attributes["rwclone"]) != "0":
		return "CLONE"
	case number(b.Attributes["readonly"]) != "0":
		return "RO"
	}
	return "RW"
}

func (c *call) storageSlice(index int, b *registry.Blockstore) {
	c.str("CMD=SLICE IDX=", strconv.Itoa(index), " VOLNAME=", b.Name, " VOLSIZE=", strconv.Itoa(b.SizeMiB),
		" CLASS=local BSID=", b.Attributes["placement"], " PROTO=local")
	c.storageMount(b)
	c.str("\n")
}

func (c *call) storageMount(b *registry.Blockstore) {
	if point := b.Attributes["mountpoint"]; point != "" {
		c.str(" MOUNTPOINT=", point)
	}
}
