// Package tftp serves boot files by TFTP: RFC 1350 with options (RFC 2347),
// block size (2348), time-out and transfer size (2349) and windows (7440).
// Read only. The package also holds the client that virtual nodes use.
//
// wire.go is the codec, handler.go decides what a request gets, transfer.go
// and receiver.go are the two ends of a transfer as pure machines: packets and
// a clock in, packets out. server.go, shard.go and socket.go are the shell.
//
// Invariant: a client that sees a transfer end well has exactly the bytes of
// the file as it was opened; every other end is an ERROR or silence. What a
// stranger can make the server hold or send is bounded (limits.go), and no
// text of the file system reaches the wire.
//
// Shape of the shell: requests come to the one well-known socket; transfers
// are spread over a few shards, each one socket, one goroutine and one batch
// of system calls for many transfers. A transfer's identity (TID) is the shard's
// port and the client's address and port. A window leaves as one UDP_SEGMENT
// send. Reads of a file happen in the shard's turn: a disk that stalls holds up
// the transfers of that shard, opening a file does not. netsvc/appliance calls
// New and Run.
package tftp
