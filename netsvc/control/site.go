package control

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/storage/registry"
)

func notFound(kind, name string) error {
	return fmt.Errorf("%w: %s %s", registry.ErrNotFound, kind, name)
}

func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %s", registry.ErrConflict, fmt.Sprintf(format, args...))
}

func (s *Server) importSite(req *http.Request, out *reply) error {
	file, err := registry.ParseSiteFile(req.Body)
	if err != nil {
		return badRequest(err)
	}
	if err := s.cfg.Registry.Import(req.Context(), file); err != nil {
		return err
	}
	return out.value(s.cfg.Status())
}

func (s *Server) exportSite(_ *http.Request, out *reply) error {
	out.w.Header().Set("Content-Type", "application/yaml")
	return s.snapshot().Export().WriteYAML(out.w)
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
	in, err := body[ImageRequest](req)
	if err != nil {
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
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		var found bool
		if image, found, err = registry.Find[registry.Image](tx, in.Image.Key()); err != nil {
			return err
		}
		if !found {
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

func (s *Server) explain(req *http.Request, out *reply) error {
	subject, err := s.subject(req.URL.Query().Get("subject"))
	if err != nil {
		return badRequest(err)
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
		return subject, errors.New("want a MAC address, an IP address or a node")
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
		return subject, fmt.Errorf("%q is no node, IP address or MAC address known here", text)
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
	in, err := body[BackupRequest](req)
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
