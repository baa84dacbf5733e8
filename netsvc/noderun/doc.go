// Package noderun is what runs beside a node's own scripts: it starts them,
// keeps what they print, and tells the appliance how it went (shared specs,
// page tmcd, sections 5 and 6; page swap, section 3.2).
//
//	BootSetup        the site's boot scripts, in order      bootsetup.go
//	InJail           the same inside a container            bootsetup.go
//	VNodeSetup       a virtual node's start, on its host    single.go
//	CDBoot           a boot from a CD                       single.go
//	Watchdog         signs of life while the node is up     watchdog.go, watch.go
//	CreateSwapImage  the delta that saves a node's disk     swapimage.go
//
// course.go is what the first four have in common, script.go runs one program,
// report.go says which exchanges follow, boss.go makes them, and stream.go sends
// the log while it grows. Package journal keeps it.
//
// Invariants: after a failure the log, the number and the state are sent in
// this order, so whoever waits for the state finds the other two stored. No
// report holds a boot up for longer than reportWithin; a log that could not be
// sent stays on the disk and is sent by the next run. What a script prints is
// bounded in memory and on the disk. No process of a script that was stopped
// is left.
//
// The caller is cmd/hyzer-node.
package noderun
