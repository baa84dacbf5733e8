// Package demo is `make demo`: the appliance as a process, a chassis of virtual
// nodes beside it, and the story of a load that meets a crash and a failure.
//
// It is also the test of the whole: every claim that it prints is checked, and
// its error says which did not hold. demo.go tells the story, load.go its
// main part, table.go shows the nodes.
package demo
