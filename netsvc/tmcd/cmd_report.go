package tmcd

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// What a node says of its hardware and services.

const (
	cdVersionBytesMax   = 31
	hostKeyBytesMax     = 4095
	hostKeysMax         = 16 // kinds
	hostKeyKindBytesMax = 32
	ipodHashBytes       = 16
)

// runHostInfo takes "CDVERSION=abc-1".
func runHostInfo(c *call) {
	version, ok := strings.CutPrefix(c.arg(), "CDVERSION=")
	plain := func(b byte) bool { return isAlnum(b) || b == '-' }
	if ok && version != "" && len(version) <= cdVersionBytesMax && every(version, plain) {
		c.effect(HostReport{Node: c.who.node.ID, CDVersion: version})
	}
}

// runHostKeys takes "SSH_HOST_KEY='..' SSH_HOST_RSA_KEY='..' ..." of any kind; a
// key that is not named is forgotten.
func runHostKeys(c *call) {
	keys := map[string]string{}
	for rest := string(c.args); ; {
		name, after, ok := strings.Cut(rest, "='")
		value, next, closed := strings.Cut(after, "'")
		if !ok || !closed {
			break
		}
		name = strings.ToUpper(strings.TrimSpace(name))
		if !isHostKeyName(name) || len(value) > hostKeyBytesMax || len(keys) >= hostKeysMax {
			return
		}
		keys[name], rest = value, next
	}
	if len(keys) > 0 {
		c.effect(HostReport{Node: c.who.node.ID, SSHKeys: keys})
	}
}

// isHostKeyName knows SSH_HOST_KEY, of SSH 1, and SSH_HOST_<kind>_KEY.
func isHostKeyName(name string) bool {
	kind, ok := strings.CutPrefix(name, "SSH_HOST_")
	if kind == "KEY" {
		return ok
	}
	kind, ends := strings.CutSuffix(kind, "_KEY")
	return ok && ends && kind != "" && len(kind) <= hostKeyKindBytesMax && every(kind, isNameByte)
}

// runNTPDrift takes a number; "--" before it is accepted as for booterrno.
func runNTPDrift(c *call) {
	if drift, err := strconv.ParseFloat(c.arg(), 64); err == nil && drift == drift && c.who.local {
		c.effect(HostReport{Node: c.who.node.ID, NTPDrift: strconv.FormatFloat(drift, 'g', -1, 64)})
	}
}

// runRUsage takes load averages and disk use, and answers with the counter that
// isalive answers as 0 or 1.
func runRUsage(c *call) {
	values, ok := c.floats("LA1=", "LA5=", "LA15=", "DUSED=")
	if !ok {
		return
	}
	c.effect(UsageReport{Node: c.who.node.ID, Load: [3]float64(values[:3]), DiskUsed: values[3]})
	c.str("UPDATE=", strconv.Itoa(c.who.run.UpdateAccounts), "\n")
}

func runBattery(c *call) {
	values, ok := c.floats("CAPACITY=", "VOLTAGE=")
	if !ok || values[0] < 0 || values[0] > 100 || values[1] < 5 || values[1] > 15 {
		return
	}
	c.effect(BatteryReport{Node: c.who.node.ID, Percent: values[0], Volts: values[1]})
	c.str("OK\n")
}

// floats reads "KEY=number" words in the given order.
func (c *call) floats(keys ...string) ([]float64, bool) {
	words := c.words()
	if len(words) < len(keys) {
		return nil, false
	}
	values := make([]float64, len(keys))
	for i, key := range keys {
		text, ok := strings.CutPrefix(words[i], key)
		value, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil || value-value != 0 { // not finite
			return nil, false
		}
		values[i] = value
	}
	return values, true
}

func (c *call) words() []string {
	fields := bytes.Fields(c.args)
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = string(f)
	}
	return words
}

// runIPODInfo gives the node a new secret with which it can be told to reboot
// when nothing else works.
func runIPODInfo(c *call) {
	var secret [ipodHashBytes]byte
	c.h.Random(secret[:])
	hash := hex.EncodeToString(secret[:])
	c.effect(HostReport{Node: c.who.node.ID, IPODHash: hash})
	c.str("HOST=", addr(c.snap.Site().BossIP), " MASK=255.255.255.255 HASH=", hash, "\n")
}
