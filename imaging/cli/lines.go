package cli

import (
	"io"
	"sync"
)

// OneAtATime returns a writer to w for several goroutines: what is written in one
// piece stays in one piece.
func OneAtATime(w io.Writer) io.Writer { return &oneAtATime{w: w} }

type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}
