package tmcd

import (
	"crypto/tls"
	"slices"

	"hyzer/storage/registry"
)

// AttributePolicy is the attribute of a node, or of its type, that says what
// beside its address a node must show (shared specs, page tmc2, section 5).
const AttributePolicy = "tmcd_auth"

// policy is a value of AttributePolicy. What is no policy is the strictest: a
// slip of the pen must not open what somebody wanted closed.
type policy string

const (
	policyLegacy  policy = "legacy-ok"        // the address is enough
	policySecrets policy = "auth-for-secrets" // but not for commands that tell secrets
	policyAlways  policy = "auth-always"
)

func policyOf(s *registry.Snapshot, machine *registry.Node) policy {
	switch value := policy(s.Attribute(machine, AttributePolicy)); value {
	case "":
		return policyLegacy
	case policyLegacy, policySecrets:
		return value
	}
	return policyAlways
}

// wantsProof says whether a command is only for those who have shown who they
// are. cmd is nil for a geni_ command.
func (p policy) wantsProof(cmd *command) bool {
	switch p {
	case policyLegacy:
		return false
	case policySecrets:
		return cmd != nil && slices.Contains(secretCommands(), cmd.name)
	}
	return true
}

// secretCommands tell what a neighbour that takes the node's address must not
// learn. fullconfig leaves them out.
func secretCommands() []string {
	return []string{"accounts", "keyhash", "eventkey", "rootpswd", "localization", "ipodinfo", "imagekey", "plabeventkeys", "tiptunnels"}
}

// proves says whether a request shows more than an address: that it has the key
// of the node or of its host, or, over TLS, a certificate with the name of
// either, or the key itself. In clear that would be no proof for long.
func proves(s *registry.Snapshot, who *caller, req *Request) bool {
	if req.Proven != "" && (req.Proven == who.node.ID || req.Proven == who.phys.ID) {
		return true
	}
	if req.Transport != TLS {
		return false
	}
	if slices.Contains(req.Names, who.node.ID) || slices.Contains(req.Names, who.phys.ID) {
		return true
	}
	if req.PrivKey == "" {
		return false
	}
	keeper := s.NodeByWideAreaKey(req.PrivKey)
	return keeper == who.node || keeper == who.phys
}

// certificateNames are those that a verified certificate is for.
func certificateNames(state tls.ConnectionState) []string {
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	cert := state.PeerCertificates[0]
	return append([]string{cert.Subject.CommonName}, cert.DNSNames...)
}
