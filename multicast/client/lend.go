package client

import "time"

// Chunks that are fetched by another way than the session are lent: they have
// a buffer, and nothing that passes is stored for them.

// blocks returns how many blocks passed, and how many were of use.
func (r *Reception) blocks() (heard, used uint64) { return r.heard, r.used }

// Begin starts without the session, with the size that is known another way.
func (r *Reception) Begin(now time.Time, fileBytes int64) {
	if !r.joined {
		r.begin(now, fileBytes)
	}
}

// Lend returns a chunk to be fetched by another way, and a buffer for it: one
// that nobody asked for, from the far end of the file, or else the one under
// way that lacks most. Each is given back with Return.
func (r *Reception) Lend(now time.Time) (chunk int, data []byte, ok bool) {
	if !r.joined || r.err != nil {
		return 0, nil, false
	}
	if len(r.fills)+r.busy+len(r.lent) < r.cfg.Buffers {
		if chunk = r.taken.absentDown(r.taken.size - 1); chunk >= 0 {
			r.taken.add(chunk)
			r.lent[chunk] = true
			return chunk, r.buffer(r.geo.ChunkLen(chunk)), true
		}
	}
	var most *fill
	for _, f := range r.inOrderOfRequest() {
		if most == nil || f.need() > most.need() {
			most = f
		}
	}
	if most == nil {
		return 0, nil, false
	}
	r.drop(most)
	r.lent[most.chunk] = true
	if most.data == nil {
		most.data = r.buffer(r.geo.ChunkLen(most.chunk))
	}
	return most.chunk, most.data, true
}

// drop forgets what came of a chunk.
func (r *Reception) drop(f *fill) {
	delete(r.fills, f.chunk)
	if r.cur == f {
		r.cur = nil
	}
}

// Return takes back a chunk that was lent, complete or as it was.
func (r *Reception) Return(now time.Time, chunk int, data []byte, complete bool) {
	delete(r.lent, chunk)
	if !complete {
		r.idle = append(r.idle, data[:cap(data)])
		r.taken.remove(chunk)
		return
	}
	r.done.add(chunk)
	r.busy++
	r.silentFrom = now
	r.ready = append(r.ready, Chunk{Index: chunk, Data: data})
}
