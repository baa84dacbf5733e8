package tmc2

import "fmt"

// Code says how a request ended.
type Code uint16

// Codes. Those under 10 are good.
const (
	CodeOK             Code = 0
	CodeEmpty          Code = 1  // done; there is nothing to say
	CodeNotModified    Code = 2  // the reply is the one that the client has
	CodeUnknownCommand Code = 10 //
	CodeBadArgument    Code = 11
	CodeTooLarge       Code = 12 // request, body or reply
	CodeProtocol       Code = 13 // the peer broke the rules of the protocol
	CodeVersion        Code = 14 // no common version of the protocol
	CodeUseTCP         Code = 15 // not over UDP
	CodeUnknownNode    Code = 20
	CodeFree           Code = 21 // the node is not allocated
	CodeDenied         Code = 22
	CodeNeedsTLS       Code = 23
	CodeNeedsTPM       Code = 24
	CodeStaleVNode     Code = 30 // the virtual node is not, or no longer, on this host
	CodeLogGap         Code = 31 // a chunk does not follow the log's end
	CodeLogClosed      Code = 32 // the log is finished, or was dropped
	CodeBusy           Code = 40 // come again after Retry
	CodeBackend        Code = 41 // what the request asks for could not be made durable
	CodeEvent          Code = 42 // a state could not be delivered to the state machine
	CodeTimeout        Code = 43
	CodeGoingAway      Code = 44 // the server stops, or has waited too long
	CodeCancelled      Code = 45 // as the client wished
	CodeInternal       Code = 50
)

func (c Code) String() string {
	switch c {
	case CodeOK:
		return "ok"
	case CodeEmpty:
		return "ok, empty"
	case CodeNotModified:
		return "not modified"
	case CodeUnknownCommand:
		return "unknown command"
	case CodeBadArgument:
		return "bad argument"
	case CodeTooLarge:
		return "too large"
	case CodeProtocol:
		return "protocol error"
	case CodeVersion:
		return "no common version"
	case CodeUseTCP:
		return "use TCP"
	case CodeUnknownNode:
		return "unknown node"
	case CodeFree:
		return "node is not allocated"
	case CodeDenied:
		return "denied"
	}
	return c.lateString()
}

func (c Code) lateString() string {
	switch c {
	case CodeNeedsTLS:
		return "needs TLS"
	case CodeNeedsTPM:
		return "needs a TPM key"
	case CodeStaleVNode:
		return "virtual node is not on this host"
	case CodeLogGap:
		return "gap in the log"
	case CodeLogClosed:
		return "log is finished"
	case CodeBusy:
		return "busy"
	case CodeBackend:
		return "not stored"
	case CodeEvent:
		return "event not delivered"
	case CodeTimeout:
		return "timed out"
	case CodeGoingAway:
		return "going away"
	case CodeCancelled:
		return "cancelled"
	case CodeInternal:
		return "internal error"
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Good says that the request was executed.
func (c Code) Good() bool { return c < CodeUnknownCommand }
