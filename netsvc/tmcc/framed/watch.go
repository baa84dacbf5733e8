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

// Notices are what a watch passes on, one after the other, in the caller's
// goroutine. What is nil is not passed on.
type Notices struct {
	// Changed: what the server tells the node of itself differs; also once at
	// the beginning.
	Changed func()
	// Ordered: the node is to reboot, by the order of this number.
	Ordered func(order uint64)
	// LogWanted: somebody wants the node's boot log. Each wish has a number.
	LogWanted func(wish uint64)
}

// notices is what a watch was told and has not passed on yet: of each kind the
// newest, since it says all that those before it said.
type notices struct{ config, reboot, log uint64 }

func (n *notices) take(payload []byte) error {
	told, err := tmc2.DecodeNotify(payload)
	switch {
	case err != nil:
		return err
	case told.Notice == tmc2.NoticeConfig:
		n.config = told.Generation
	case told.Notice == tmc2.NoticeReboot:
		n.reboot = told.Generation
	case told.Notice == tmc2.NoticeLog:
		n.log = told.Generation
	}
	return nil
}

// pass passes on what the caller has not heard.
func (n *notices) pass(told notices, to *Notices) {
	if told.config != 0 && told.config != n.config && to.Changed != nil {
		to.Changed()
	}
	if told.reboot != 0 && told.reboot != n.reboot && to.Ordered != nil {
		to.Ordered(told.reboot)
	}
	if told.log != 0 && told.log != n.log && to.LogWanted != nil {
		to.LogWanted(told.log)
	}
	n.config, n.reboot, n.log = cmp.Or(told.config, n.config), cmp.Or(told.reboot, n.reboot), cmp.Or(told.log, n.log)
}

// Watch passes on what the server says unasked. A watch that is lost is begun
// again, and says then what it missed, but for wishes for the log. Watch returns
// at the end of ctx, or when the server does not offer watching: ErrLegacy, or
// an error with its refusal.
func (c *Client) Watch(ctx context.Context, to Notices) error {
	known := notices{}
	for pause := c.retryPause(); ; pause = min(2*pause, watchRetryMax) {
		before := known
		wait, err := c.watch(ctx, &known, &to)
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
func (c *Client) watch(ctx context.Context, known *notices, to *Notices) (wait time.Duration, err error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	r := c.request("watch", nil)
	r.ETag = known.config
	k, err := c.open(conn, r, tmc2.FlagEnd)
	if err != nil {
		return busyFor(err), err
	}
	defer k.abandon()
	for {
		told, status, err := k.told()
		known.pass(told, to)
		switch {
		case status != nil && c.shows(r, status.Code):
			return 0, fmt.Errorf("tmc2: watch ended: %v", status.Code)
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
