package appliance

import (
	"net"
	"os"
)

// notify tells systemd how far we are (sd_notify(3)), if it wants to know.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' { // an abstract socket
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return // the appliance serves all the same
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
