package emulab

import (
	"maps"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hyzer/storage/registry"
)

// Bounds on what is kept of a dump. Emulab's largest site has a tenth.
const (
	rowsMax      = 4 << 20
	textBytesMax = 1 << 30
)

// primaryKeys names the tables that are read, with the columns that make a row
// unique: a later row with the same key replaces the earlier one. A table
// without key columns keeps every row.
func primaryKeys() map[string][]string {
	keys := siteKeys()
	maps.Copy(keys, experimentKeys())
	return keys
}

func siteKeys() map[string][]string {
	return map[string][]string{
		"sitevariables":          {"name"},
		"projects":               {"pid"},
		"groups":                 {"pid", "gid"},
		"group_membership":       {"pid", "gid", "uid"},
		"users":                  {"uid"},
		"user_pubkeys":           {"uid", "idx"},
		"user_sfskeys":           {"uid", "comment"},
		"os_info":                {"osid"},
		"os_info_versions":       {"osid", "vers"},
		"images":                 {"imageid"},
		"image_versions":         {"imageid", "version"},
		"node_types":             {"type"},
		"node_type_attributes":   {"type", "attrkey"},
		"nodes":                  {"node_id"},
		"node_attributes":        {"node_id", "attrkey"},
		"node_status":            {"node_id"},
		"widearea_nodeinfo":      {"node_id"},
		"interfaces":             {"node_id", "card", "port", "iface"},
		"interface_capabilities": {"type", "capkey"},
		"interface_settings":     {"node_id", "iface", "capkey"},
		"vinterfaces":            {"node_id", "unit"},
		"outlets":                {"node_id"},
		"subbosses":              {"node_id", "service"},
		"experiments":            {"pid", "eid"},
		"virt_lans":              {},
		"virt_lan_lans":          {"pid", "eid", "vname"},
		"virt_routes":            {},
		"vlans":                  {"id"},
		"reserved":               {"node_id"},
		"partitions":             {"node_id", "partition"},
		"current_reloads":        {"node_id", "idx"},
		"node_hostkeys":          {"node_id"},
		"tiplines":               {"tipname"},
		"subboss_attributes":     {"subboss_id", "service", "attrkey"},
		"ntpinfo":                {"node_id", "ip", "type"},
		"delays":                 {"node_id", "pipe0", "pipe1"},
		"linkdelays":             {"node_id", "vlan", "vnode"},
		"bridges":                {"node_id", "bridx", "iface"},
		"traces":                 {"node_id", "idx"},
		"blockstores":            {"bsidx"},
		"blockstore_attributes":  {"bsidx", "attrkey"},
		"default_firewall_rules": {"type", "style", "ruleno"},
		"default_firewall_vars":  {"name"},
		"client_services":        {"idx", "env", "whence"},
		"motelogfiles":           {"pid", "logfileid"},
	}
}

// experimentKeys are of tables whose rows belong to experiments.
func experimentKeys() map[string][]string {
	return map[string][]string{
		"virt_programs":              {"pid", "eid", "vnode", "vname"},
		"virt_trafgens":              {"pid", "eid", "vnode", "vname"},
		"virt_user_environment":      {"pid", "eid", "idx"},
		"virt_node_attributes":       {"pid", "eid", "vname", "attrkey"},
		"virt_node_disks":            {"pid", "eid", "vname", "diskname"},
		"virt_tiptunnels":            {"pid", "eid", "host", "vnode"},
		"virt_blockstores":           {"pid", "eid", "vname"},
		"virt_blockstore_attributes": {"pid", "eid", "vname", "attrkey"},
		"experiment_blobs":           {"idx"},
		"ipport_ranges":              {"pid", "eid"},
		"port_registration":          {"pid", "eid", "service"},
		"reserved_vlantags":          {"lanid", "tag"},

		"virt_firewalls":            {"pid", "eid", "exptidx", "fwname"},
		"firewalls":                 {"pid", "eid", "exptidx", "fwname"},
		"firewall_rules":            {"pid", "eid", "exptidx", "fwname", "ruleno"},
		"virt_client_service_ctl":   {"pid", "eid", "exptidx", "vnode", "service_idx", "env", "whence"},
		"virt_client_service_hooks": {"pid", "eid", "exptidx", "vnode", "service_idx", "env", "whence", "hook_blob_id"},
		"lans":                      {"lanid"},
		"lan_members":               {"lanid", "memberid"},
		"lan_member_attributes":     {"lanid", "memberid", "attrkey"},
		"nseconfigs":                {"pid", "eid", "exptidx", "vname"},
		"virt_node_motelog":         {"pid", "eid", "exptidx", "vname", "logfileid"},
		"virt_address_allocation":   {"pool_id", "address"},
		"experiment_keys":           {"pid", "eid", "exptidx"},
	}
}

// record is one row with access by column.
type record struct {
	index  map[string]int // shared by the rows of a statement
	values []Value
	line   int
}

// get is a column's text; "" if it is NULL or there is no such column.
func (r *record) get(column string) string {
	if i, ok := r.index[column]; ok && !r.values[i].Null {
		return r.values[i].Text
	}
	return ""
}

func (r *record) has(column string) bool {
	i, ok := r.index[column]
	return ok && !r.values[i].Null
}

// number is a column as C's atoi reads it: what is none is 0.
func (r *record) number(column string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(r.get(column)), 10, 64)
	return n
}

func (r *record) float(column string) float64 {
	f, _ := strconv.ParseFloat(strings.TrimSpace(r.get(column)), 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0 // has no place in JSON
	}
	return f
}

func (r *record) int(column string) int   { return int(r.number(column)) }
func (r *record) bool(column string) bool { return r.number(column) != 0 }

// addr is an IPv4 column, or the zero address.
func (r *record) addr(column string) netip.Addr {
	a, err := netip.ParseAddr(r.get(column))
	if err != nil || !a.Is4() || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

func (r *record) mac(column string) registry.MAC {
	mac, err := registry.ParseMAC(r.get(column))
	if err != nil {
		return registry.MAC{}
	}
	return mac
}

// time is a DATETIME column, which Emulab keeps in the server's time zone, or
// a unix time.
func (r *record) time(column string, zone *time.Location) time.Time {
	text := r.get(column)
	if secs, err := strconv.ParseInt(text, 10, 64); err == nil {
		if secs <= 0 {
			return time.Time{}
		}
		return time.Unix(secs, 0).UTC()
	}
	t, err := time.ParseInLocation(time.DateTime, text, zone)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// tables holds the rows of a database by table, in file order.
type tables struct {
	keys  map[string][]string
	rows  map[string][]*record
	byKey map[string]int // "table\x00key" -> place in rows
	left  map[string]int // rows of tables that are not read
	total int            // rows
	bytes int            // of text, also of rows that were replaced

	lastColumns []string // of the last row, with its index
	lastIndex   map[string]int
}

func newTables() *tables {
	return &tables{keys: primaryKeys(), rows: map[string][]*record{}, byKey: map[string]int{}, left: map[string]int{}}
}

func (t *tables) wants(table string) bool {
	_, ok := t.keys[table]
	return ok
}

func (t *tables) skip(table string) {
	if _, ok := t.left[table]; ok || len(t.left) < tablesMax {
		t.left[table]++
	}
}

// add keeps a row. Texts that are not UTF-8 come from a dump in latin1, which
// is what Emulab's tables are in.
func (t *tables) add(row Row) error {
	for i := range row.Values {
		if t.bytes += len(row.Values[i].Text); t.bytes > textBytesMax {
			return syntax("more than %d bytes to keep", textBytesMax)
		}
		if text := row.Values[i].Text; !utf8.ValidString(text) {
			row.Values[i].Text = fromLatin1(text)
		}
	}
	rec := &record{index: t.indexOf(row.Columns), values: row.Values, line: row.Line}
	key := row.Table + "\x00"
	for _, column := range t.keys[row.Table] {
		key += rec.get(column) + "\x00"
	}
	if at, ok := t.byKey[key]; ok && len(t.keys[row.Table]) > 0 {
		t.rows[row.Table][at] = rec
		return nil
	}
	if t.total++; t.total > rowsMax {
		return syntax("more than %d rows to keep", rowsMax)
	}
	t.byKey[key] = len(t.rows[row.Table])
	t.rows[row.Table] = append(t.rows[row.Table], rec)
	return nil
}

func fromLatin1(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(rune(text[i]))
	}
	return b.String()
}

// indexOf maps column names to places. Rows of one statement share the slice
// of names, and so the map.
func (t *tables) indexOf(columns []string) map[string]int {
	same := len(columns) > 0 && len(columns) == len(t.lastColumns) && &columns[0] == &t.lastColumns[0]
	if !same {
		t.lastColumns, t.lastIndex = columns, make(map[string]int, len(columns))
		for i, name := range columns {
			t.lastIndex[name] = i
		}
	}
	return t.lastIndex
}
