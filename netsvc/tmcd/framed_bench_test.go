package tmcd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyzer/netsvc/tmc2"
)

// BenchmarkStatusFramed compares requests on open framed connections with one
// legacy connection for each, from several clients, in one run.
func BenchmarkStatusFramed(b *testing.B) {
	s, _ := startServer(b, nil)
	const clients, inFlight = 4, 16
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	var work sync.WaitGroup
	for range clients {
		work.Go(func() { framedStatuses(b, s, &left, inFlight) })
	}
	work.Wait()
	framed := float64(b.N) / b.Elapsed().Seconds()
	b.StopTimer()
	legacy := legacyRate(b, s, min(b.N, 4000), clients)
	b.ReportMetric(framed, "framed/s")
	b.ReportMetric(legacy, "legacy/s")
	b.ReportMetric(framed/legacy, "ratio")
}

// framedStatuses asks on one connection, several at a time.
func framedStatuses(b *testing.B, s *Server, left *atomic.Int64, inFlight int) {
	c := dialFramed(b, s, "127.0.1.1", 1)
	request := tmc2.AppendRequest(nil, &tmc2.Request{ID: 1, Command: []byte("status")})
	var out []byte
	in := make([]byte, 0, 64<<10)
	for stream := uint32(1); ; {
		n := min(int64(inFlight), left.Add(-int64(inFlight))+int64(inFlight))
		if n <= 0 {
			return
		}
		out = out[:0]
		for range n {
			out = tmc2.AppendFrame(out, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: stream, Payload: request})
			stream += 2
		}
		c.send(out)
		for n > 0 {
			got, err := c.conn.Read(in[len(in):cap(in)])
			in = in[:len(in)+got]
			at := 0
			for err == nil {
				f, size, short := tmc2.DecodeFrame(in[at:], tmc2.PayloadBytesUsual)
				if errors.Is(short, tmc2.ErrIncomplete) {
					break
				}
				if short != nil || f.Type == tmc2.TypeReply && !bytes.HasPrefix(f.Payload, []byte("ALLOCATED=")) {
					b.Error(f, short)
					return
				}
				if at += size; f.Type == tmc2.TypeStatus {
					n--
				}
			}
			if err != nil {
				b.Error(err)
				return
			}
			in = in[:copy(in, in[at:])]
		}
	}
}

func legacyRate(b *testing.B, s *Server, requests, clients int) float64 {
	start := time.Now()
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
			for range max(requests/clients, 1) {
				conn, err := d.Dial("tcp", s.Addrs()[0].String())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.WriteString(conn, "VERSION=44 status ")
				_ = conn.(*net.TCPConn).CloseWrite()
				reply, err := io.ReadAll(conn)
				if conn.Close(); err != nil || len(reply) == 0 {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	return float64(max(requests/clients, 1)*clients) / time.Since(start).Seconds()
}
