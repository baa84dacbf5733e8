package zip

import (
	"bytes"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
)

// stage is one of those that work beside each other, and how many do.
type stage struct {
	name    string
	abreast int
	nanos   int64 // of CPU
}

// stopwatch counts the CPU time of its thread, and how much of it was another
// stage's.
type stopwatch struct {
	b      *testing.B
	stages []*stage
	inner  int64
}

func (w *stopwatch) now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		w.b.Fatal(err)
	}
	return t.Nano()
}

func (w *stopwatch) stage(name string, abreast int) *stage {
	s := &stage{name: name, abreast: abreast}
	w.stages = append(w.stages, s)
	return s
}

// run runs what is of a stage, but for the stages that it runs in turn.
func (w *stopwatch) run(s *stage, fn func() error) {
	before, start := w.inner, w.now()
	err := fn()
	took := w.now() - start
	s.nanos += took - (w.inner - before)
	w.inner = before + took
	if err != nil {
		w.b.Fatal(err)
	}
}

// report tells the share of each stage in all CPU time, and how many cores can be
// kept busy at most: as many as all stages take together in the time of the one
// that takes longest.
func (w *stopwatch) report() {
	var all, longest float64
	for _, s := range w.stages {
		all += float64(s.nanos)
		longest = max(longest, float64(s.nanos)/float64(s.abreast))
	}
	for _, s := range w.stages {
		w.b.ReportMetric(100*float64(s.nanos)/all, s.name+"-%")
	}
	w.b.ReportMetric(100*longest/all, "longest-%")
	w.b.ReportMetric(all/longest, "cores-busy-max")
}

// watched is a squeezer whose writes are a stage: it does at once what otherwise
// other goroutines do.
type watched struct {
	squeezer
	watch *stopwatch
	apart *stage
}

func (s watched) write(stream []byte, from, to int) error {
	s.watch.run(s.apart, func() error { return s.squeezer.write(stream, from, to) })
	return nil
}

// stagesDisk is the disk that HYZER_STAGES_DISK names, or one of noise and text.
func stagesDisk(b *testing.B) Source {
	if path := os.Getenv("HYZER_STAGES_DISK"); path != "" {
		src, closer, err := OpenSource(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { closer.Close() })
		return src
	}
	r := rand.New(rand.NewChaCha8([32]byte{5}))
	disk := make([]byte, 64<<20)
	for at := 0; at < len(disk); {
		n := min(len(disk)-at, 1+r.IntN(30))
		if from := at - r.IntN(1<<(1+r.IntN(21))); from >= 0 && from+n <= at {
			copy(disk[at:at+n], disk[from:])
		} else {
			for i := range n {
				disk[at+i] = byte(r.NormFloat64() * 30)
			}
		}
		at += n
	}
	return Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}
}

// BenchmarkStages makes V3 and V5 images on one goroutine, and says how the work
// is divided among the stages that are apart where there are cores for them.
func BenchmarkStages(b *testing.B) {
	src := stagesDisk(b)
	for _, c := range []struct {
		name  string
		bench func(*stopwatch, *output, *input)
	}{{"V3", stagesOld}, {"V5", stagesFive}} {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			opts := Options{Version: ndz.V3, Manifest: &manifest.Manifest{}, Raw: os.Getenv("HYZER_STAGES_DISK") == ""}
			if c.name == "V5" {
				opts.Version = ndz.V5
			}
			layout, err := Analyze(src, opts)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				w := &stopwatch{b: b}
				c.bench(w, newOutput(layout, io.Discard, opts), &input{src: src, layout: layout, align: 128})
				w.report()
			}
		})
	}
}

// units gives fn the units of data, each read by a worker.
func (in *input) units(f format, w *stopwatch, read *stage, fn func(*unit) error) error {
	press, err := f.press()
	if err != nil {
		return err
	}
	reader := &worker{in, press}
	var u unit
	for p := (planner{data: slices.Clone(in.layout.Data), align: in.align}); p.next(&u); {
		u.done = make(chan struct{})
		w.run(read, func() error { reader.run(&u); return u.err })
		if err := fn(&u); err != nil {
			return err
		}
	}
	return nil
}

func stagesOld(w *stopwatch, o *output, in *input) {
	p, err := newPacker(o)
	if err != nil {
		w.b.Fatal(err)
	}
	read, pack := w.stage("compress", 12), w.stage("pack", 1)
	err = in.units(p, w, read, func(u *unit) error {
		w.run(pack, func() error { return p.unit(u) })
		return nil
	})
	w.run(pack, p.finish)
	if err != nil {
		w.b.Fatal(err)
	}
}

func stagesFive(w *stopwatch, o *output, in *input) {
	head, err := headOf(in.layout, o.opts)
	if err != nil {
		w.b.Fatal(err)
	}
	p, err := newFive(in.layout, o.opts, head, divider{maphash.MakeSeed(), dedupBytes / sectorBytes}, 0)
	if err != nil {
		w.b.Fatal(err)
	}
	read, search, code := w.stage("read", lanesMax), w.stage("search", lanesMax), w.stage("code", lanesMax)
	seal, write := w.stage("seal", 1), w.stage("write", 1)
	p.squeeze = watched{p.squeeze, w, search}
	emit := func(m made) error {
		m.head.Index = o.stats.Chunks
		w.run(seal, func() error { m.buffer, err = m.head.Seal(m.buffer, m.payload); return err })
		w.run(write, func() error { return o.write(chunk{data: m.buffer, last: m.head.Last, dataEnd: m.dataEnd}) })
		return nil
	}
	for _, s := range in.segments(segmentBytes) {
		part := *in
		part.layout = &Layout{Data: s.data}
		w.run(code, func() error { p.restart(s.first, emit); return nil })
		err = part.units(p, w, read, func(u *unit) error {
			w.run(code, func() error { return p.unit(u) })
			return nil
		})
		w.run(code, func() error { return p.finish(s.end) })
		if err != nil {
			w.b.Fatal(err)
		}
	}
}
