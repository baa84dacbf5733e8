package reboot

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"hyzer/storage/registry"
)

// Exec runs the operator's command, Power.Address, with the arguments "on",
// "off" or "status" and the outlet. For status it prints "on" or "off". There
// is no shell between.
type Exec struct{}

// SetPower implements Driver.
func (Exec) SetPower(ctx context.Context, target registry.Power, on bool) error {
	_, err := run(ctx, target, map[bool]string{true: "on", false: "off"}[on])
	return err
}

// IsOn implements Driver.
func (Exec) IsOn(ctx context.Context, target registry.Power) (bool, error) {
	out, err := run(ctx, target, "status")
	if err != nil {
		return false, err
	}
	switch state := strings.TrimSpace(out); state {
	case "on":
		return true, nil
	case "off":
		return false, nil
	default:
		return false, fmt.Errorf("%s status %s: printed %.40q, want on or off", target.Address, target.Outlet, state)
	}
}

func run(ctx context.Context, target registry.Power, verb string) (string, error) {
	cmd := exec.CommandContext(ctx, target.Address, verb, target.Outlet)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s %s: %w: %.200s", target.Address, verb, target.Outlet, err, errs.String())
	}
	return out.String(), nil
}
