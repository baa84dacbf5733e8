package reboot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hyzer/storage/registry"
)

// Driver switches the power of nodes.
type Driver interface {
	// SetPower turns the outlet on or off, and returns when the controller
	// has accepted that. Setting what is already so is no error.
	SetPower(ctx context.Context, target registry.Power, on bool) error
	// IsOn reads the outlet's state.
	IsOn(ctx context.Context, target registry.Power) (bool, error)
}

// Times of power switching.
const (
	powerCallTimeout   = 20 * time.Second // one call to a controller
	powerVerifyTimeout = 30 * time.Second // until the controller shows the new state
	powerPollMin       = 50 * time.Millisecond
	powerPollMax       = 2 * time.Second
)

var errNoPower = errors.New("no power control is configured; set power in the node's record")

// setPower switches and then reads back: controllers have been seen to accept
// an order and forget it.
func (l *Ladder) setPower(ctx context.Context, node *registry.Node, on bool) error {
	driver := l.cfg.Drivers[node.Power.Driver]
	if node.Power.Driver == "" {
		return errNoPower
	}
	if driver == nil {
		return fmt.Errorf("power driver %q is not known", node.Power.Driver)
	}
	call, cancel := context.WithTimeout(ctx, powerCallTimeout)
	err := driver.SetPower(call, node.Power, on)
	cancel()
	if err != nil {
		return err
	}
	return verifyPower(ctx, driver, node.Power, on)
}

func verifyPower(ctx context.Context, driver Driver, target registry.Power, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, powerVerifyTimeout)
	defer cancel()
	for wait := powerPollMin; ; wait = min(2*wait, powerPollMax) {
		is, err := driver.IsOn(ctx, target)
		if err == nil && is == on {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			if err == nil {
				err = fmt.Errorf("controller accepted the order but still shows power on=%v", is)
			}
			return err
		}
	}
}
