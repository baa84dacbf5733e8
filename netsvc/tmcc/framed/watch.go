package framed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"hyzer/netsvc/tmc2"
)

// watchRetryMax is the longest pause before a watch that was lost is begun
// again.
const watchRetryMax = 2 * time.Minute

// notices is what a watch was told and has not passed on yet: of each kind the
// newest, since it says all that those before it said.
type notices struct{ config, reboot uint64 }

func (n *notices) take(payload []byte) error {
	told, err := tmc2.DecodeNotify(payload)
	switch {
	case err != nil:
		return err
	case told.Notice == tmc2.NoticeConfig:
		n.config = told.Generation
	case told.Notice == tmc2.NoticeReboot:
		n.reboot = told.Generation
	}
	return nil
}

// Watch calls changed when what the server tells the node of itself has
// changed, once at the beginning, and ordered when it orders the node to
// reboot, with the order's number. Both are called one after the other by the
// caller's goroutine. A watch that is lost is begun again, and says then what it
// missed. Watch returns at the end of ctx, or when the server does not offer
// watching: ErrLegacy, or an error with its refusal.
func (c *Client) Watch(ctx context.Context, changed func(), ordered func(order uint64)) error {
	known := notices{}
	for pause := c.retryPause(); ; pause = min(2*pause, watchRetryMax) {
		before := known
		wait, err := c.watch(ctx, &known, changed, ordered)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errRefused), errors.Is(err, ErrLegacy) && known == notices{}:
			return err // a server that has told something is stopping only
		case known != before:
			pause = c.retryPause()
		}
		// All nodes lose a server that restarts at the same time.
		if err := sleep(ctx, max(wait, pause/2+rand.N(pause))); err != nil {
			return err
		}
	}
}

// errRefused is a server that will not let the node watch.
var errRefused = errors.New("tmc2: watch refused")

// watch is one try. wait is how long the server wants to be left alone.
func (c *Client) watch(ctx context.Context, known *notices, changed func(), ordered func(uint64)) (wait time.Duration, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	r := c.request("watch", nil)
	r.ETag = known.config
	k, err := conn.open(r, tmc2.FlagEnd)
	if err != nil {
		return busyFor(err), err
	}
	defer k.abandon()
	for {
		told, status, err := k.told()
		if told.config != 0 && told.config != known.config {
			known.config = told.config
			changed()
		}
		if told.reboot != 0 && told.reboot != known.reboot {
			known.reboot = told.reboot
			ordered(told.reboot)
		}
		switch {
		case status != nil && status.Code >= tmc2.CodeBusy:
			return status.Retry, fmt.Errorf("tmc2: watch ended: %v", status.Code)
		case status != nil:
			return 0, fmt.Errorf("%w: %v", errRefused, status.Code)
		case err != nil:
			return busyFor(err), err
		}
		if err := k.wait(ctx); err != nil {
			return 0, err
		}
	}
}

func busyFor(err error) time.Duration {
	var busy *busyError
	if !errors.As(err, &busy) {
		return 0
	}
	return cmp.Or(busy.retry, retryPause)
}

func (k *call) told() (notices, *tmc2.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notices, k.status, k.err
}
