// Package bootinfo answers the boot loader's question "what do I boot?" and
// sends loaders that wait unasked orders (shared specs, page bootinfo).
//
// wire.go is the 520-byte packet. handler.go turns a request and a snapshot
// into a reply and the state reports that go with it. server.go is the socket:
// it makes the reports durable before it answers, but not at any price, for a
// loader that hears nothing resets the machine. order.go reports and sends orders.
//
// The appliance runs one Server. The decision is bootplan's.
package bootinfo
