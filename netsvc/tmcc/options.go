package tmcc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
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
	wordsMax  = 5
	withValue = "spvnkltxXof" // options that take a value
	flags     = "duiRT"
)

const usage = `usage: tmcc [-diuR] [-s server] [-p port] [-v version] [-n vnodeid] [-k keyfile]
            [-t seconds] [-f file] [-l path] [--legacy] [--exit-status] command [args ...]
       tmcc [-k keyfile] --delegate vnodeid
       tmcc -x path | -X [ip]:[port] [-n vnodeid] [-o logfile] ...
`

var errUsage = errors.New("bad command line")

// parseOptions reads options and words in any order, as glibc's getopt does.
// After "--" all is words.
func parseOptions(args []string) (options, error) {
	o := options{version: VersionCurrent}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			o.words = append(o.words, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			o.words = append(o.words, arg)
			continue
		}
		if o.long(arg) {
			continue
		}
		var err error
		if args, err = o.cluster(arg[1:], args); err != nil {
			return o, err
		}
	}
	return o, o.check()
}

// cluster reads one argument of options, such as "du" or "t5". It returns the
// arguments left.
func (o *options) cluster(letters string, args []string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		letter := letters[i]
		if strings.IndexByte(flags, letter) >= 0 {
			if err := o.flag(letter); err != nil {
				return nil, err
			}
			continue
		}
		if strings.IndexByte(withValue, letter) < 0 {
			return nil, fmt.Errorf("%w: no option -%c", errUsage, letter)
		}
		value := letters[i+1:]
		if value == "" {
			if len(args) == 0 {
				return nil, fmt.Errorf("%w: option -%c needs a value", errUsage, letter)
			}
			value, args = args[0], args[1:]
		}
		return args, o.set(letter, value)
	}
	return args, nil
}

func (o *options) flag(letter byte) error {
	switch letter {
	case 'd':
		o.debug = true
	case 'u':
		o.udp = true
	case 'R':
		o.noRetry = true
	case 'i':
		o.clear = true
	case 'T':
		return fmt.Errorf("%w: -T: no TPM here", errUsage)
	}
	return nil
}

func (o *options) set(letter byte, value string) error {
	var err error
	switch letter {
	case 's':
		o.server = value
	case 'p':
		var port uint64
		port, err = strconv.ParseUint(value, 10, 16)
		o.port = uint16(port)
	case 'v':
		o.version, err = strconv.Atoi(value)
	case 'n':
		o.vnode = value
	case 'k':
		o.keyFile = value
	case 'l':
		o.unix = value
	case 't':
		o.timeoutSecs, err = strconv.Atoi(value)
	case 'x':
		o.proxyUnix = value
	case 'X':
		o.proxyInet = value
	case 'o':
		o.logFile = value
	case 'f':
		o.dataFile = value
	}
	if err != nil {
		return fmt.Errorf("%w: -%c %s: want a number", errUsage, letter, value)
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
