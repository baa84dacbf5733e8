// Package house checks the source tree against the rules of the house: which
// room may import which, that wire codecs know nothing of sockets and clocks,
// that every package says what it is, and what functions and package variables
// may look like.
//
// tree.go reads the sources, arrows.go has the rooms, rules.go the rest. It is
// lint as a test: Check lists offences, and the test of this package fails with
// them, each as file:line. testdata/allowed.txt names offences that stay, each
// with its reason; one that is no longer needed is an offence itself.
package house
