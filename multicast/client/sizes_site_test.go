package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// TestSiteSizes: images that end at, before and after the end of a block or a
// chunk, old clients beside those of mode 2. The old client lost the last
// kilobyte of some.
func TestSiteSizes(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int{0, 1, 1023, 1024, 1025, 1<<20 - 1024, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 1024, 3 << 19, 2<<20 - 1, 2 << 20} {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, bytes)
				ctx, cancel := context.WithCancel(s.ctx)
				_, result := s.serve(ctx, s.mode2Server(4001))
				for n := range 2 {
					s.load(n, 0.05, nil)
					s.loadMode2(2+n, 0.05, 0.05, nil)
				}
				s.all.Wait()
				cancel()
				<-result
			})
		})
	}
}
