// Package bootplan holds the one decision of what a machine boots.
//
// Resolve answers bootinfo and tmcd's bootwhat; File answers DHCP and HTTP
// boot; `hyzer explain` shows the reasons of both. All are pure functions of a
// registry snapshot. The rules are those of the shared specs, page bootinfo,
// section 3; the numbers in comments are its numbers.
package bootplan
