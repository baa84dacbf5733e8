package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// Sizes of what is sent, in octets of UDP payload.
const (
	// replyBytesMin is the BOOTP frame that old clients wait for (RFC 951 §3).
	replyBytesMin = 300
	// ipUDPBytes is what option 57 and the MTU count beside the message.
	ipUDPBytes = 28
	// datagramBytesMin is the IP datagram every client takes (RFC 2131 §2).
	datagramBytesMin = 576
	// datagramBytesMax bounds a reply whatever the client and the MTU say.
	datagramBytesMax = 1500
	// replyBytesMax is the capacity a reply buffer needs.
	replyBytesMax = datagramBytesMax - ipUDPBytes
	// optionBytesMax is the longest data of one fragment (RFC 3396).
	optionBytesMax = 255
)

// replyLimit is the longest reply to p in octets of UDP payload: what option
// 57 allows, at least 548, at most what the ingress link carries. The relay
// removes option 82 before the client sees the message, so it rides on top.
func replyLimit(p *Packet, mtuBytes int) int {
	datagram := datagramBytesMin
	if v, ok := p.Option(OptMaxMessageSize); ok && len(v) == 2 {
		datagram = max(datagram, int(binary.BigEndian.Uint16(v)))
	}
	if v, ok := p.Option(OptRelayAgent); ok {
		datagram += encodedBytes(len(v))
	}
	link := datagramBytesMax
	if mtuBytes > 0 {
		link = min(link, mtuBytes)
	}
	return min(datagram, max(link, datagramBytesMin)) - ipUDPBytes
}

// encodedBytes is the room data of that length takes, codes, lengths and RFC
// 3396 splits included.
func encodedBytes(length int) int {
	return length + 2*max(1, (length+optionBytesMax-1)/optionBytesMax)
}

// replyWriter appends one reply to a buffer. Options are written once each, in
// the order of the calls; one that does not fit is left out. Room for option
// 82 and END is kept from the start.
type replyWriter struct {
	buf     []byte
	start   int // of the message in buf
	end     int // options may be written up to here
	written [4]uint64
}

// newReplyWriter appends the header of a reply to p: xid, htype, hlen, flags,
// giaddr and chaddr are copied (RFC 2131 §4.3.1, table 3), the rest is zero.
func newReplyWriter(dst []byte, p *Packet, limitBytes int) replyWriter {
	w := replyWriter{buf: dst, start: len(dst)}
	w.end = w.start + limitBytes - 1
	if v, ok := p.Option(OptRelayAgent); ok {
		w.end -= encodedBytes(len(v))
	}
	var header [optionsOffset]byte
	copy(header[:], p.data[:headerBytes])
	header[0] = opBootReply
	header[3] = 0                                     // hops
	clear(header[8:10])                               // secs
	clear(header[12:24])                              // ciaddr, yiaddr, siaddr
	clear(header[snameOffset : fileOffset+fileBytes]) // not the client's options
	binary.BigEndian.PutUint32(header[headerBytes:], magicCookie)
	w.buf = append(w.buf, header[:]...)
	return w
}

func (w *replyWriter) header() []byte { return w.buf[w.start:] }

func (w *replyWriter) setAddr(offset int, a netip.Addr) {
	if a.Is4() {
		octets := a.As4()
		copy(w.header()[offset:], octets[:])
	}
}

func (w *replyWriter) setCIAddr(a netip.Addr) { w.setAddr(12, a) }
func (w *replyWriter) setYIAddr(a netip.Addr) { w.setAddr(16, a) }
func (w *replyWriter) setSIAddr(a netip.Addr) { w.setAddr(20, a) }

func (w *replyWriter) setBroadcast() { w.header()[10] |= flagBroadcast >> 8 }

// setText fills a NUL-terminated header field and reports whether s fits.
func (w *replyWriter) setText(offset, size int, s string) bool {
	if len(s) >= size {
		return false
	}
	copy(w.header()[offset:offset+size], s)
	return true
}

func (w *replyWriter) has(code uint8) bool { return w.written[code/64]&(1<<(code%64)) != 0 }

// room reports whether an option of that code and length may be written now.
func (w *replyWriter) room(code uint8, length int) bool {
	return !w.has(code) && len(w.buf)+encodedBytes(length) <= w.end
}

// option writes data, in RFC 3396 fragments if it is over 255 octets. It
// reports whether there was room.
func (w *replyWriter) option(code uint8, data []byte) bool {
	if !w.room(code, len(data)) {
		return false
	}
	w.written[code/64] |= 1 << (code % 64)
	w.fragments(code, data)
	return true
}

func (w *replyWriter) fragments(code uint8, data []byte) {
	for {
		n := min(len(data), optionBytesMax)
		w.buf = append(w.buf, code, uint8(n))
		w.buf = append(w.buf, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

func (w *replyWriter) byteOption(code, value uint8) { w.option(code, []byte{value}) }

func (w *replyWriter) secondsOption(code uint8, seconds uint32) {
	w.option(code, binary.BigEndian.AppendUint32(make([]byte, 0, 4), seconds))
}

func (w *replyWriter) addrOption(code uint8, addrs ...netip.Addr) {
	if len(addrs) == 0 || !w.room(code, 4*len(addrs)) {
		return
	}
	w.written[code/64] |= 1 << (code % 64)
	if len(addrs) > addrsPerOptionMax {
		addrs = addrs[:addrsPerOptionMax]
	}
	w.buf = append(w.buf, code, uint8(4*len(addrs)))
	for _, a := range addrs {
		octets := a.As4()
		w.buf = append(w.buf, octets[:]...)
	}
}

// addrsPerOptionMax is how many addresses one fragment holds.
const addrsPerOptionMax = optionBytesMax / 4

// textOption writes a string, with NUL after it if asked. An empty string is
// no option.
func (w *replyWriter) textOption(code uint8, s string, nul bool) {
	length := len(s)
	if nul {
		length++
	}
	if s == "" || !w.room(code, length) {
		return
	}
	if length <= optionBytesMax {
		w.written[code/64] |= 1 << (code % 64)
		w.buf = append(w.buf, code, uint8(length))
		w.buf = append(w.buf, s...)
		if nul {
			w.buf = append(w.buf, 0)
		}
		return
	}
	data := append(make([]byte, 0, length), s...)
	w.option(code, data[:length])
}

// echo repeats an option of the request as it came.
func (w *replyWriter) echo(p *Packet, code uint8) {
	if v, ok := p.Option(code); ok {
		w.option(code, v)
	}
}

// finish writes option 82 as it was received (RFC 3046 §2.2), END, and zeroes
// up to 300 octets, and returns the whole buffer.
func (w *replyWriter) finish(p *Packet) []byte {
	if v, ok := p.Option(OptRelayAgent); ok {
		w.fragments(OptRelayAgent, v)
	}
	w.buf = append(w.buf, OptEnd)
	for len(w.buf)-w.start < replyBytesMin {
		w.buf = append(w.buf, 0)
	}
	return w.buf
}
