// Package systemd holds the appliance's unit file (docs/hyzerd.service) against
// a real systemd, which it boots in a container without a disk of its own: this
// machine's /usr is all it sees of it. The test does not run without root and
// systemd-nspawn, and says which is missing.
package systemd
