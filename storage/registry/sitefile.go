package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// siteFileBytesMax bounds a site file; a site of 10 000 nodes needs 10 MB.
const siteFileBytesMax = 64 << 20

// SiteFile is a whole site as an operator writes it: one list per kind of
// record, with the field names of the stored records. What is not in the file
// is left as it is.
type SiteFile struct {
	Site         *Site            `json:"site,omitempty"`
	Projects     []Project        `json:"projects,omitempty"`
	Users        []User           `json:"users,omitempty"`
	Groups       []Group          `json:"groups,omitempty"`
	OSes         []OS             `json:"oses,omitempty"`
	Images       []Image          `json:"images,omitempty"`
	Types        []NodeType       `json:"types,omitempty"`
	Nodes        []Node           `json:"nodes,omitempty"`
	Experiments  []Experiment     `json:"experiments,omitempty"`
	Reservations []Reservation    `json:"reservations,omitempty"`
	Boots        []BootSelection  `json:"boots,omitempty"`
	Partitions   []PartitionTable `json:"partitions,omitempty"`
	Runtimes     []Runtime        `json:"runtimes,omitempty"`
	Loads        []NodeLoad       `json:"loads,omitempty"`
	// States come from another system's database; a site file of ours has
	// none, since states are reported, not configured.
	States   []NodeState  `json:"states,omitempty"`
	Statuses []NodeStatus `json:"statuses,omitempty"`
}

// ParseSiteFile reads YAML (or JSON, which is YAML). An unknown field or a
// value of the wrong type is an error that names the line of its record.
func ParseSiteFile(r io.Reader) (*SiteFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, siteFileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(data) > siteFileBytesMax {
		return nil, fmt.Errorf("site file is over %d bytes", siteFileBytesMax)
	}
	root, err := onlyDocument(data)
	if err != nil || root == nil {
		return &SiteFile{}, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want sections such as nodes:", root.Line)
	}
	file, seen := &SiteFile{}, map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		name := root.Content[i]
		if seen[name.Value] {
			return nil, fmt.Errorf("line %d: section %.40q stands twice", name.Line, name.Value)
		}
		seen[name.Value] = true
		if err := file.section(name, root.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return file, nil
}

// onlyDocument parses a stream of one YAML document; nil if it is empty. What
// stood in a second one would be lost without a word.
func onlyDocument(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("line %d: a second document; a site file is one", more.Line)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// section decodes one top-level entry, record by record for the sake of line
// numbers.
func (f *SiteFile) section(name, value *yaml.Node) error {
	if memberType(reflect.TypeFor[SiteFile](), name.Value) == nil {
		return fmt.Errorf("line %d: section %.40q is not known", name.Line, name.Value)
	}
	if value.Kind != yaml.SequenceNode {
		return decodeSection(f, name.Value, value, value)
	}
	for _, item := range value.Content {
		one := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}}
		part := &SiteFile{}
		if err := decodeSection(part, name.Value, one, item); err != nil {
			return err
		}
		f.Append(part)
	}
	return nil
}

func decodeSection(f *SiteFile, name string, value, at *yaml.Node) error {
	var plain any
	if err := value.Decode(&plain); err != nil {
		return fmt.Errorf("line %d: %w", at.Line, err)
	}
	if t := memberType(reflect.TypeFor[SiteFile](), name); t != nil {
		plain = asText(plain, value, t)
	}
	asJSON, err := json.Marshal(map[string]any{name: plain})
	if err != nil {
		return fmt.Errorf("line %d: %w", at.Line, err)
	}
	dec := json.NewDecoder(bytes.NewReader(asJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		return fmt.Errorf("line %d: in %.40q: %w", at.Line, name, err)
	}
	return nil
}

// Append adds the records of another file.
func (f *SiteFile) Append(o *SiteFile) {
	if o.Site != nil {
		f.Site = o.Site
	}
	f.Projects = append(f.Projects, o.Projects...)
	f.Users = append(f.Users, o.Users...)
	f.Groups = append(f.Groups, o.Groups...)
	f.OSes = append(f.OSes, o.OSes...)
	f.Images = append(f.Images, o.Images...)
	f.Types = append(f.Types, o.Types...)
	f.Nodes = append(f.Nodes, o.Nodes...)
	f.Experiments = append(f.Experiments, o.Experiments...)
	f.Reservations = append(f.Reservations, o.Reservations...)
	f.Boots = append(f.Boots, o.Boots...)
	f.Partitions = append(f.Partitions, o.Partitions...)
	f.Runtimes = append(f.Runtimes, o.Runtimes...)
	f.Loads = append(f.Loads, o.Loads...)
	f.States = append(f.States, o.States...)
	f.Statuses = append(f.Statuses, o.Statuses...)
}

// records lists the file's records in an order a reader would write them.
func (f *SiteFile) records() []record {
	var all []record
	if f.Site != nil {
		all = append(all, f.Site)
	}
	all = addRecords(all, f.Projects)
	all = addRecords(all, f.Users)
	all = addRecords(all, f.Groups)
	all = addRecords(all, f.OSes)
	all = addRecords(all, f.Images)
	all = addRecords(all, f.Types)
	all = addRecords(all, f.Nodes)
	all = addRecords(all, f.Experiments)
	all = addRecords(all, f.Reservations)
	all = addRecords(all, f.Boots)
	all = addRecords(all, f.Partitions)
	all = addRecords(all, f.Runtimes)
	all = addRecords(all, f.Loads)
	all = addRecords(all, f.States)
	return addRecords(all, f.Statuses)
}

func addRecords[T any, P recordPtr[T]](all []record, recs []T) []record {
	for i := range recs {
		all = append(all, P(&recs[i]))
	}
	return all
}

// ApplyTo writes every record of the file, replacing records of the same key.
func (f *SiteFile) ApplyTo(tx *Tx) error {
	seen := map[string]bool{}
	for _, rec := range f.records() {
		id := rec.kind() + " " + rec.key()
		if seen[id] {
			return invalid("%s stands twice in the file", id)
		}
		seen[id] = true
		if err := tx.put(rec); err != nil {
			return err
		}
	}
	return nil
}

// Import applies a site file in one transaction: all of it or nothing.
func (r *Registry) Import(ctx context.Context, f *SiteFile) error {
	_, err := r.Update(ctx, f.ApplyTo)
	return err
}

// Export lists the configured site, without what nodes report, so that
// importing it elsewhere makes the same site.
func (s *Snapshot) Export() *SiteFile {
	return &SiteFile{
		Site:         s.site,
		Projects:     values(s.Projects()),
		Users:        values(s.Users()),
		Groups:       values(s.Groups()),
		OSes:         values(s.OSes()),
		Images:       values(s.Images()),
		Types:        values(s.Types()),
		Nodes:        values(s.Nodes()),
		Experiments:  values(s.Experiments()),
		Reservations: values(s.Reservations()),
		Boots:        values(s.Boots()),
		Partitions:   values(s.PartitionTables()),
		Runtimes:     values(s.Runtimes()),
		Loads:        values(s.Loads()),
	}
}

func values[T any](pointers []*T) []T {
	list := make([]T, len(pointers))
	for i, p := range pointers {
		list[i] = *p
	}
	return list
}

// WriteYAML writes the file as YAML that ParseSiteFile reads back.
func (f *SiteFile) WriteYAML(w io.Writer) error {
	asJSON, err := json.Marshal(f)
	if err != nil {
		return err
	}
	var doc yaml.Node // through a node tree: it keeps the order of fields
	if err := yaml.Unmarshal(asJSON, &doc); err != nil {
		return err
	}
	plainStyle(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(&doc), enc.Close())
}

// plainStyle drops JSON's quotes and braces where YAML needs none.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plainStyle(child)
	}
}

// NewSnapshot builds a snapshot from a file alone, without a store and without
// checking rules across records: for pure handlers and their tests.
func NewSnapshot(f *SiteFile) *Snapshot {
	s := emptySnapshot()
	for _, rec := range f.records() {
		rec.install(s)
	}
	return s
}

// EnsureHoldings creates the experiments that the appliance itself reserves
// nodes to, if they do not exist.
func (r *Registry) EnsureHoldings(ctx context.Context) error {
	_, err := r.Update(ctx, func(tx *Tx) error {
		project, err := Lookup[Project](tx, OpsProject)
		if err != nil {
			return err
		}
		if project == nil {
			if err := Put(tx, &Project{ID: OpsProject, Name: "operations"}); err != nil {
				return err
			}
		}
		for _, key := range []string{ReloadingExpt, ReloadPendingExpt, HWDownExpt} {
			if _, exists, err := Find[Experiment](tx, key); exists || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			id := key[len(OpsProject)+1:]
			if err := Put(tx, &Experiment{Project: OpsProject, ID: id, State: "active"}); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
