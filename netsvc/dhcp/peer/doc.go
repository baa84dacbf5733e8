// Package peer holds only tests: it compares package dhcp with
// github.com/insomniacslk/dhcp, as an oracle for parsing and as a server to
// measure against in the same run. It is a package of its own so that the
// service does not depend on its peer.
package peer
