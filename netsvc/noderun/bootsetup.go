package noderun

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scriptsDefault is the folder of the site's scripts.
const scriptsDefault = "/etc/emulab/boot.d"

// BootSetup runs the site's scripts with the action as their argument: those
// named in args, or those of a folder. It reports TBSETUP before them, and
// after a failure the log, its exit status as number, and TBFAILED. It returns
// that status.
//
//	bootsetup [options] [boot|reboot|reconfig|shutdown] [script...]
//
// A shutdown reports SHUTDOWN in place of TBSETUP, runs all scripts whatever
// becomes of each, and ends without TBFAILED: nobody waits for the node.
func BootSetup(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return setup("bootsetup", args, os.Getenv, stdout, stderr, nil)
}

// InJail is BootSetup inside a container: the log stays there, since hundreds
// of containers that send theirs at once would be more than anybody reads.
func InJail(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return setup("injail", args, os.Getenv, stdout, stderr, nil)
}

// actions are what scripts can be asked to do.
func actions() []string { return []string{"boot", "reboot", "reconfig", "shutdown"} }

// setup is BootSetup or InJail; change, if any, is made to the settings.
func setup(name string, args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int {
	flags := newFlags(name+" [options] [boot|reboot|reconfig|shutdown] [script...]", stderr)
	s := newSettings(flags, stdout)
	folder := flags.String("d", scriptsDefault, "`folder` whose programs are run in the order of their names if no script is named")
	isUp := flags.Bool("isup", false, "report ISUP after success; without it a script or a later service does")
	if err := flags.Parse(args); err != nil {
		return statusOfFlags(err)
	}
	if change != nil {
		change(s)
	}
	action, scripts := "boot", flags.Args()
	if len(scripts) > 0 && slices.Contains(actions(), scripts[0]) {
		action, scripts = scripts[0], scripts[1:]
	}
	defer s.connect(env)()
	c := setupCourse(name, action, *isUp)
	if len(scripts) == 0 {
		var err error
		if scripts, err = programsIn(*folder); err != nil {
			// A node without its scripts must not look as if it were set up.
			fmt.Fprintf(stderr, "%s: %v; name a script, or a folder with -d\n", name, err)
			return s.follow(context.Background(), c, []task{{path: *folder}})
		}
	}
	var tasks []task
	for _, script := range scripts {
		tasks = append(tasks, task{script, []string{action}})
	}
	return s.follow(context.Background(), c, tasks)
}

// setupCourse says what is told of an action.
func setupCourse(name, action string, isUp bool) course {
	c := course{name: name, begin: []string{"TBSETUP"}, failed: "TBFAILED", errno: true, log: logOnFailure, stream: true}
	if isUp {
		c.done = []string{"ISUP"}
	}
	if action == "shutdown" {
		c.begin, c.done, c.failed, c.goOn = []string{"SHUTDOWN"}, nil, "", true
	}
	if name == "injail" {
		c.log, c.stream = logNever, false
	}
	return c
}

// programsIn lists a folder's executable files by name, without hidden ones
// and what editors leave.
func programsIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder) // sorted
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := os.Stat(path) // of what a link points to
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		if !strings.HasPrefix(entry.Name(), ".") && !strings.HasSuffix(entry.Name(), "~") {
			found = append(found, path)
		}
	}
	return found, nil
}

func statusOfFlags(err error) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	return statusUsage
}
