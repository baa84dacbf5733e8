package tmcd

import (
	"net/netip"
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// TestPolicies asks for a secret and for the rest, with and without proof, under
// each policy.
func TestPolicies(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	ask := func(value, command string, r Request) string {
		site := loopSite()
		site.Types[0].Attributes = map[string]string{AttributePolicy: value}
		site.Nodes[0].WideAreaKey = key
		site.Nodes[1].WideAreaKey = "fedcba9876543210"
		site.Nodes = append(site.Nodes, registry.Node{ID: "v1", Type: "t", Host: "n1"})
		site.Reservations = append(site.Reservations, registry.Reservation{Node: "v1", Experiment: "p/e", VName: "vm"})
		site.Experiments[0].KeyHash = "h"
		site.Experiments[0].EventKey = "k"
		r.Word, r.Version, r.From = []byte(command), 44, netip.MustParseAddr("127.0.1.1")
		snap := registry.NewSnapshot(site)
		adm := NewHandler().Admit(snap, r)
		if adm.Refused != "" {
			return adm.Refused
		}
		result, err := adm.Run(strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		return string(result.Reply)
	}
	clear, secured := Request{}, Request{Transport: TLS}
	named := Request{Transport: TLS, Names: []string{"n1"}}
	other := Request{Transport: TLS, Names: []string{"n2"}}
	keyed := Request{Head: Head{PrivKey: key}, Transport: TLS}
	keyedClear := Request{Head: Head{PrivKey: key}}
	guest := Request{Head: Head{VNode: "v1"}, Transport: TLS, Names: []string{"n1"}}
	const hash, id = "KEYHASH HASH='h'\n", "n1\n"
	for _, tc := range []struct {
		name, policy, command string
		by                    Request
		want                  string
	}{
		{"legacy, in clear", "", "keyhash", clear, hash},
		{"legacy, by name", policyText(policyLegacy), "keyhash", clear, hash},
		{"secrets, in clear", policyText(policySecrets), "keyhash", clear, RefusedSecret},
		{"secrets, TLS alone", policyText(policySecrets), "keyhash", secured, RefusedProof},
		{"secrets, certificate", policyText(policySecrets), "keyhash", named, hash},
		{"secrets, another node's certificate", policyText(policySecrets), "keyhash", other, RefusedProof},
		{"secrets, key", policyText(policySecrets), "keyhash", keyed, hash},
		{"secrets, key in clear", policyText(policySecrets), "keyhash", keyedClear, RefusedSecret},
		{"secrets, guest of the host", policyText(policySecrets), "keyhash", guest, hash},
		{"secrets, no secret", policyText(policySecrets), "nodeid", clear, id},
		{"always, in clear", policyText(policyAlways), "nodeid", clear, RefusedSecret},
		{"always, another node's certificate", policyText(policyAlways), "nodeid", other, RefusedProof},
		{"always, certificate", policyText(policyAlways), "nodeid", named, id},
		{"a word that is no policy", "auth-for-secret", "nodeid", clear, RefusedSecret},
	} {
		if got := ask(tc.policy, tc.command, tc.by); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	for _, part := range []string{"*** keyhash\n", "*** eventkey\n", "*** ipodinfo\n"} {
		if strings.Contains(ask(policyText(policySecrets), "fullconfig", clear), part) {
			t.Errorf("fullconfig in clear has %q", part)
		}
		if !strings.Contains(ask(policyText(policySecrets), "fullconfig", named), part) {
			t.Errorf("fullconfig with a certificate lacks %q", part)
		}
	}
}

func policyText(p policy) string { return string(p) }
