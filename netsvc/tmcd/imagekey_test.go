package tmcd

import (
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// TestImageKey: the key of an image's sessions is for TLS only, and only where
// the site has keys.
func TestImageKey(t *testing.T) {
	t.Parallel()
	snap := registry.NewSnapshot(goldenSite(t))
	var asked registry.Ref
	for _, c := range []struct {
		line string
		key  string
		want bool
	}{
		{"127.0.1.5/tls VERSION=44 loadinfo ", "c0ffee", true},
		{"127.0.1.5 VERSION=44 loadinfo ", "c0ffee", false},
		{"127.0.1.5/tls VERSION=44 loadinfo ", "", false},
	} {
		h := fixedHandler()
		h.ImageKey = func(ref registry.Ref) string { asked = ref; return c.key }
		reply, _ := configuredReply(t, h, snap, c.line)
		if got := strings.Contains(reply, " MCASTKEY=c0ffee"); got != c.want || !strings.Contains(reply, "IMAGEID=") {
			t.Errorf("%s with key %q: %s", c.line, c.key, reply)
		}
	}
	if asked.Version == registry.Head || asked.Name == "" {
		t.Errorf("asked for the key of %v", asked)
	}
}
