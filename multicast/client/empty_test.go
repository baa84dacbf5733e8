package client_test

import (
	"context"
	"errors"
	"testing"

	"hyzer/multicast/client"
	"hyzer/multicast/server"
)

// TestLoopbackEmpty sends an empty file: as a file it arrives, as an image it
// is none.
func TestLoopbackEmpty(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{true, false} {
		path, _ := imageFile(t, 0)
		image, err := server.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.Open(server.Config{Image: image, Address: group(t), Iface: serverAddr, ShareHost: true, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		sink := &memory{}
		r, err := client.Run(ctx, client.Config{
			Address: s.Address(), Iface: serverAddr, ShareHost: true, Raw: raw, Sink: client.RawSink{W: sink}, Log: quiet,
		})
		if raw && (err != nil || r.FileBytes != 0 || len(sink.data) != 0) {
			t.Errorf("as a file: %+v, %d bytes, %v", r, len(sink.data), err)
		}
		if !raw && !errors.Is(err, client.ErrWrongPeer) {
			t.Errorf("as an image: %v", err)
		}
		cancel()
		<-ended
	}
}
