// Package control is the operators' HTTP API and its client. It answers from
// the registry and hands orders to lifecycle; it decides nothing.
//
// api.go holds the messages, server.go the routes, reply.go how answers are
// written, one file per subject the handlers, client.go what cmd/hyzer uses.
// Bodies are JSON; streams are one JSON value a line, flushed as they happen.
// The last line of a stream is {"end":true}, or {"error": text} if it could not
// go on; without either it was cut off. Errors are {"error": text} with a
// status that tells a wrong request (400), an unknown name (404), a refused
// order (409) and our own fault (500) apart.
//
// The socket is the permission: a unix socket that only operators may open, or
// a loopback address; there, requests that a web page made are refused.
//
// Invariants: Run returns when every request has ended; a client that does not
// read is cut off; bodies, connections and their times are bounded.
package control
