package tmcc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hyzer/imaging/cli"
)

// options is the command line.
type options struct {
	debug       bool
	server      string
	port        uint16
	version     int
	vnode       string
	keyFile     string
	udp         bool
	unix        string // -l
	timeoutSecs int
	proxyUnix   string // -x
	proxyInet   string // -X
	logFile     string
	dataFile    string
	noRetry     bool // -R
	clear       bool // -i: no TLS
	legacy      bool // --legacy: no TMC2
	exitStatus  bool // --exit-status: that of TMC2
	delegate    bool // --delegate: print a virtual node's key
	words       []string
}

const (
	wordsMax      = 5
	optionLetters = "duiRTs:p:v:n:k:l:t:x:X:o:f:"
)

const usage = `usage: tmcc [-diuR] [-s server] [-p port] [-v version] [-n vnodeid] [-k keyfile]
            [-t seconds] [-f file] [-l path] [--legacy] [--exit-status] command [args ...]
       tmcc [-k keyfile] --delegate vnodeid
       tmcc -x path | -X [ip]:[port] [-n vnodeid] [-o logfile] ...
`

var errUsage = errors.New("bad command line")

// parseOptions reads options and words in any order. After "--" all is words.
func parseOptions(args []string) (options, error) {
	o := options{version: VersionCurrent}
	list, words, err := cli.Parse(args, optionLetters, longOptions()...)
	if err == nil {
		o.words = words
		err = cli.Each(list, o.set)
	}
	if err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	return o, o.check()
}

func (o *options) set(option cli.Option) error {
	value := option.Value
	var err error
	switch option.Letter {
	case 0:
		o.long(option.Name)
	case 'd':
		o.debug = true
	case 'u':
		o.udp = true
	case 'R':
		o.noRetry = true
	case 'i':
		o.clear = true
	case 'T':
		return errors.New("no TPM here")
	case 's':
		o.server = value
	case 'n':
		o.vnode = value
	case 'k':
		o.keyFile = value
	case 'l':
		o.unix = value
	case 'x':
		o.proxyUnix = value
	case 'X':
		o.proxyInet = value
	case 'o':
		o.logFile = value
	case 'f':
		o.dataFile = value
	default:
		err = o.number(option)
	}
	return err
}

func (o *options) number(option cli.Option) error {
	var err error
	switch option.Letter {
	case 'p':
		var port uint64
		port, err = strconv.ParseUint(option.Value, 10, 16)
		o.port = uint16(port)
	case 'v':
		o.version, err = strconv.Atoi(option.Value)
	case 't':
		o.timeoutSecs, err = strconv.Atoi(option.Value)
	}
	if err != nil {
		return fmt.Errorf("%q: want a number", option.Value)
	}
	return nil
}

func (o *options) check() error {
	proxy := o.proxyUnix != "" || o.proxyInet != ""
	switch {
	case proxy && len(o.words) > 0, !proxy && len(o.words) == 0:
		return errUsage
	case len(o.words) > wordsMax:
		return fmt.Errorf("%w: more than %d words", errUsage, wordsMax)
	case o.unix != "" && (o.keyFile != "" || o.server != ""):
		return fmt.Errorf("%w: -l goes with neither -k nor -s", errUsage)
	case o.udp && o.dataFile != "":
		return fmt.Errorf("%w: -u and -f exclude each other", errUsage)
	}
	return nil
}

func (o *options) timeout() time.Duration { return time.Duration(o.timeoutSecs) * time.Second }

// parseListen reads "ip:port", where both may be left out.
func parseListen(s string) (netip.AddrPort, error) {
	host, port, hasPort := strings.Cut(s, ":")
	if host == "" {
		host = "127.0.0.1"
	}
	if !hasPort || port == "" {
		port = "7778"
	}
	return netip.ParseAddrPort(host + ":" + port)
}
