package multicast

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ours is the peer that ratios are of.
const ours = "hyzer"

// peer is one way to bring a file to many. Commands are words, in which names
// in braces stand for what a race knows; {tool} is one of our own programs, and
// {c} the folder of the C ones.
type peer struct {
	name           string
	server, client string
	port           int    // that the side which starts first binds
	clientsFirst   bool   // they wait for the server, which ends the race
	framed         bool   // a packet carries 1024 bytes of the image
	missing        string // what is not installed
}

// group and ports are those of every session of ours and of C frisbee.
const (
	sessionArgs = "-m 239.192.97.1 -p 7001"
	sessionPort = 7001
	httpPort    = 7002
	udpcastPort = 9000
	uftpPort    = 1044
)

func allPeers() []peer {
	const (
		hyzerd    = "{tool} frisbeed " + sessionArgs + " -i {server} -W {bits} {image}"
		oldHyzerd = "{tool} frisbeed -old " + sessionArgs + " -i {server} -W {bits} {image}"
		frisbee   = "{tool} frisbee " + sessionArgs + " -i {me} -N -q {out}"
		cFrisbee  = "{c}/frisbee " + sessionArgs + " -i {me} -N -q {out}"
		cFrisbeed = "{c}/frisbeed " + sessionArgs + " -i {server} -W {bits} -d {image}"
	)
	return []peer{
		{name: ours, server: hyzerd, client: frisbee, port: sessionPort, framed: true},
		{name: "hyzer, old protocol", server: oldHyzerd, client: frisbee, port: sessionPort, framed: true},
		{name: "hyzer, C clients", server: hyzerd, client: cFrisbee, port: sessionPort, framed: true},
		{name: "C frisbee", server: cFrisbeed, client: cFrisbee, port: sessionPort, framed: true},
		{name: "C server, hyzer clients", server: cFrisbeed, client: frisbee, port: sessionPort, framed: true},
		{
			name: "udpcast", port: udpcastPort + 1,
			server: "udp-sender --file {image} --interface eth0 --min-receivers {n} --full-duplex --nokbd --no-progress",
			client: "udp-receiver --file {out} --interface eth0 --nokbd --no-progress",
		},
		{
			name: "uftp", port: uftpPort, clientsFirst: true,
			server: "uftp -R {kbit} -I eth0 -H {ids} {image}",
			client: "uftpd -d -D {outdir} -I eth0",
		},
		{
			name: "hyzer, HTTP", server: "{tool} httpd {server}:7002 {image}",
			client: "{tool} get {server}:7002 {out}", port: httpPort,
		},
	}
}

// installed lists the peers that are wanted, and tells of those that cannot
// run.
func (o *options) installed() (peers []peer, missing []string) {
	for _, p := range allPeers() {
		wanted := slices.ContainsFunc(o.only, func(part string) bool { return p.name == part || part != ours && strings.Contains(p.name, part) })
		if len(o.only) > 0 && !wanted {
			continue
		}
		if program := o.lacks(p); program != "" {
			missing = append(missing, fmt.Sprintf("%s: %s is not installed", p.name, program))
			continue
		}
		peers = append(peers, p)
	}
	return peers, missing
}

// lacks returns the program that a peer needs and that is not there.
func (o *options) lacks(p peer) string {
	for _, command := range []string{p.server, p.client} {
		program := strings.Fields(command)[0]
		if program == "{tool}" {
			continue
		}
		if name, ok := strings.CutPrefix(program, "{c}/"); ok {
			if o.c == "" {
				return "C " + name + " (-c)"
			}
			program = filepath.Join(o.c, name)
		}
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}
