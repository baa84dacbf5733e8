package client

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/multicast/wire"
)

// TestOptions is every option of the old client (spec frisbee A8) and ours,
// with the effect that each has.
func TestOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signing, blowfish := filepath.Join(dir, "signing"), filepath.Join(dir, "key")
	for path, text := range map[string]string{signing: "-----BEGIN", blowfish: strings.Repeat("0123456789abcdef", 4) + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const base, get = "-m 239.1.2.3 -p 3564 ", "-S 10.0.0.9 -F id "
	for _, c := range []struct {
		args string
		want func(*command) bool // nil: refused
	}{
		{base + "f", func(c *command) bool {
			return c.session.Address.String() == "239.1.2.3:3564" && c.out == "f" && !c.session.Server.IsValid()
		}},
		{base + "-S 10.0.0.9 f", func(c *command) bool { return c.session.Server.String() == "10.0.0.9" }},
		{get + "f", func(c *command) bool {
			return c.imageID == "id" && c.port == wire.MasterPort && !c.status && c.methods == wire.AnyMethod
		}},
		{get + "-p 5 f", func(c *command) bool { return c.port == 5 }},
		{"-S 10.0.0.9 -Q id", func(c *command) bool { return c.status && c.imageID == "id" }},
		{base + "-i 10.0.0.1 f", func(c *command) bool { return c.session.Iface.String() == "10.0.0.1" }},
		{base + "-b f", func(c *command) bool { return c.session.Broadcast }},
		{base + "-s 2 -D 131 f", func(c *command) bool { return c.slice == 2 && c.slicetype == 131 }},
		{base + "-z f", func(c *command) bool { return c.restore.ZeroFill }},
		{base + "-N f", func(c *command) bool { return c.session.Raw }},
		{base + "-q f", func(c *command) bool { return c.quiet }},
		{base + "-dd f", func(c *command) bool { return c.debug }},
		{base + "-r 7 f", func(c *command) bool { return c.delayMax == 7*time.Second }},
		{base + "-O f", func(c *command) bool { return c.session.InOrder }},
		{base + "-R 5 f", func(c *command) bool { return c.session.Window == max(WindowDefault, 20) }},
		{base + "-C 9 f", func(c *command) bool { return c.session.Buffers == 9 }},
		{base + "-M 64 f", func(c *command) bool { return c.session.Buffers == 32 }},
		{base + "-M 1 f", func(c *command) bool { return c.session.Buffers == 1 }},
		{"-S localhost -P localhost -i localhost -F id f", func(c *command) bool {
			host := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			return c.master == host && c.session.ReportFor == host && c.session.Iface == host
		}},
		{base + "-k 512 f", func(c *command) bool { return c.session.SocketBufferBytes == 512<<10 }},
		{base + "-T 60 f", func(c *command) bool { return c.session.IdleTimeout == time.Minute }},
		{base + "-K 15 f", func(c *command) bool { return c.session.Keepalive == 15*time.Second }},
		{base + "-H 0 f", func(c *command) bool { return c.session.Heartbeat }},
		{base + "-u 0123456789abcdef0123456789abcdef f", func(c *command) bool { return c.restore.Decode.ImageID != nil }},
		{base + "-e " + blowfish + " f", func(c *command) bool { return len(c.restore.Decode.Key) == 32 }},
		{get + "-B 30 f", func(c *command) bool { return c.busy == 30*time.Second }},
		{get + "-X ucast,mcast f", func(c *command) bool { return c.methods == wire.Unicast|wire.Multicast }},
		{get + "-P 10.0.0.7 f", func(c *command) bool { return c.session.ReportFor.String() == "10.0.0.7" }},
		{base + "-n -f -I 500 -W 64 -t -U prefix f", func(c *command) bool { return c.out == "f" }},
		{base + "--spill " + dir + " f", func(c *command) bool {
			return c.session.SpillDir == dir && c.session.SpillBytesMax >= wire.ChunkBytes && c.out == "f"
		}},
		{base + "--spill=" + dir + " -q f", func(c *command) bool { return c.session.SpillDir == dir && c.quiet }},
		{base + "--spill " + dir + "/none f", nil}, {base + "--spill", nil}, {base + "--swill " + dir + " f", nil},
		{base + "-c " + shared.Path(t, "vectors/ndz/v4-signed.skey") + " f", func(c *command) bool { return c.restore.Decode.Checksum && c.restore.Decode.SigningKey != nil }},
		{base + "-c " + signing + " f", nil}, {base + "-c " + dir + "/none f", nil}, {base + "-e " + dir + "/none f", nil},
		{base + "-h", nil}, {base + "-E x f", nil}, {base + "-L x f", nil}, {base, nil}, {base + "-u zz f", nil}, {base + "-T x f", nil},
	} {
		cmd := &command{slicetype: -1, methods: wire.AnyMethod}
		err := cmd.parse(strings.Fields(c.args))
		if (err == nil) != (c.want != nil) || c.want != nil && !c.want(cmd) {
			t.Errorf("%s: %s, %v", c.args, fmt.Sprintf("%+v", cmd), err)
		}
	}
}
