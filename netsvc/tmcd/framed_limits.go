package tmcd

import "time"

// Limits of framed connections, beside those that hold for all.
const (
	// framedConnectionsMax leaves places for clients that speak text.
	framedConnectionsMax = connectionsMax * 3 / 4
	framedPerNodeMax     = 4
	framedPerHostMax     = 16 // of a host of virtual nodes
	// WatchesMaxUsual bounds the watches of all nodes. Connections with
	// nothing else open do not count as connections.
	WatchesMaxUsual = 20_000
	// filesOther is how many files the process has for all but connections
	// of nodes: the store, images, other services.
	filesOther = 2048
	// framedBufferBytes is what a quiet connection keeps for reading.
	framedBufferBytes = 4 << 10
	// framedOutBytes is when replies are written without waiting for the end
	// of what was read.
	framedOutBytes = 64 << 10
	// framedFrameBytes is the payload that is taken.
	framedFrameBytes = 64 << 10
	// framedWindowBytes is how far DATA may be ahead of WINDOW.
	framedWindowBytes = 256 << 10
	// framedChunkCost is what a chunk counts beside its text, so that many
	// small ones are bounded too.
	framedChunkCost = 64
	framedStreams   = 32
	// answersPerNodeMax, answersMax and answerBytesMax bound what is kept to
	// answer repeated requests.
	answersPerNodeMax = 128
	answersMax        = 64 << 10
	answerBytesMax    = 64 << 10 // a longer reply is not kept
	answersBytesMax   = 32 << 20 // of all replies together
	// datagramAnswersMax and datagramAnswerTime are the same for UDP.
	datagramAnswersMax = 4096
	datagramAnswerTime = 10 * time.Second
)

// Deadlines of framed connections.
const (
	framedFrameTimeout = 10 * time.Second // from a frame's first byte to its last
	framedIdleTimeout  = 30 * time.Second // without a frame and without an open stream
	watchPause         = time.Second      // between two looks at the nodes' configurations
	watchRest          = 4                // times as long as a look took, if that is more
	framedBusyRetry    = time.Second      // when a client that was turned away comes again
)
