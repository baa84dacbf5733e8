package reboot

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"hyzer/storage/registry"
)

// Redfish speaks the DMTF Redfish API (DSP0266): the power of a node is its
// ComputerSystem, Power.Outlet is the system's id (default "1"), Power.Address
// the controller's base URL.
type Redfish struct {
	strict, insecure *http.Client
}

// NewRedfish makes the driver. Controllers are slow and few: one connection to
// each is kept.
func NewRedfish() *Redfish {
	return &Redfish{strict: redfishClient(false), insecure: redfishClient(true)}
}

func redfishClient(insecure bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxConnsPerHost:     2,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     redfishIdleMax, // a site has thousands of controllers
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: insecure},
	}}
}

// Close ends idle connections.
func (d *Redfish) Close() {
	d.strict.CloseIdleConnections()
	d.insecure.CloseIdleConnections()
}

const redfishIdleMax = 30 * time.Second

// redfishBytesMax bounds a controller's answer.
const redfishBytesMax = 1 << 20

// SetPower implements Driver by the Reset action.
func (d *Redfish) SetPower(ctx context.Context, target registry.Power, on bool) error {
	if is, err := d.IsOn(ctx, target); err == nil && is == on {
		return nil // controllers refuse what is already so
	}
	reset := map[bool]string{true: "On", false: "ForceOff"}[on]
	body, err := json.Marshal(map[string]string{"ResetType": reset})
	if err != nil {
		return err
	}
	_, err = d.call(ctx, target, http.MethodPost, "/Actions/ComputerSystem.Reset", body)
	return err
}

// IsOn implements Driver.
func (d *Redfish) IsOn(ctx context.Context, target registry.Power) (bool, error) {
	answer, err := d.call(ctx, target, http.MethodGet, "", nil)
	if err != nil {
		return false, err
	}
	var system struct{ PowerState string }
	if err := json.Unmarshal(answer, &system); err != nil {
		return false, fmt.Errorf("redfish %s: %w", target.Address, err)
	}
	switch system.PowerState {
	case "On", "PoweringOff":
		return true, nil
	case "Off", "PoweringOn":
		return false, nil
	}
	return false, fmt.Errorf("redfish %s: power state %.40q", target.Address, system.PowerState)
}

func (d *Redfish) call(ctx context.Context, target registry.Power, method, path string, body []byte) ([]byte, error) {
	system := target.Outlet
	if system == "" {
		system = "1"
	}
	address := strings.TrimSuffix(target.Address, "/") + "/redfish/v1/Systems/" + url.PathEscape(system) + path
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("redfish: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if err := authorize(req, target); err != nil {
		return nil, err
	}
	client := d.strict
	if target.Insecure {
		client = d.insecure
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("redfish: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, redfishBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("redfish %s: %w", address, err)
	}
	if len(answer) > redfishBytesMax {
		return nil, fmt.Errorf("redfish %s: answer is over %d bytes", address, redfishBytesMax)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("redfish %s %s: %s: %.200s", method, address, resp.Status, answer)
	}
	return answer, nil
}

func authorize(req *http.Request, target registry.Power) error {
	if target.User == "" {
		return nil
	}
	secret, err := os.ReadFile(target.SecretFile)
	if err != nil {
		return fmt.Errorf("redfish: password of %s: %w", target.User, err)
	}
	req.SetBasicAuth(target.User, strings.TrimSpace(string(secret)))
	return nil
}
