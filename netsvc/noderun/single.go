package noderun

import (
	"context"
	"fmt"
	"io"
	"os"
)

// vnodeBytesMax is what tmcd reads of a node's name.
const vnodeBytesMax = 30

// VNodeSetup runs a command that starts a virtual node on this host. The
// command is to end with 0 once the virtual node runs; if it fails or is late,
// the log, its exit status and TBFAILED are reported in the virtual node's
// name, since the virtual node itself cannot. It returns that status.
//
//	vnodesetup [options] vnode command [argument...]
func VNodeSetup(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return vnodeSetup(args, os.Getenv, stdout, stderr, nil)
}

func vnodeSetup(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int {
	return single("vnodesetup [options] vnode command [argument...]", 2, args, env, stdout, stderr, change,
		func(words []string) (course, []string, error) {
			vnode := words[0]
			if !isNodeName(vnode) {
				return course{}, nil, fmt.Errorf("%q is no name of a node", vnode)
			}
			return course{name: "vnodesetup-" + vnode, vnode: vnode, log: logOnFailure, errno: true, failed: "TBFAILED"}, words[1:], nil
		})
}

// CDBoot runs the command that a CD's boot consists of. Its log is always
// reported: such a node may have no disk to keep it on. After a failure the
// state is PXEFAILED, as the CD's system runs in the mode PXEFBSD.
//
//	cdboot [options] command [argument...]
func CDBoot(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return cdBoot(args, os.Getenv, stdout, stderr, nil)
}

func cdBoot(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int {
	return single("cdboot [options] command [argument...]", 1, args, env, stdout, stderr, change,
		func(words []string) (course, []string, error) {
			return course{name: "cdboot", log: logAlways, stream: true, failed: "PXEFAILED"}, words, nil
		})
}

// single runs one command; read makes a course of the operands.
func single(synopsis string, wordsMin int, args []string, env func(string) string, stdout, stderr io.Writer,
	change func(*settings), read func(words []string) (course, []string, error)) int {
	flags := newFlags(synopsis, stderr)
	s := newSettings(flags, stdout)
	if err := flags.Parse(args); err != nil {
		return statusOfFlags(err)
	}
	if flags.NArg() < wordsMin {
		flags.Usage()
		return statusUsage
	}
	c, command, err := read(flags.Args())
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", flags.Name(), err)
		return statusUsage
	}
	if change != nil {
		change(s)
	}
	defer s.connect(env)()
	return s.follow(context.Background(), c, []task{{command[0], command[1:]}})
}

// isNodeName reports whether tmcd takes the name; it is also part of a file's
// name here.
func isNodeName(s string) bool {
	for i := range len(s) {
		b := s[i]
		if !('a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_') {
			return false
		}
	}
	return s != "" && len(s) <= vnodeBytesMax && s[0] != '-'
}
