package tmc2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The keys and nonces of the worked example in docs/tmc2.md.
const (
	exampleKey   = "0123456789abcdef0123456789abcdef"
	exampleVNode = "pcvm6-1"
)

func exampleNonce(first byte) (n Nonce) {
	for i := range n {
		n[i] = first + byte(i)
	}
	return n
}

func exampleExport() []byte { return bytes.Repeat([]byte{0xab}, ExporterBytes) }

// goldenProofs are the HELLOs of a client that proves who it is in clear, with
// the server's between them, and of a virtual node over TLS.
func goldenProofs() (challenged, challenging, proving, secured Hello) {
	challenged, challenging, proving, secured = UsualHello(), UsualHello(), UsualHello(), UsualHello()
	challenged.BootID, challenged.Nonce = bootID(), exampleNonce(0x20)
	challenging.BootID, challenging.Nonce = bootID(), exampleNonce(0x40)
	proving.Proof = Proof{Key: KeyNode, MAC: ProofInClear(exampleKey, challenged.Nonce, challenging.Nonce, bootID())}
	secured.BootID = bootID()
	secured.Proof = Proof{Key: KeyVNode, MAC: ProofOverTLS(VNodeKey(exampleKey, exampleVNode), exampleExport(), bootID()), Node: exampleVNode}
	return challenged, challenging, proving, secured
}

// TestProofExample holds the worked example of the protocol's page, from which
// others write theirs, against the code.
func TestProofExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/tmc2.md")
	if err != nil {
		t.Fatal(err)
	}
	client, server := exampleNonce(0x20), exampleNonce(0x40)
	boot, exported := bootID(), exampleExport()
	overTLS, inClear := ProofOverTLS(VNodeKey(exampleKey, exampleVNode), exported, boot), ProofInClear(exampleKey, client, server, boot)
	for _, line := range [][2]string{
		{"key", exampleKey}, {"boot id", hex.EncodeToString(boot[:])},
		{"client nonce", hex.EncodeToString(client[:])}, {"server nonce", hex.EncodeToString(server[:])},
		{"proof in clear", hex.EncodeToString(inClear[:])},
		{"key of " + exampleVNode, VNodeKey(exampleKey, exampleVNode)},
		{"exported", hex.EncodeToString(exported)},
		{"proof over TLS", hex.EncodeToString(overTLS[:])},
	} {
		if want := fmt.Sprintf("\n    %-15s %s\n", line[0], line[1]); !strings.Contains(string(page), want) {
			t.Errorf("docs/tmc2.md lacks the line%s", want)
		}
	}
}

// TestProofsDiffer: a proof for one key, connection, boot or purpose is none for
// another.
func TestProofsDiffer(t *testing.T) {
	t.Parallel()
	a, b, boot := exampleNonce(1), exampleNonce(2), bootID()
	macs := map[MAC]string{}
	for name, mac := range map[string]MAC{
		"clear": ProofInClear("k", a, b, boot), "another key": ProofInClear("l", a, b, boot), "nonces swapped": ProofInClear("k", b, a, boot),
		"another server nonce": ProofInClear("k", a, a, boot), "no boot id": ProofInClear("k", a, b, BootID{}),
		"TLS": ProofOverTLS("k", append(a[:], b[:]...), boot), "TLS, no boot id": ProofOverTLS("k", append(a[:], b[:]...), BootID{}),
		"virtual node's key": ProofInClear(VNodeKey("k", "v"), a, b, boot), "another's": ProofInClear(VNodeKey("k", "w"), a, b, boot),
	} {
		if other, seen := macs[mac]; seen {
			t.Errorf("%s is %s", name, other)
		}
		if macs[mac] = name; !mac.Equal(mac) || mac.Equal(MAC{}) {
			t.Errorf("%s: Equal is wrong", name)
		}
	}
}
