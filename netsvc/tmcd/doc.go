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
// accept.go and quick.go answer what is short and whole in the accept loop, tcp.go
// all else. replies.go keeps replies until what they were made from changes;
// policy.go says what a node must show beside its address.
//
// The framed_ files answer TMC2 (docs/tmc2.md) with the same Handler: framed.go
// and framed_conn.go are its connections, framed_place.go which of them count,
// framed_proof.go proofs of identity, framed_request.go its requests,
// framed_stream.go what is not answered yet, framed_watch.go watches,
// framed_answers.go the memory of what was executed, framed_log.go boot logs that
// grow, framed_udp.go datagrams. certificates.go is what TLS is spoken with.
//
// Invariant: a reply is sent only when all effects of its request are durable;
// if one fails, the client gets the empty reply of a refusal. Reply text is byte
// for byte that of the C server for each protocol version from 2 to 44, as far
// as the registry has the records.
//
// Commands of the table that answer nothing, whatever the site is: plabconfig
// eplabconfig elvindport plabeventkeys (PlanetLab is gone); emulabconfig
// attenuatorlist attenuator (their bytes are not in the specs); tpmblob
// tpmpubkey tpmdummy quoteprep imagekey (no TPM keys are enrolled here, and
// securestate says FAILED). That is also what the C server answers where
// nothing is configured for them. The federation's geni_ commands answer
// client_id, control_mac, version and commands.
//
// Partly answered: storageconfig (no EXPORT, which is for storage hosts),
// jailconfig (no VDSIZE, ROOTHASH and IMAGEPATH, and the rights of a machine of
// one experiment), ifconfig (no tunnels as ports of a container), subconfig
// (motes only).
//
// Written after the specs' list of keys, without a recording to compare with:
// hwcollect, subconfig, arpinfo's hosts (the asker's experiment), IN_IF, OUT_IF
// and OUT_VLAN of firewallinfo, and the files that ROOTKEY lines name.
package tmcd
