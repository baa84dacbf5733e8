package master

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// mtimeAheadMax is how far in the future an image's time may lie (spec
// frisbee B3); the clocks of nodes are not to be trusted.
const mtimeAheadMax = 10 * time.Second

// put answers a PUTREQUEST (spec frisbee B3). here is the address that the
// request came to, where the bytes will be taken too.
func (s *Server) put(ctx context.Context, caller, here netip.Addr, req wire.PutRequest) wire.PutReply {
	reply, err := s.tryPut(ctx, caller, here, req)
	reply.Error = wire.MasterOK
	if err != nil {
		reply.Error = masterError(err)
		s.log.Warn("image upload refused", "node", caller.String(), "for", req.Host.String(), "image", req.ImageID,
			"status", req.Status, "bytes", req.FileBytes, "reply", reply.Error.Error(), "err", err)
	}
	return reply
}

// noPut is a reply that says nothing but its error.
func noPut() wire.PutReply { return wire.PutReply{Addr: netip.IPv4Unspecified()} }

func (s *Server) tryPut(ctx context.Context, caller, here netip.Addr, req wire.PutRequest) (wire.PutReply, error) {
	if s.uploads == nil {
		// The C server answers this with a reply that looks like success; what
		// it meant is this error.
		return noPut(), wire.MasterNotImpl
	}
	client, err := s.client(ctx, caller, req.Host)
	if err != nil {
		return noPut(), err
	}
	target, err := s.cfg.Uploads.Receiver.Target(ctx, client, req.ImageID)
	if err != nil {
		return noPut(), err
	}
	most := s.uploads.bytesMax(target)
	if req.FileBytes > uint64(most) {
		r := noPut()
		r.FileBytesMax = uint64(most)
		return r, fmt.Errorf("%w: %d bytes, at most %d may be uploaded", wire.MasterTooBig, req.FileBytes, most)
	}
	u := upload{
		target: target, client: client, caller: caller, bytes: int64(req.FileBytes), bytesMax: most,
		timeout: s.uploads.timeout(req.TimeoutS), mtime: s.mtime(req),
		marked: req.EndMark && req.FileBytes == 0,
	}
	if err := s.uploads.busy(&u, req.Status != 0); err != nil {
		return noPut(), err
	}
	// No upload goes on from here, but one may have ended since Target was
	// asked: an uploader that verifies must not be told of the version before.
	if u.target, err = s.cfg.Uploads.Receiver.Target(ctx, client, req.ImageID); err != nil {
		return noPut(), err
	}
	reply, err := present(u.target)
	if err != nil {
		return noPut(), err
	}
	reply.FileBytesMax = uint64(most)
	if req.Status != 0 {
		return reply, nil
	}
	at, err := s.uploads.start(ctx, here, u)
	if err != nil {
		return noPut(), err
	}
	reply.Addr, reply.Port, reply.EndMark = at.Addr(), at.Port(), u.marked
	return reply, nil
}

// present tells of the version that exists.
func present(target Target) (wire.PutReply, error) {
	reply := noPut()
	if target.Path == "" {
		return reply, nil
	}
	file, err := openImage(target.Path)
	if err != nil {
		if masterError(err) == wire.MasterNoImage {
			return reply, nil // registered, but the file is gone
		}
		return reply, err
	}
	defer file.Close()
	reply.Exists, reply.FileBytes = true, uint64(file.Size())
	reply.Signature = wire.MTimeSignature(uint32(file.MTime().Unix()))
	return reply, nil
}

// mtime is the time that the image will have; zero: that of its end.
func (s *Server) mtime(req wire.PutRequest) time.Time {
	if req.MTime == 0 {
		return time.Time{}
	}
	t, now := time.Unix(int64(req.MTime), 0), time.Now()
	if t.After(now.Add(mtimeAheadMax)) {
		s.log.Warn("image is from the future; its clock is wrong, the time of upload is used", "image", req.ImageID, "mtime", t)
		return time.Time{}
	}
	return t
}
