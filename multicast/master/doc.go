// Package master is Frisbee's master server, which nodes ask over TCP where an
// image is being sent (spec frisbee, part B), and the client side of that
// question.
//
// Sessions runs one multicast/server per image and version in this process,
// gives each a group address and port, and keeps them in a Store, so that
// after a crash a running load goes on at the same address. Server answers the
// messages: it asks the Catalog whether the caller may have the image, and
// Sessions to start or join it.
//
// Invariants: an address is stored before a client is told of it; a session
// sends one version of an image only, a replaced image gets another session;
// connections, their time and the sessions are bounded; a slow disk is waited for
// by those only who ask for an image on it.
//
// The callers are netsvc/appliance (Server, Sessions) and the node tools
// (Get).
package master
