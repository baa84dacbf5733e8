package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hyzer/multicast/master"
	"hyzer/multicast/wire"
	"hyzer/netsvc/lifecycle/capture"
	"hyzer/storage/registry"
)

// openUploads returns how images are taken, or an empty configuration if they
// are not.
func (a *Appliance) openUploads() (master.UploadConfig, error) {
	f, m := a.cfg.Frisbee, a.cfg.Multicast
	if !f.Upload.On || f.Parent.IsValid() {
		return master.UploadConfig{}, nil
	}
	store := capture.New(a.cfg.imageDir(), a.reg)
	if err := store.Sweep(); err != nil {
		return master.UploadConfig{}, fmt.Errorf("frisbee: removing unfinished uploads of the last run: %w", err)
	}
	return master.UploadConfig{
		Receiver: receiver{store},
		PortBase: int(m.FirstPort), PortNum: int(m.LastPort) - int(m.FirstPort) + 1,
		BytesMax: f.Upload.BytesMax, Timeout: time.Duration(f.Upload.TimeoutSecs) * time.Second,
		Idle: time.Duration(f.Upload.IdleSecs) * time.Second, UploadsMax: f.Upload.AtOnceMax,
	}, nil
}

// receiver is the store of captured images as the master server sees it.
type receiver struct{ store *capture.Store }

// Target implements master.Receiver.
func (r receiver) Target(_ context.Context, client netip.Addr, id string) (master.Target, error) {
	grant, ref, err := r.allowed(client, id)
	if err != nil {
		return master.Target{}, err
	}
	return master.Target{ID: ref.Key(), Path: r.store.Present(ref), BytesMax: grant.Bytes}, nil
}

// Create implements master.Receiver.
func (r receiver) Create(_ context.Context, client netip.Addr, t master.Target) (master.Incoming, error) {
	grant, _, err := r.allowed(client, t.ID)
	if err != nil {
		return nil, err
	}
	return r.store.Create(grant)
}

func (r receiver) allowed(client netip.Addr, id string) (*registry.UploadGrant, registry.Ref, error) {
	ref, err := imageRef(id)
	if err != nil {
		return nil, ref, fmt.Errorf("%w: %w", err, wire.MasterFailed) // as a malformed name
	}
	grant, err := r.store.Allowed(client, ref)
	switch {
	case errors.Is(err, capture.ErrNoNode):
		err = fmt.Errorf("%w: %w", err, wire.MasterNoHost)
	case errors.Is(err, capture.ErrNoGrant):
		err = fmt.Errorf("%w: %w", err, wire.MasterNoAccess)
	}
	return grant, ref, err
}
