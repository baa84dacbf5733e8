package tmcd

import (
	"encoding/hex"
	"strconv"
)

// Who may be root.

const (
	rootPasswordBytes = 6 // twice as many hex digits
	saltBytes         = 8
)

// saltDigits are those of crypt(3).
const saltDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// runRootPassword gives the hash of root's password, with a new salt each
// time. The password is made when it is first asked for.
func runRootPassword(c *call) {
	password := c.who.run.RootPassword
	if password == "" {
		var secret [rootPasswordBytes]byte
		c.h.Random(secret[:])
		password = hex.EncodeToString(secret[:])
		c.effect(RootPassword{Node: c.who.node.ID, Password: password})
	}
	var salt [saltBytes]byte
	c.h.Random(salt[:])
	for i := range salt {
		salt[i] = saltDigits[salt[i]%byte(len(saltDigits))]
	}
	c.str("HASH=", md5Crypt(password, string(salt[:])), "\n")
}

// runLocalization gives root's public keys: the site's, those of an outer
// testbed, the experiment's, and from version 42 the key that the experiment's
// nodes have in common.
func runLocalization(c *call) {
	if key := c.snap.Site().Vars["node/ssh_pubkey"]; key != "" {
		c.rootKey(key)
	}
	for _, key := range c.snap.Site().RootKeys {
		c.rootKey(key)
	}
	if !c.who.allocated() {
		return
	}
	for _, key := range c.who.expt.RootKeys {
		c.rootKey(key)
	}
	if key := c.who.expt.SSLKey; key != "" && c.v(42) {
		c.str("ROOTKEY='", key, "' KEYFILE='.ssl/", c.who.node.ID, ".pub' ENCRYPTED='no'\n")
	}
}

func (c *call) rootKey(key string) { c.str("ROOTPUBKEY='", key, "'\n") }

// runSecureState: no node has a TPM key enrolled here, so no quote can be
// right. The answer has no line end.
func runSecureState(c *call) {
	if len(c.words()) == 3 {
		c.str("FAILED")
	}
}

// runTMCCTest: the server's test command exists in debugging builds only.
func runTMCCTest(c *call) { c.str("tmcctest disabled\n") }

const sfsHostIDBytesMax = 255

func runSFSHostID(c *call) {
	id := c.arg()
	plain := func(b byte) bool { return isNameByte(b) || b == '.' || b == ':' || b == '@' || b == ',' }
	if id != "" && len(id) <= sfsHostIDBytesMax && every(id, plain) {
		c.effect(HostReport{Node: c.who.node.ID, SFSHostID: id})
	}
}

// runSubConfig configures a part of a machine: a mote's serial line.
func runSubConfig(c *call) {
	console := &c.who.node.Console
	if !c.v(24) || c.who.node.Type != "mica2" || console.Server == "" {
		return
	}
	c.str("TYPE=", c.who.node.Type, " CAPSERVER=", console.Server, " CAPPORT=", strconv.Itoa(console.Port), "\n")
}
