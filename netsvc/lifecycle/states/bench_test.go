package states

import (
	"testing"
	"time"
)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(stockJSON); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookups(b *testing.B) {
	tables := Stock()
	b.ReportAllocs()
	for b.Loop() {
		tables.Valid("NORMALv2", "ISUP", "SHUTDOWN")
		tables.Timeout("NORMALv2", "BOOTING", "d820")
		tables.GlobalTriggers("NORMALv2", "ISUP")
		tables.ModeExit("NORMALv2", "SHUTDOWN", "RELOAD")
	}
}

// BenchmarkStep is one event of an ordinary boot: five per cycle.
func BenchmarkStep(b *testing.B) {
	benchBoot(b, func(_ []Effect, n Node, ev Event, now time.Time) (Node, []Effect) {
		return Step(Stock(), n, ev, now)
	})
}

// BenchmarkAppendStep is BenchmarkStep with the effects' slice used again.
func BenchmarkAppendStep(b *testing.B) {
	benchBoot(b, func(buf []Effect, n Node, ev Event, now time.Time) (Node, []Effect) {
		return AppendStep(buf[:0], Stock(), n, ev, now)
	})
}

func benchBoot(b *testing.B, step func([]Effect, Node, Event, time.Time) (Node, []Effect)) {
	n := Node{Mode: ModeNormalV2, State: StateISUP, Default: catalogue["STD"], Running: catalogue["STD"]}
	boot := [...]Event{
		Report(SourceReboot, StateShutdown), Report(SourceBootinfo, StatePXEBooting),
		Report(SourceBootinfo, StateBooting), Report(SourceClient, StateTBSetup),
		Report(SourceClient, StateISUP),
	}
	var effects []Effect
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n, effects = step(effects, n, boot[i%len(boot)], epoch)
	}
	if n.Seq == 0 {
		b.Fatal("no step was logged")
	}
}
