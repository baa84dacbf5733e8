package control

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"hyzer/storage/registry"
)

// How long a grant lasts.
const (
	grantSecsDefault = 3600
	grantSecsMax     = 30 * 24 * 3600
)

// GrantRequest lets nodes write an image for some time. What the image holds is
// needed for its first version, and else as it was.
type GrantRequest struct {
	Image  registry.Ref    `json:"image"`
	Nodes  []string        `json:"nodes"`
	Secs   int             `json:"secs,omitempty"`  // 0: an hour
	Bytes  int64           `json:"bytes,omitempty"` // largest file; 0: the appliance's limit
	BootOS registry.Ref    `json:"boot_os,omitzero"`
	Part   int             `json:"part,omitempty"`
	Boot   int             `json:"boot_part,omitempty"`
	Holds  []registry.Slot `json:"partitions,omitempty"`
	By     string          `json:"by,omitempty"`
}

func (s *Server) listGrants(_ *http.Request, out *reply) error {
	grants := s.snapshot().UploadGrants()
	if grants == nil {
		grants = []*registry.UploadGrant{}
	}
	return out.value(grants)
}

// grant records who may write an image; a node's grant before it is gone.
func (s *Server) grant(req *http.Request, out *reply) error {
	in, err := body[GrantRequest](req, out)
	if err != nil {
		return err
	}
	if err := s.checkGrant(in); err != nil {
		return err
	}
	nodes, err := s.someNodes(in.Nodes)
	if err != nil {
		return err
	}
	if in.Secs == 0 {
		in.Secs = grantSecsDefault
	}
	now := time.Now().UTC()
	grants := make([]*registry.UploadGrant, len(nodes))
	_, err = s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		for i, id := range nodes {
			grants[i] = &registry.UploadGrant{
				Node: id, Image: in.Image, By: in.By, Given: now, Until: now.Add(time.Duration(in.Secs) * time.Second),
				Bytes: in.Bytes, Holds: in.Holds, Part: in.Part, Boot: in.Boot, OS: in.BootOS,
			}
			if err := registry.Put(tx, grants[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.cfg.Log.Info("image may be written", "service", "control", "image", in.Image.Key(), "nodes", nodes, "by", in.By)
	return out.value(grants)
}

func (s *Server) checkGrant(in GrantRequest) error {
	known := s.snapshot().Image(in.Image.Key()) != nil
	switch {
	case in.Image.IsZero():
		return badRequest(errors.New("want an image"))
	case in.Image.Version != registry.Head:
		return badRequest(fmt.Errorf("image %s: a new version gets its number when it is written; name none", in.Image))
	case in.Secs < 0 || in.Secs > grantSecsMax:
		return badRequest(fmt.Errorf("%d seconds: want 1 to %d", in.Secs, grantSecsMax))
	case in.Bytes < 0:
		return badRequest(fmt.Errorf("%d bytes: want a size", in.Bytes))
	case known && in.BootOS.IsZero():
		return nil
	}
	return s.checkImage(ImageRequest{Image: in.Image, BootOS: in.BootOS, Part: in.Part, Boot: in.Boot, Holds: in.Holds})
}

// revoke takes a node's grant. An upload that goes on is not broken off.
func (s *Server) revoke(req *http.Request, out *reply) error {
	node := req.PathValue("node")
	if s.snapshot().UploadGrant(node) == nil {
		return notFound("permission of node", node)
	}
	_, err := s.cfg.Registry.Update(req.Context(), func(tx *registry.Tx) error {
		return registry.Delete[registry.UploadGrant](tx, node)
	})
	if err != nil {
		return err
	}
	return out.value(struct{}{})
}
