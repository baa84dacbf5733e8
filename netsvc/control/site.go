package control

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/storage/registry"
)

func (s *Server) importSite(req *http.Request, out *reply) error {
	data, err := out.readBody(req, siteFileBytesMax)
	if err != nil {
		return err
	}
	file, err := registry.ParseSiteFile(bytes.NewReader(data))
	if err != nil {
		return badRequest(fmt.Errorf("site file: %w", err))
	}
	if err := s.cfg.Registry.Import(req.Context(), file); err != nil {
		return err
	}
	return out.value(s.cfg.Status())
}

func (s *Server) exportSite(req *http.Request, out *reply) error {
	site := s.snapshot().Export()
	switch format := req.URL.Query().Get("format"); format {
	case "json":
		return out.value(site)
	case "", "yaml":
		out.w.Header().Set("Content-Type", "application/yaml")
		return site.WriteYAML(out)
	default:
		return badRequest(fmt.Errorf("format %.40q: want yaml or json", format))
	}
}

func (s *Server) listImages(_ *http.Request, out *reply) error {
	images := s.snapshot().Images()
	if images == nil {
		images = []*registry.Image{}
	}
	return out.value(images)
}

// addImage records a file as the next version of an image. The file is read,
// not trusted: its size and coverage come from itself.
func (s *Server) addImage(req *http.Request, out *reply) error {
	in, err := body[ImageRequest](req, out)
	if err != nil {
		return err
	}
	if err := s.checkImage(in); err != nil {
		return err
	}
	version, err := load.Describe(s.cfg.ImageDir, in.File)
	if err != nil {
		return badRequest(err)
	}
	version.BootOS, version.BootPart, version.Partitions = in.BootOS, in.Boot, in.Holds
	version.LoadPart, version.LoadLength = in.Part, 1
	if in.Part == 0 {
		version.LoadLength = load.WholeDiskSlots
	}
	var image *registry.Image
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) (err error) {
		if image, err = registry.Lookup[registry.Image](tx, in.Image.Key()); err != nil {
			return err
		}
		if image == nil {
			image = &registry.Image{Project: in.Image.Project, Name: in.Image.Name}
		}
		next := version
		if n := len(image.Versions); n > 0 {
			next.Version = image.Versions[n-1].Version + 1
		}
		image.Versions = append(image.Versions, next)
		return registry.Put(tx, image)
	})
	if err != nil {
		return err
	}
	return out.value(image)
}

func (s *Server) checkImage(in ImageRequest) error {
	switch {
	case in.Image.IsZero() || in.BootOS.IsZero():
		return badRequest(errors.New("want an image and the system that it boots"))
	case in.Image.Version != registry.Head:
		return badRequest(fmt.Errorf("image %s: a new version gets its number here; name none", in.Image))
	case in.Part == 0 && in.Boot == 0 && len(in.Holds) == 0:
		return badRequest(errors.New("a whole-disk image: say which partition boots (boot_part)"))
	case s.snapshot().Project(in.Image.Project) == nil:
		return notFound("project", in.Image.Project)
	case !hasOS(s.snapshot(), in.BootOS):
		return notFound("system", in.BootOS.String())
	}
	return nil
}

func (s *Server) explain(req *http.Request, out *reply) error {
	subject, err := s.subject(req.URL.Query().Get("subject"))
	if err != nil {
		return err
	}
	e := Explanation{Subject: subject.Text, Sections: s.cfg.Explain(subject)}
	if subject.Node != nil {
		e.Node = subject.Node.ID
	}
	return out.value(e)
}

// subject reads what an operator has at hand: a MAC address, a control
// address, a node's name or its UUID.
func (s *Server) subject(text string) (Subject, error) {
	snap := s.snapshot()
	subject := Subject{Text: text}
	if text == "" {
		return subject, badRequest(errors.New("want a MAC address, an IP address or a node"))
	}
	if node := firstNode(snap.Node(text), snap.NodeByUUID(text)); node != nil {
		return subjectNode(subject, node), nil
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		subject.IP = ip
		if port, ok := snap.NodeByIP(ip); ok {
			return subjectNode(subject, port.Node), nil
		}
		return subject, nil
	}
	mac, err := registry.ParseMAC(text)
	if err != nil {
		return subject, notFound("node, IP address or MAC address", text)
	}
	subject.MAC = mac
	if port, ok := snap.NodeByMAC(mac); ok {
		subject = subjectNode(subject, port.Node)
		subject.MAC = mac
	}
	return subject, nil
}

func firstNode(nodes ...*registry.Node) *registry.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

func subjectNode(subject Subject, node *registry.Node) Subject {
	subject.Node = node
	for _, ifc := range node.Interfaces {
		if ifc.Role == registry.InterfaceControl {
			subject.MAC, subject.IP = ifc.MAC, ifc.IP
		}
	}
	return subject
}

func (s *Server) backup(req *http.Request, out *reply) error {
	in, err := body[BackupRequest](req, out)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(in.Dir) {
		return badRequest(fmt.Errorf("backup folder %q: want an absolute path on the appliance", in.Dir))
	}
	if err := s.cfg.Registry.Store().Backup(req.Context(), in.Dir); err != nil {
		return err
	}
	return out.value(struct{}{})
}
