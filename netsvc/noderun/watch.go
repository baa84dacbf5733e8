package noderun

import (
	"context"

	"hyzer/netsvc/tmcc"
	"hyzer/netsvc/tmcc/framed"
)

// Watcher is a Boss that says by itself when something has changed.
type Watcher interface {
	// Watch passes on what the appliance says unasked. It returns when ctx
	// ends, or if there is no watching.
	Watch(ctx context.Context, to framed.Notices) error
}

// Watch implements Watcher. Old servers and proxies offer none.
func (b client) Watch(ctx context.Context, to framed.Notices) error {
	c, err := tmcc.Framed(ctx, b.args(Call{Words: []string{"watch"}}), b.env)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Watch(ctx, to)
}
