// Package control is the operators' HTTP API and its client. It answers from
// the registry and hands orders to lifecycle; it decides nothing.
//
// api.go holds the messages, server.go the routes, one file per subject the
// handlers, client.go what cmd/hyzer uses. Bodies are JSON; streams are one
// JSON value a line, flushed as they happen, and end when the thing that is
// followed ends. Errors are {"error": text} with a status that tells a wrong
// request (400), an unknown name (404), a refused order (409) and our own fault
// (500) apart.
//
// The socket is the permission: a unix socket that only operators may open, or
// a loopback address.
package control
