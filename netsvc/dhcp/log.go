package dhcp

import (
	"log/slog"
	"strconv"
)

// loggedBytesMax is how much of a client's text goes into a log line.
const loggedBytesMax = 64

// sanitize makes text from the wire fit for a log: quoted ASCII, bounded. A log
// formatter reads hostile input as the parser does.
func sanitize(b []byte) string {
	cut := b[:min(len(b), loggedBytesMax)]
	text := strconv.QuoteToASCII(string(cut))
	if len(cut) < len(b) {
		text += "+" + strconv.Itoa(len(b)-len(cut))
	}
	return text
}

// LogValue describes the message in a few bounded, printable fields. It is
// made for messages that Parse accepted.
func (p *Packet) LogValue() slog.Value {
	client, _ := p.Client()
	attrs := []slog.Attr{
		slog.String("type", p.Type().String()),
		slog.String("mac", client.String()),
		slog.Uint64("xid", uint64(p.XID())),
		slog.Uint64("secs", uint64(p.Secs())),
	}
	if p.Flags()&flagBroadcast != 0 {
		attrs = append(attrs, slog.Bool("broadcast", true))
	}
	if a := p.CIAddr(); !a.IsUnspecified() {
		attrs = append(attrs, slog.String("ciaddr", a.String()))
	}
	if a := p.GIAddr(); !a.IsUnspecified() {
		attrs = append(attrs, slog.String("giaddr", a.String()))
	}
	if a, ok := p.AddrOption(OptRequestedAddress); ok {
		attrs = append(attrs, slog.String("requested", a.String()))
	}
	for _, text := range [...]struct {
		key  string
		code uint8
	}{{"vendor_class", OptVendorClass}, {"user_class", OptUserClass}, {"hostname", OptHostName}} {
		if v, ok := p.Option(text.code); ok {
			attrs = append(attrs, slog.String(text.key, sanitize(v)))
		}
	}
	return slog.GroupValue(attrs...)
}
