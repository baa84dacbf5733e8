package tmcd

import (
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// TestImageKey: the key of an image's sessions is for TLS only, and only where
// the site has keys, and only for who has proven who it is where that is wanted.
func TestImageKey(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	snapOf := func(value policy) *registry.Snapshot {
		site := goldenSite(t)
		for i := range site.Nodes {
			if site.Nodes[i].ID == "pc5" {
				site.Nodes[i].WideAreaKey = key
				site.Nodes[i].Attributes = map[string]string{AttributePolicy: policyText(value)}
			}
		}
		return registry.NewSnapshot(site)
	}
	var asked registry.Ref
	for _, c := range []struct {
		policy policy
		line   string
		key    string
		want   bool
	}{
		{policyLegacy, "127.0.1.5/tls VERSION=44 loadinfo ", "c0ffee", true},
		{policyLegacy, "127.0.1.5 VERSION=44 loadinfo ", "c0ffee", false},
		{policyLegacy, "127.0.1.5/tls VERSION=44 loadinfo ", "", false},
		{policySecrets, "127.0.1.5/tls VERSION=44 loadinfo ", "c0ffee", false},
		{policySecrets, "127.0.1.5/tls VERSION=44 PRIVKEY=" + key + " loadinfo ", "c0ffee", true},
	} {
		h := fixedHandler()
		h.ImageKey = func(ref registry.Ref) string { asked = ref; return c.key }
		reply, _ := configuredReply(t, h, snapOf(c.policy), c.line)
		if got := strings.Contains(reply, " MCASTKEY=c0ffee"); got != c.want || !strings.Contains(reply, "IMAGEID=") {
			t.Errorf("%s with key %q and policy %s: %s", c.line, c.key, c.policy, reply)
		}
	}
	if asked.Version == registry.Head || asked.Name == "" {
		t.Errorf("asked for the key of %v", asked)
	}
}
