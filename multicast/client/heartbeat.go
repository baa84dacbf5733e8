package client

import (
	"time"

	"hyzer/multicast/wire"
)

// Bounds of what a server may ask for in reports (spec frisbee A5, A7).
const (
	reportEveryMax = 3600 * time.Second
	reportEveryMin = time.Second
	reportDelayMax = 5 * time.Second // spreads the first reports of all nodes
)

// heartbeat is the state of the periodic reports.
type heartbeat struct {
	every  time.Duration // 0: not asked for
	dueAt  time.Time
	lastAt time.Time
	seq    uint16
	what   uint16
}

// beatRequest takes the server's wish for reports.
func (r *Reception) beatRequest(now time.Time, body []byte) {
	var m wire.Progress
	if !r.cfg.Heartbeat || wire.ParseProgress(&m, wire.Request, body) != nil {
		return
	}
	if m.ClientID != r.cfg.ID && m.ClientID != 0 {
		return
	}
	r.beat.what = m.What
	if m.When == 0 { // once, now
		r.beat.every, r.beat.dueAt = 0, later(now, r.beat.lastAt.Add(reportEveryMin))
		return
	}
	every := min(time.Duration(m.When)*time.Second, reportEveryMax)
	if r.beat.every == 0 {
		first := min(every, reportDelayMax)
		r.beat.dueAt = now.Add(time.Duration(r.cfg.Rand.Int64N(int64(first))))
	}
	r.beat.every = every
}

// beatTick sends a report when one is due.
func (r *Reception) beatTick(now time.Time) {
	if r.beat.dueAt.IsZero() || now.Before(r.beat.dueAt) {
		return
	}
	r.beat.dueAt, r.beat.lastAt = time.Time{}, now
	if r.beat.every > 0 {
		r.beat.dueAt = now.Add(r.beat.every)
	}
	r.beat.seq++
	who := r.src
	if r.cfg.ReportFor.Is4() {
		who = r.cfg.ReportFor.As4()
	}
	m := wire.Progress{
		ClientID: r.cfg.ID, Who: who, When: uint32(now.Unix()), What: r.beat.what, Seq: r.beat.seq,
		Summary: wire.Summary{ChunksIn: uint32(r.done.count), ChunksOut: uint32(r.out), BytesOut: r.stats.EffectiveBytes},
	}
	if r.beat.what&wire.WhatStats != 0 {
		m.Stats = r.Stats(now)
	}
	r.sends = append(r.sends, Outgoing{Datagram: m.Append(nil, wire.Reply, r.src), ToServer: true})
}
