// Package chassis is a management controller that powers many virtual nodes:
// an HTTP server that speaks the part of Redfish (DMTF DSP0266) that power
// control needs. It is the other end of netsvc/lifecycle/reboot.
//
//	GET  /redfish/v1/Systems                 the slots
//	GET  /redfish/v1/Systems/{id}            PowerState
//	POST .../{id}/Actions/ComputerSystem.Reset   On, ForceOff, ForceRestart
//
// A slot can be told to misbehave as controllers do: to accept an order and
// forget it, to refuse it, to show a power state that is not so, or not to
// answer.
//
// Invariants: an order is carried out when its answer leaves; at most one order
// per slot is carried out at a time. Run ends only when every request is done;
// it leaves the power of the machines as it is.
//
// The callers are tests of the whole appliance and cmd/hyzer-bench.
package chassis
