// Package reboot gets nodes down and up again: it wakes those that wait in
// their boot loader, asks those that run a system to reboot, if the site gave a
// key for that, and switches the power of the others (shared specs, page load,
// section 4). The ping of death is no rung here: no page says what is in it.
//
// Ladder implements stated.Actor: stated decides that a node is rebooted and
// watches over it; this package does it and reports what it saw. A power cycle
// is off, SHUTDOWN reported, on, in this order, so that no report of the next
// boot can come before that of the end of the last one.
//
// Drivers switch power: redfish for management controllers, exec for anything
// that has a command.
package reboot
