package client

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hyzer/multicast/wire"
)

// spill keeps chunks that wait for a slow sink in a file, as they came over the
// network: compressed, and not yet restored. So they need no buffer, and what
// is sent meanwhile need not be thrown away.
type spill struct {
	file  *os.File
	free  []int // slots of ChunkBytes
	slots int
	write chan spilled // chunks to be put into their slots
	kept  chan spilled // that are there, or could not be
	back  chan spilled // for the workers, when they have nothing else
}

// spilled is a chunk with its place.
type spilled struct {
	work
	slot  int
	bytes int // of the chunk
	err   error
}

// spillShareDiv: a file of chunks takes that part of the free space at most.
// spillBytesMax bounds it where there is a lot.
const (
	spillShareDiv = 2
	spillBytesMax = 16 << 30
)

// spillRoom is how large such a file may become in a folder.
func spillRoom(dir string) (bytesMax int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	bytesMax = min(int64(st.Bavail)*st.Bsize/spillShareDiv, spillBytesMax)
	if bytesMax < wire.ChunkBytes {
		return 0, fmt.Errorf("%s has no room for a chunk of 1 MiB in half of what is free", dir)
	}
	return bytesMax, nil
}

// newSpill makes a file without a name, which goes when it is closed.
func newSpill(dir string, bytesMax int64, chunks int) (*spill, error) {
	n := int(bytesMax / wire.ChunkBytes)
	if dir == "" || n <= 0 {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, "frisbee-spill-")
	if err != nil {
		return nil, fmt.Errorf("making a file for chunks that wait for the disk: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	s := &spill{
		file: f, slots: n, write: make(chan spilled, chunks), kept: make(chan spilled, chunks), back: make(chan spilled, n),
	}
	for i := range n {
		s.free = append(s.free, n-1-i)
	}
	return s, nil
}

// take gives a chunk to the writer, if there is a slot.
func (s *spill) take(w work) bool {
	if s == nil || len(s.free) == 0 || len(s.write) == cap(s.write) {
		return false
	}
	slot := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.write <- spilled{work: w, slot: slot, bytes: len(w.chunk.Data)}
	return true
}

// run writes until there is nothing more to come.
func (s *spill) run(wake func()) {
	for c := range s.write {
		_, c.err = s.file.WriteAt(c.chunk.whole(), int64(c.slot)*wire.ChunkBytes)
		s.kept <- c // has room for all that can be under way
		wake()
	}
}

// read brings a chunk back into buf.
func (s *spill) read(c spilled, buf []byte) (work, error) {
	w := c.work
	w.chunk.Data = buf[:c.bytes]
	if _, err := s.file.ReadAt(w.chunk.whole(), int64(c.slot)*wire.ChunkBytes); err != nil {
		return w, fmt.Errorf("reading a chunk that waited for the disk: %w", err)
	}
	return w, nil
}

// whole is the data of a chunk up to the end of its last block.
func (c Chunk) whole() []byte {
	return c.Data[:(len(c.Data)+wire.BlockBytes-1)/wire.BlockBytes*wire.BlockBytes]
}

// keep lets go of the buffers of chunks that lie in the file by now.
func (s *shell) keep() {
	sp := s.pool.spill
	for sp != nil {
		select {
		case c := <-sp.kept:
			if c.err != nil { // the file system is full: no more
				s.log.Warn("chunks cannot wait in a file", "service", "frisbee", "err", c.err)
				sp.free = nil
				s.pool.work <- c.work // has room for all buffers
				continue
			}
			s.r.Stored(c.chunk)
			s.spills++
			c.chunk.Data = nil
			sp.back <- c // has room for all slots
		default:
			return
		}
	}
}
