// Package tmcd answers the testbed master control protocol: what a node is,
// what it shall load, mount and run, and what it reports of itself (shared
// specs, page tmcd).
//
// wire.go reads the request grammar, identify.go finds out who asks,
// commands.go is the command table, the cmd_ files hold the replies, one file
// per subject. Handler ties them together and is pure: a request and a registry
// snapshot give a reply and a list of effects. server.go and its neighbours own
// sockets, limits and deadlines. recorder.go executes effects on the registry,
// the state machine and the boot logs.
//
// Invariant: a reply is sent only when all effects of its request are durable;
// if one fails, the client gets the empty reply of a refusal. Reply text is byte
// for byte that of the C server for each protocol version from 2 to 44, as far
// as the registry has the records.
//
// Commands of the table that answer nothing yet, because the registry has no
// records for them: manifest delay bridges linkdelay blobs storageconfig
// sfshostid trafgens nseconfigs tunnels subnodelist ipodinfo ntpinfo ntpdrift
// jailconfig plabconfig subconfig programs rusage hostkeys hostinfo emulabconfig
// eplabconfig rootpswd topomap userenv tiptunnels traceinfo ltmap elvindport
// plabeventkeys motelog portregister battery tmcctest ltpmap tpmblob tpmpubkey
// tpmdummy dhcpdconf securestate quoteprep imagekey nodeattributes disks arpinfo
// hwcollect tiplineinfo pnetnodeattrs serviceinfo subbossinfo publicaddrinfo
// attenuatorlist attenuator. The federation's geni_ commands answer client_id,
// control_mac, version and commands.
package tmcd
