package client

import "time"

// Without a key anybody can say in the server's name that it sends another file
// now. That is believed when the server, asked for it, says nothing else.
const (
	doubtTime    = time.Second
	doubtReplies = 3
	// doubtAsk is how often the server is asked, doubtAsksMax how often in all:
	// one that does not answer has not changed its mind.
	doubtAsk     = 250 * time.Millisecond
	doubtAsksMax = 8
	// doubtRest is how long after a doubt that was dispelled the next may arise:
	// meanwhile blocks count again.
	doubtRest = time.Second
)

// doubt is whether the server still sends the file that is being loaded.
type doubt struct {
	err       error // what ends the load if it is true; nil: no doubt
	since     time.Time
	replies   int // that say so
	asked     int
	askAt     time.Time
	settledAt time.Time // when the last doubt was dispelled
}

// disagree takes err from a reply in the server's name. With a key the reply
// has a tag, and is true.
func (r *Reception) disagree(now time.Time, err error) {
	d := &r.doubt
	switch rest := d.settledAt.Add(doubtRest); {
	case r.cfg.Key != nil:
		r.fail(err)
		return
	case r.Received():
		return // nothing of it concerns us
	case !d.settledAt.IsZero() && now.Before(rest):
		d.askAt = rest
		return
	case d.err == nil:
		*d = doubt{since: now, askAt: now.Add(r.jitter(now)), settledAt: d.settledAt}
	}
	d.err = err
	if d.replies++; d.replies >= doubtReplies && now.Sub(d.since) >= doubtTime {
		r.fail(err)
	}
}

// agree is called when the server shows that it sends the same file.
func (r *Reception) agree(now time.Time) {
	if r.doubt.err != nil {
		r.doubt = doubt{settledAt: now}
	}
}

// doubtTick asks the server what it sends.
func (r *Reception) doubtTick(now time.Time) {
	d := &r.doubt
	if d.askAt.IsZero() || now.Before(d.askAt) {
		return
	}
	if d.asked++; d.asked > doubtAsksMax {
		r.agree(now)
		return
	}
	if d.askAt = now.Add(doubtAsk); d.err == nil {
		d.askAt, d.asked = time.Time{}, 0
	}
	r.stats.JoinAttempts++
	r.send(r.join2(now))
}
