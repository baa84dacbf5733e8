package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"hyzer/storage/kv"
)

// Errors that callers tell apart; they are wrapped with the record's name.
var (
	ErrNotFound = errors.New("registry: no such record")
	ErrConflict = errors.New("registry: conflicts with another record")
	ErrInvalid  = errors.New("registry: record breaks a rule")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// need requires that a record exists.
func need[T any, P recordPtr[T]](tx *Tx, key string) error {
	var rec T
	kind := P(&rec).kind()
	if shared, known := tx.shared(kind, key); known && shared != nil {
		return nil
	}
	_, err := tx.kv.Get(recordKey(kind, key))
	if errors.Is(err, kv.ErrNotFound) {
		return invalid("%s %q does not exist", kind, key)
	}
	return err
}

// needOS requires that a reference, if there is one, names an OS and version.
func needOS(tx *Tx, ref Ref) error {
	if ref.IsZero() {
		return nil
	}
	rec, err := Get[OS](tx, ref.Key())
	if errors.Is(err, ErrNotFound) {
		return invalid("OS %s does not exist", ref)
	}
	if err == nil && rec.Version(ref.Version) == nil {
		return invalid("OS %s has no version %d", ref.Key(), ref.Version)
	}
	return err
}

// checkName is CheckName as a broken rule.
func checkName(s string) error {
	if err := CheckName(s); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func legacyClaim(space string, id int) []string {
	if id == 0 {
		return nil
	}
	return []string{space + "/" + strconv.Itoa(id)}
}

func (s *Subnet) check() error {
	if !s.Prefix.IsValid() || !s.Prefix.Addr().Is4() {
		return invalid("prefix %v: want an IPv4 prefix such as 10.0.0.0/24", s.Prefix)
	}
	if !slices.Contains([]string{"", DHCPOff, DHCPProxy, DHCPServe}, s.DHCP) {
		return invalid("dhcp %q: want %s, %s or %s", s.DHCP, DHCPOff, DHCPProxy, DHCPServe)
	}
	for _, a := range []netip.Addr{s.Router, s.RangeFirst, s.RangeLast} {
		if a.IsValid() && !s.Prefix.Contains(a) {
			return invalid("address %s is outside %s", a, s.Prefix)
		}
	}
	if s.LeaseSecs < 0 {
		return invalid("lease_secs %d is negative", s.LeaseSecs)
	}
	if s.RangeFirst.IsValid() != s.RangeLast.IsValid() || s.RangeLast.Less(s.RangeFirst) {
		return invalid("range %v to %v: want both ends, in order", s.RangeFirst, s.RangeLast)
	}
	return nil
}

func (n *Node) check(tx *Tx) error {
	if err := firstError(checkName(n.ID), need[NodeType](tx, n.Type)); err != nil {
		return err
	}
	if err := n.checkHost(tx); err != nil {
		return err
	}
	control := 0
	names := map[string]bool{}
	for i := range n.Interfaces {
		ifc := &n.Interfaces[i]
		if ifc.Name == "" || names[ifc.Name] {
			return invalid("interface %d: name %q is empty or used twice", i+1, ifc.Name)
		}
		names[ifc.Name] = true
		if ifc.Role == InterfaceControl {
			control++
		}
		if ifc.IP.IsValid() && !ifc.IP.Is4() {
			return invalid("interface %s: address %s is not IPv4", ifc.Name, ifc.IP)
		}
	}
	if control > 1 {
		return invalid("%d control interfaces, want one", control)
	}
	return nil
}

func (n *Node) checkHost(tx *Tx) error {
	if n.Host == "" || n.Host == n.ID {
		return nil
	}
	host, err := Get[Node](tx, n.Host)
	if errors.Is(err, ErrNotFound) {
		return invalid("host %q does not exist", n.Host)
	}
	if err == nil && host.Host != "" && host.Host != host.ID {
		return invalid("host %q is itself virtual", n.Host)
	}
	return err
}

func (o *OS) check(tx *Tx) error {
	if err := firstError(checkName(o.Project), checkName(o.Name)); err != nil {
		return err
	}
	last := -1
	for _, v := range o.Versions {
		if v.Version <= last {
			return invalid("version %d after %d: want ascending versions", v.Version, last)
		}
		last = v.Version
		if v.OpMode == "" && v.NextOS.IsZero() { // a generic name has no mode of its own
			return invalid("version %d has no op_mode", v.Version)
		}
		if err := o.checkNext(tx, v.NextOS); err != nil {
			return err
		}
	}
	if len(o.Versions) == 0 {
		return invalid("no versions")
	}
	return nil
}

// nextOSHopsMax bounds a chain of generic systems; a longer one is a cycle.
const nextOSHopsMax = 8

func (o *OS) checkNext(tx *Tx, next Ref) error {
	for range nextOSHopsMax {
		if next.IsZero() {
			return nil
		}
		if err := needOS(tx, next); err != nil {
			return err
		}
		rec, err := Get[OS](tx, next.Key())
		if err != nil {
			return err
		}
		next = rec.Version(next.Version).NextOS
	}
	return invalid("next_os of %s leads in a circle", o.key())
}

func (i *Image) check(tx *Tx) error {
	if err := firstError(checkName(i.Project), checkName(i.Name)); err != nil {
		return err
	}
	last := -1
	for _, v := range i.Versions {
		if v.Version <= last {
			return invalid("version %d after %d: want ascending versions", v.Version, last)
		}
		last = v.Version
		if v.Path == "" {
			return invalid("version %d has no path", v.Version)
		}
		if v.LoadPart < 0 || v.LoadPart > SlotsMax {
			return invalid("version %d: load_part %d", v.Version, v.LoadPart)
		}
		if err := needOS(tx, v.BootOS); err != nil {
			return err
		}
	}
	if len(i.Versions) == 0 {
		return invalid("no versions")
	}
	return nil
}

// Version returns a version, Head being the last, or nil.
func (o *OS) Version(version int) *OSVersion {
	if version == Head && len(o.Versions) > 0 {
		return &o.Versions[len(o.Versions)-1]
	}
	for i := range o.Versions {
		if o.Versions[i].Version == version {
			return &o.Versions[i]
		}
	}
	return nil
}

// Has reports whether the system has a feature such as "isup".
func (v *OSVersion) Has(feature string) bool { return slices.Contains(v.Features, feature) }

// Version returns a version, Head being the last, or nil.
func (i *Image) Version(version int) *ImageVersion {
	if version == Head && len(i.Versions) > 0 {
		return &i.Versions[len(i.Versions)-1]
	}
	for n := range i.Versions {
		if i.Versions[n].Version == version {
			return &i.Versions[n]
		}
	}
	return nil
}

// GroupID is the group in effect.
func (i *Image) GroupID() string {
	if i.Group == "" {
		return i.Project
	}
	return i.Group
}

func (ifc *Interface) isControl() bool {
	return ifc.Role == InterfaceControl || ifc.Role == InterfaceOuterControl
}

// addTo and dropFrom change a map of sorted lists of names; an empty list
// leaves the map.
func addTo(m pmap[string, []string], key, name string) pmap[string, []string] {
	return m.With(key, withName(list(m, key), name))
}

func dropFrom(m pmap[string, []string], key, name string) pmap[string, []string] {
	if rest := withoutName(list(m, key), name); len(rest) > 0 {
		return m.With(key, rest)
	}
	return m.Without(key)
}

// withName and withoutName return a changed copy of a sorted list of names;
// snapshots share the lists.
func withName(names []string, name string) []string {
	at, found := slices.BinarySearch(names, name)
	if found {
		return names
	}
	return slices.Insert(slices.Clone(names), at, name)
}

func withoutName(names []string, name string) []string {
	at, found := slices.BinarySearch(names, name)
	if !found {
		return names
	}
	return slices.Delete(slices.Clone(names), at, at+1)
}

// ControlIP is the address of the control interface; invalid if there is none.
func (n *Node) ControlIP() netip.Addr {
	for i := range n.Interfaces {
		if n.Interfaces[i].Role == InterfaceControl {
			return n.Interfaces[i].IP
		}
	}
	return netip.Addr{}
}

// PhysicalID is the machine the node runs on: its host, or itself.
func (n *Node) PhysicalID() string {
	if n.Host == "" {
		return n.ID
	}
	return n.Host
}

// IsVirtual reports whether the node runs on another.
func (n *Node) IsVirtual() bool { return n.Host != "" && n.Host != n.ID }
