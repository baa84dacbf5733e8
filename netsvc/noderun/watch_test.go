package noderun

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/tmcc/framed"
	"hyzer/storage/registry"
)

// watchingBoss is a fakeBoss that offers to watch.
type watchingBoss struct {
	fakeBoss
	watch func(ctx context.Context, to framed.Notices) error
}

func (b *watchingBoss) Watch(ctx context.Context, to framed.Notices) error { return b.watch(ctx, to) }

// TestChangesAreAskedForAtOnce: a notice brings forward what the intervals
// would ask later, and nothing else; without one the intervals stand.
func TestChangesAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	v := testVitals(t)
	for _, c := range []struct {
		name, info string
		told       bool
		hastened   []string
	}{
		{"both", "INTERVAL=10000 ISALIVE=10000 RUSAGE=10000 JITTER=1\n", true, []string{"watchdoginfo", "isalive"}},
		{"no isalive", "INTERVAL=10000 RUSAGE=10000 NTPDRIFT=10000 JITTER=1\n", true, []string{"watchdoginfo", "rusage"}},
		{"watchdog off", "", true, []string{"watchdoginfo"}},
		{"no notice", "INTERVAL=10000 ISALIVE=10000 JITTER=1\n", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var hastened []string
				boss := &watchingBoss{}
				boss.answer = func(_ int, call Call) (string, error) {
					if at := time.Since(begin); at > time.Minute {
						hastened = append(hastened, call.Words[0])
						if at < 1000*time.Second || at > 1000*time.Second+noticeSpread {
							t.Errorf("%s at %s", call, at)
						}
					}
					return answers(c.info)(0, call)
				}
				boss.watch = func(ctx context.Context, to framed.Notices) error {
					_ = pause(ctx, 1000*time.Second)
					if c.told && ctx.Err() == nil {
						to.Changed()
						to.Changed() // two notices are one errand
					}
					<-ctx.Done()
					return context.Cause(ctx)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2000*time.Second)
				defer cancel()
				(&watchdog{boss: boss, vitals: v, notes: io.Discard}).run(ctx)
				if !slices.Equal(hastened, c.hastened) {
					t.Errorf("asked %q, want %q", hastened, c.hastened)
				}
			})
		})
	}
}

// TestWatchNotOffered: an appliance that offers no watch is asked for one
// again each hour.
func TestWatchNotOffered(t *testing.T) {
	t.Parallel()
	v := testVitals(t)
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		boss := &watchingBoss{watch: func(context.Context, framed.Notices) error {
			tries++
			return errors.New("not offered")
		}}
		boss.answer = answers("INTERVAL=3600\n")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour+time.Minute)
		defer cancel()
		(&watchdog{boss: boss, vitals: v, notes: io.Discard}).run(ctx)
		if tries != 4 {
			t.Errorf("asked for a watch %d times in three hours", tries)
		}
	})
}

// TestWatchWholePath hears of a change from the real server.
func TestWatchWholePath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	times := 0
	err := newClient(s.env, "", "").Watch(ctx, framed.Notices{Changed: func() {
		if times++; times == 2 {
			cancel()
			return
		}
		_, err := s.reg.Update(ctx, func(tx *registry.Tx) error {
			return registry.Put(tx, &registry.Runtime{Node: "n1", StartupCmd: "/bin/true"})
		})
		if err != nil {
			t.Error(err)
		}
	}})
	if times != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("told %d times, %v", times, err)
	}
	proxied := newClient(s.env, "", "/nowhere.sock")
	if err := proxied.Watch(t.Context(), framed.Notices{}); err == nil {
		t.Error("watched over a proxy")
	}
}
