package tmcd

import "time"

// Limits on what one client, and all of them together, can make us hold.
const (
	// headBytesMax bounds tags and command word. Real ones are under 400.
	headBytesMax = 2 << 10
	// argsBytesMax bounds the arguments of commands other than bootlog; the
	// rest is read and thrown away. The C server's whole request is this.
	argsBytesMax = 32 << 10
	// replyBytesUsual is room that most replies fit in.
	replyBytesUsual = 128
	// refusedBytesMax is as much of a refused request as is read, so that
	// closing does not reset the connection under a well-meaning client.
	refusedBytesMax = 64 << 10
	// drainBytesMax bounds what is read and thrown away before the
	// connection is closed on a client that does not stop.
	drainBytesMax = 64 << 20
	// logBytesMax bounds what is read of one boot log; what is kept of it
	// is bounded by package bloblog.
	logBytesMax = 1 << 30
	// datagramBytesMax is the largest UDP request; C read 2047.
	datagramBytesMax = 8 << 10
	// udpReplyBytesMax is where a UDP reply is cut, as in C. Real clients
	// read 2047 of it.
	udpReplyBytesMax = 8 << 10

	servicesMax           = 256  // ports that one node can register
	connectionsMax        = 2048 // all clients; more wait in the listen queue
	logsMax               = 64   // boot logs being stored; more wait for a place
	connectionsPerAddrMax = 256  // one address; a host of many virtual nodes asks for all of them
	datagramsInFlightMax  = 256  // requests with effects still being made durable
)

// Deadlines. C has 3 s for each read and each write and no other.
const (
	headTimeout     = 5 * time.Second        // from accept to a whole command word
	quietTimeout    = 3 * time.Second        // between two reads of a request's rest
	lateBodyTimeout = 200 * time.Millisecond // the same for versions that do not half-close
	bodyTimeout     = 2 * time.Minute        // for the whole request
	effectsTimeout  = 10 * time.Second       // until effects are durable
	replyTimeout    = 10 * time.Second       // for a client to take its reply
	stopTimeout     = time.Second            // for open requests when the server stops
)
