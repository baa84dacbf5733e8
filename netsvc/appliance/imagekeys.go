package appliance

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"hyzer/multicast/wire"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// imageKeys makes the keys of multicast sessions out of one secret, so that a
// loader can be told the key of an image before a session of it runs, and
// sessions have the same one after a restart. Without a secret there are none.
type imageKeys struct{ secret []byte }

const imageSecretKey = "secret/images"

// openImageKeys reads the secret from the store, or puts one there.
func (a *Appliance) openImageKeys(ctx context.Context) error {
	if !a.cfg.Frisbee.SessionKeys {
		return nil
	}
	fresh := make([]byte, wire.KeyBytes)
	_, _ = rand.Read(fresh) // which never fails
	_, err := a.store.Update(ctx, func(tx kv.Tx) error {
		secret, err := tx.Get([]byte(imageSecretKey))
		if errors.Is(err, kv.ErrNotFound) {
			secret = fresh
			err = tx.Put([]byte(imageSecretKey), secret)
		}
		a.imageKeys.secret = append([]byte(nil), secret...)
		return err
	})
	if err == nil && len(a.imageKeys.secret) != wire.KeyBytes {
		err = fmt.Errorf("%d bytes, want %d", len(a.imageKeys.secret), wire.KeyBytes)
	}
	if err != nil {
		return fmt.Errorf("secret of the image sessions: %w", err)
	}
	return nil
}

// of returns the key of an image's sessions, by the name that the catalog gives
// a version.
func (k imageKeys) of(imageID string) *wire.Key {
	if len(k.secret) == 0 {
		return nil
	}
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte("image " + imageID))
	return (*wire.Key)(h.Sum(nil))
}

// text is the same for loaders.
func (k imageKeys) text(ref registry.Ref) string {
	key := k.of(ref.String())
	if key == nil {
		return ""
	}
	return hex.EncodeToString(key[:])
}
