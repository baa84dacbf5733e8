package noderun

import (
	"context"

	"hyzer/netsvc/tmcc"
)

// Watcher is a Boss that says by itself when something has changed.
type Watcher interface {
	// Watch calls changed when what the node is told of itself differs, once
	// at the beginning, and ordered when the node is to reboot, with the
	// order's number. It returns when ctx ends, or if there is no watching.
	Watch(ctx context.Context, changed func(), ordered func(order uint64)) error
}

// Watch implements Watcher. Old servers and proxies offer none.
func (b client) Watch(ctx context.Context, changed func(), ordered func(order uint64)) error {
	c, err := tmcc.Framed(ctx, b.args(Call{Words: []string{"watch"}}), b.env)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Watch(ctx, changed, ordered)
}
