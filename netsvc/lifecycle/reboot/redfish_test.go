package reboot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/storage/registry"
)

// controller is a management controller with one system, "1".
type controller struct {
	mu     sync.Mutex
	power  string
	resets []string
	broken http.HandlerFunc // nil: none
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		c.broken(w, r)
		return
	}
	user, password, _ := r.BasicAuth()
	switch {
	case user != "admin" || password != "secret":
		http.Error(w, "who are you", http.StatusUnauthorized)
	case r.Method == http.MethodGet && r.URL.Path == "/redfish/v1/Systems/1":
		fmt.Fprintf(w, `{"@odata.id": "x", "PowerState": %q}`, c.power)
	case r.Method == http.MethodPost && r.URL.Path == "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset":
		var body struct{ ResetType string }
		json.NewDecoder(r.Body).Decode(&body)
		c.resets = append(c.resets, body.ResetType)
		c.power = map[string]string{"On": "On", "ForceOff": "Off"}[body.ResetType]
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func redfishBench(t *testing.T, c *controller) (*reboot.Redfish, registry.Power) {
	t.Helper()
	server := httptest.NewTLSServer(c)
	t.Cleanup(server.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	driver := reboot.NewRedfish()
	t.Cleanup(driver.Close)
	return driver, registry.Power{Driver: "redfish", Address: server.URL + "/", User: "admin", SecretFile: secret, Insecure: true}
}

func TestRedfish(t *testing.T) {
	t.Parallel()
	c := &controller{power: "On"}
	driver, target := redfishBench(t, c)
	for _, on := range []bool{true, false, false, true} {
		if err := driver.SetPower(t.Context(), target, on); err != nil {
			t.Fatal(err)
		}
		if is, err := driver.IsOn(t.Context(), target); err != nil || is != on {
			t.Errorf("power on=%t, error %v, want %t", is, err, on)
		}
	}
	if got := strings.Join(c.resets, " "); got != "ForceOff On" {
		t.Errorf("resets %q: what is already so is not ordered", got)
	}
}

// TestRedfishMisbehaves: each answer of a broken controller is an error that
// names it, within the time it was given and without keeping much.
func TestRedfishMisbehaves(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		name   string
		broken http.HandlerFunc
		want   string
	}{
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }, "503 Service Unavailable: busy"},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>login</html>") }, "invalid character"},
		{"empty", func(http.ResponseWriter, *http.Request) {}, "unexpected end of JSON"},
		{"unknown state", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"PowerState":"Perhaps"}`) }, `power state "Perhaps"`},
		{"no state", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, `power state ""`},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 << 10 {
				w.Write(make([]byte, 1<<10))
			}
		}, "over 1048576 bytes"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "unexpected EOF"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "context deadline exceeded"},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			driver, target := redfishBench(t, &controller{broken: m.broken})
			ctx := t.Context()
			if m.name == "slow" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			_, err := driver.IsOn(ctx, target)
			if err == nil || !strings.Contains(err.Error(), m.want) {
				t.Errorf("error %v, want %q", err, m.want)
			}
			if len(fmt.Sprint(err)) > 600 {
				t.Errorf("error of %d bytes", len(fmt.Sprint(err)))
			}
		})
	}
}

func TestRedfishRefuses(t *testing.T) {
	t.Parallel()
	driver, target := redfishBench(t, &controller{power: "On"})
	strict, anonymous, lost := target, target, target
	strict.Insecure, anonymous.User, lost.SecretFile = false, "", "/none/such"
	for name, c := range map[string]struct {
		target registry.Power
		want   string
	}{"certificate": {strict, "certificate"}, "no user": {anonymous, "401"}, "no secret": {lost, "password of admin"}} {
		if _, err := driver.IsOn(t.Context(), c.target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// TestRedfishLeavesNothing: after many calls to broken controllers and Close,
// no goroutine of the driver is left.
func TestRedfishLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		server := httptest.NewServer(&controller{power: "On"})
		driver := reboot.NewRedfish()
		driver.IsOn(t.Context(), registry.Power{Address: server.URL})
		driver.SetPower(t.Context(), registry.Power{Address: server.URL}, true)
		driver.Close()
		server.Close()
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}
