// Package reboot gets nodes down and up again: it wakes those that wait in
// their boot loader, and switches the power of the others (shared specs, page
// load, section 4).
//
// Ladder implements stated.Actor: stated decides that a node is rebooted and
// watches over it; this package does it and reports what it saw. A power cycle
// is off, SHUTDOWN reported, on, in this order, so that no report of the next
// boot can come before that of the end of the last one.
//
// Drivers switch power: redfish for management controllers, exec for anything
// that has a command.
package reboot
