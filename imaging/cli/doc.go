// Package cli is what the command-line programs have in common: how the old
// programs' command lines are read, what the values of options can be, and lines
// that several goroutines print. The programs are in imaging, in multicast, and
// in netsvc (tmcc and the scripts of nodes).
package cli
