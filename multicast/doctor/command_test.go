package doctor

import (
	"bytes"
	"strings"
	"testing"
)

// TestMainUsage: what is missing or wrong is named, with what to give instead.
func TestMainUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"multicast", "want -i with this node's IPv4 address"},
		{"multicast -i eth0", `not "eth0"`},
		{"-i ::1", `not "::1"`},
		{"multicast -i 127.0.0.1 extra", "want -i"},
		{"multicast -i 127.0.0.1 -group 239.1.2.3", "want an IPv4 group and a port"},
		{"multicast -i 127.0.0.1 -group 10.0.0.1:5", `not "10.0.0.1:5"`},
		{"multicast -x", "not defined: -x"},
	} {
		var out, errs bytes.Buffer
		if status := Main(strings.Fields(c.args), nil, &out, &errs); status != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: status %d, %q, %q, want %q", c.args, status, out.String(), errs.String(), c.want)
		}
	}
}
