package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// TestSiteDisorder has datagrams come twice and out of order, as over several
// paths at once: what overtakes is no loss, so little is sent again.
func TestSiteDisorder(t *testing.T) {
	t.Parallel()
	const imageBytes = 4<<20 + 77
	for _, c := range []struct {
		twice, late, loss float64
		blocksMost        float64 // sent of each of the image, data and parity
		naks              bool    // in mode 2 what is missing is asked for by number of blocks
	}{
		{twice: 1, blocksMost: 1.2},
		{late: 0.02, blocksMost: 1.2},
		{late: 0.5, blocksMost: 1.2},
		{twice: 0.02, loss: 0.02, blocksMost: 2, naks: true},
		{twice: 0.5, late: 0.5, loss: 0.02, blocksMost: 2, naks: true},
	} {
		for _, mode2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v mode 2 %v", c, mode2), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, imageBytes)
					s.net.Twice, s.net.Late = c.twice, c.late
					ctx, cancel := context.WithCancel(s.ctx)
					srv, result := s.serve(ctx, s.mode2Server(4001))
					for n := range 4 {
						if mode2 {
							s.loadMode2(n, c.loss, c.loss, nil)
						} else {
							s.load(n, c.loss, nil)
						}
					}
					s.all.Wait()
					cancel()
					<-result
					st := srv.Stats()
					sent := float64(st.BlocksSent+st.ParitySent) / (imageBytes / 1024)
					if sent > c.blocksMost || mode2 && (st.Naks > 0) != c.naks {
						t.Errorf("%.3f blocks were sent for each, %d NAKs, want at most %.3f", sent, st.Naks, c.blocksMost)
					}
				})
			})
		}
	}
}
