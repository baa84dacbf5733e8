package tmcd

import "bytes"

// flag says who may use a command and where it appears.
type flag uint16

const (
	needAllocated flag = 1 << iota // A: refused to free nodes
	needTLS                        // S: refused to remote nodes in clear
	needTPM                        // T: wants a TPM-held key
	remoteUDP                      // U: remote nodes may use UDP
	tcpOnly                        // answers nothing over UDP
	fullMachine                    // part of fullconfig for machines
	fullVNode                      // part of fullconfig for virtual nodes
	streams                        // takes its arguments as a stream
	live                           // the reply depends on the clock, on chance or on a file, so it may not be kept

	fullBoth = fullMachine | fullVNode
)

// command is one row of the table. A row without run is a command that this
// server knows but holds no records for: it answers as the C server does where
// nothing is configured, with nothing.
type command struct {
	name  string
	flags flag
	run   func(*call)
}

func (c *command) has(f flag) bool { return c.flags&f != 0 }

// commandTable is the table in the C server's order, which is also the order of
// fullconfig.
type commandTable []command

// newCommands builds the table (shared specs, page tmcd, section 4).
func newCommands() commandTable { return append(firstCommands(), lastCommands()...) }

func firstCommands() commandTable {
	return commandTable{
		{"reboot", 0, func(*call) {}}, // accepted and ignored, as in C
		{"nodeid", fullBoth, runNodeID},
		{"nodetype", fullBoth, runNodeType},
		{"nodeuuid", fullBoth, runNodeUUID},
		{"manifest", fullBoth, runManifest},
		{"status", 0, runStatus},
		{"ifconfig", fullBoth | needAllocated, runIfconfig},
		{"accounts", fullBoth | needAllocated | needTLS | tcpOnly, runAccounts},
		{"delay", fullBoth | needAllocated, runDelay},
		{"bridges", fullBoth | needAllocated, runBridges},
		{"linkdelay", fullBoth | needAllocated, runLinkDelay},
		{"hostnames", needAllocated, runHostnames},
		{"rpms", fullBoth | needAllocated, runRPMs},
		{"deltas", needAllocated, func(*call) {}}, // always empty, as in C
		{"tarballs", fullBoth | needAllocated, runTarballs},
		{"blobs", fullBoth | needAllocated, runBlobs},
		{"startupcmd", fullBoth | needAllocated, runStartupCmd},
		{"startstatus", needAllocated, runStartStatus},
		{"startstat", 0, runStartStatus},
		{"readycount", needAllocated, runReadyCount},
		{"ready", needAllocated, runReady},
		{"storageconfig", fullBoth | needAllocated, runStorageConfig},
		{"mounts", fullBoth | needAllocated, runMounts},
		{"sfshostid", needAllocated, runSFSHostID},
		{"loadinfo", live, runLoadInfo},
		{"reset", 0, runReset},
		{"routing", fullBoth | needAllocated, runRouting},
		{"trafgens", fullBoth | needAllocated, runTrafGens},
		{"nseconfigs", fullBoth | needAllocated | tcpOnly, runNSEConfigs},
		{"creator", fullBoth | needAllocated, runCreator},
		{"state", 0, runState},
		{"tunnels", fullBoth | needAllocated, runTunnels},
		{"vnodelist", fullMachine, runVNodeList},
		{"subnodelist", fullMachine, runSubnodeList},
		{"isalive", remoteUDP, runIsAlive},
		{"ipodinfo", fullMachine | tcpOnly | live, runIPODInfo},
		{"ntpinfo", fullMachine | tcpOnly, runNTPInfo},
		{"ntpdrift", tcpOnly, runNTPDrift},
		{"jailconfig", fullVNode | needAllocated, runJailConfig},
		{"plabconfig", fullVNode | needAllocated, nil},
		{"subconfig", 0, runSubConfig},
		{"sdparams", fullMachine, runSDParams},
		{"programs", fullBoth | needAllocated, runPrograms},
		{"syncserver", fullBoth | needAllocated, runSyncServer},
		{"keyhash", fullBoth | needAllocated | needTLS, runKeyHash},
		{"eventkey", fullBoth | needAllocated | needTLS, runEventKey},
		{"fullconfig", needAllocated | live, runFullConfig},
	}
}

func lastCommands() commandTable {
	return commandTable{
		{"routelist", fullMachine | needAllocated, runRouteList},
		{"role", fullMachine | needAllocated, runRole},
		{"rusage", remoteUDP, runRUsage},
		{"watchdoginfo", fullBoth | remoteUDP, runWatchdogInfo},
		{"hostkeys", 0, runHostKeys},
		{"firewallinfo", fullBoth, runFirewallInfo},
		{"hostinfo", 0, runHostInfo},
		{"emulabconfig", needAllocated, nil},
		{"eplabconfig", needAllocated, nil},
		{"localization", fullMachine, runLocalization},
		{"rootpswd", needTLS | live, runRootPassword},
		{"topomap", needAllocated | live, runMap},
		{"userenv", fullBoth | needAllocated, runUserEnv},
		{"tiptunnels", fullBoth | needAllocated, runTipTunnels},
		{"traceinfo", fullBoth | needAllocated, runTraceInfo},
		{"ltmap", needAllocated | live, runMap},
		{"elvindport", 0, nil},
		{"plabeventkeys", needTLS, nil},
		{"intfcmap", 0, runIntfcMap},
		{"motelog", fullBoth | needAllocated, runMoteLog},
		{"portregister", 0, runPortRegister},
		{"bootwhat", 0, runBootwhat},
		{"booterrno", 0, runBootErrno},
		{"bootlog", streams, runBootLog},
		{"battery", remoteUDP, runBattery},
		{"tmcctest", 0, runTMCCTest},
		{"ltpmap", needAllocated | live, runMap},
		{"tpmblob", fullBoth, nil},
		{"tpmpubkey", fullBoth, nil},
		{"tpmdummy", fullBoth | needTPM, nil},
		{"dhcpdconf", fullBoth, runDHCPDConf},
		{"securestate", needTLS, runSecureState},
		{"quoteprep", needTLS, nil},
		{"imagekey", needTPM, nil},
		{"nodeattributes", fullBoth, runNodeAttributes},
		{"disks", fullBoth, runDisks},
		{"arpinfo", 0, runARPInfo},
		{"hwinfo", needAllocated, runHWInfo},
		{"hwcollect", live, runHWCollect},
		{"tiplineinfo", needAllocated, runTipLineInfo},
		{"imageinfo", needAllocated, runImageInfo},
		{"imagesize", needAllocated, runImageSize},
		{"pnetnodeattrs", needAllocated, runPNetNodeAttrs},
		{"serviceinfo", 0, runServiceInfo},
		{"subbossinfo", 0, runSubbossInfo},
		{"publicaddrinfo", needAllocated, runPublicAddrInfo},
		{"wbstore", needAllocated, runWBStore},
		{"attenuatorlist", needAllocated | needTLS, nil},
		{"attenuator", needAllocated | needTLS, nil},
	}
}

// find returns the first command whose name begins the word, as C does:
// "statusfoo" is status.
func (t commandTable) find(word []byte) *command {
	for i := range t {
		name := t[i].name
		if len(word) >= len(name) && string(word[:len(name)]) == name {
			return &t[i]
		}
	}
	return nil
}

var geniPrefix = []byte("geni_")

func isGeni(word []byte) bool { return bytes.HasPrefix(word, geniPrefix) }
