package dhcp

// Reason says why a decision is what it is: for counters, logs, NAK texts and
// operators. The zero Reason means none.
type Reason uint8

// Reasons. The first group answers, the second keeps silent, the third is for
// what never became a decision.
const (
	reasonNone Reason = iota
	ReasonReserved
	ReasonPool
	ReasonInform
	ReasonProxy
	ReasonBootServer
	ReasonOtherAddress
	ReasonNotAvailable
	ReasonHeldByOther
	ReasonWrongNetwork
	ReasonNoRecord

	ReasonNotRequest
	ReasonBOOTP
	ReasonNoIdentity
	ReasonHops
	ReasonRelayOption
	ReasonUnknownRelay
	ReasonNoSubnet
	ReasonOff
	ReasonIgnored
	ReasonUnknownClient
	ReasonReservedElsewhere
	ReasonPoolEmpty
	ReasonOtherServer
	ReasonNoAddress
	ReasonNotHolder
	ReasonDeclined
	ReasonDeclinedReserved
	ReasonReleased
	ReasonProxyOnly
	ReasonNotNetBoot
	ReasonNoBootFile

	ReasonBusy
	ReasonMalformed
	ReasonStale
	ReasonCommitFailed
	ReasonOvertaken
	ReasonSendFailed
	reasonCount
)

// String is a sentence without capital and stop. NAKs carry it as text.
func (r Reason) String() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r]
	}
	return "unknown reason"
}

var reasonTexts = [reasonCount]string{
	reasonNone:              "no reason",
	ReasonReserved:          "the address is reserved for this machine",
	ReasonPool:              "the address is from the subnet's pool",
	ReasonInform:            "the client has an address and asks for parameters",
	ReasonProxy:             "another server gives addresses here, this one boot files",
	ReasonBootServer:        "a boot file was asked for on the proxyDHCP port",
	ReasonOtherAddress:      "this machine has another address here",
	ReasonNotAvailable:      "the address is not available to this machine",
	ReasonHeldByOther:       "the address is still leased to another machine",
	ReasonWrongNetwork:      "the address is not of this network",
	ReasonNoRecord:          "no record of this lease",
	ReasonNotRequest:        "not a message for a server",
	ReasonBOOTP:             "plain BOOTP, or no valid message type",
	ReasonNoIdentity:        "no usable hardware address or client identifier",
	ReasonHops:              "passed more than 16 relays",
	ReasonRelayOption:       "option 82 is longer than 255 octets",
	ReasonUnknownRelay:      "the relay address is of no served subnet",
	ReasonNoSubnet:          "no subnet is configured for where this came from",
	ReasonOff:               "the subnet's mode is off",
	ReasonIgnored:           "the node is left to another server",
	ReasonUnknownClient:     "no reservation, and the subnet has no pool",
	ReasonReservedElsewhere: "the node has no address on this subnet, and there is no pool",
	ReasonPoolEmpty:         "the pool has no free address",
	ReasonOtherServer:       "the message is for another server",
	ReasonNoAddress:         "the message names no address",
	ReasonNotHolder:         "the sender does not hold this address",
	ReasonDeclined:          "the client found the address in use",
	ReasonDeclinedReserved:  "the client found its reserved address in use by another machine",
	ReasonReleased:          "the client gave the address back",
	ReasonProxyOnly:         "only boot files are given here, and only in answer to DISCOVER",
	ReasonNotNetBoot:        "neither PXEClient nor HTTPClient",
	ReasonNoBootFile:        "no boot file for this machine now",
	ReasonBusy:              "too much is waiting",
	ReasonMalformed:         "the message is malformed",
	ReasonStale:             "the DISCOVER waited so long that the client has sent another",
	ReasonCommitFailed:      "the lease could not be stored",
	ReasonOvertaken:         "the lease ended before its answer could be sent",
	ReasonSendFailed:        "the answer could not be sent",
}
