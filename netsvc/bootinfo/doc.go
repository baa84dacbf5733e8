// Package bootinfo answers the boot loader's question "what do I boot?" and
// sends loaders that wait unasked orders (shared specs, page bootinfo).
//
// wire.go is the 520-byte packet. handler.go turns a request and a snapshot
// into a reply and the state reports that go with it. server.go is the socket.
// reports.go makes the reports durable, before the answer if that takes no longer
// than a loader may wait (5 ms in all), and behind it otherwise; recent.go knows
// repeated questions. order.go reports and sends orders.
//
// The appliance runs one Server. The decision is bootplan's.
package bootinfo
