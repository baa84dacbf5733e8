package appliance

import (
	"encoding/hex"
	"testing"

	"hyzer/storage/registry"
)

// TestImageKeys: keys are the same after a restart, for loaders and for
// sessions, and another for each version; without the setting there are none.
func TestImageKeys(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	ref := registry.Ref{Project: "p", Name: "image", Version: 3}
	open := func(on bool) (loader string, session [32]byte) {
		cfg.Frisbee.SessionKeys = on
		a, stop := runs(t, cfg)
		if key := a.imageKeys.of(ref.String()); key != nil {
			session = *key
		}
		loader = a.imageKeys.text(ref)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		return loader, session
	}
	loader, session := open(true)
	if hex.EncodeToString(session[:]) != loader || session == [32]byte{} {
		t.Errorf("loaders get %s, sessions %x", loader, session)
	}
	if again, _ := open(true); again != loader {
		t.Errorf("after a restart %s, before %s", again, loader)
	}
	if none, key := open(false); none != "" || key != [32]byte{} {
		t.Errorf("turned off: %s, %x", none, key)
	}
	k := imageKeys{make([]byte, 32)}
	if other := (registry.Ref{Project: "p", Name: "image", Version: 4}); k.text(other) == k.text(ref) {
		t.Error("two versions have one key")
	}
}
