// Package states holds the node state tables as data and the pure machine
// that follows a node over them.
//
// The tables say, for each op_mode, which transitions are expected, how long
// a state may last, what entering it sets off and where the node may change
// to another op_mode (shared specs: states.md). The machine is one function,
//
//	node, effects := Step(tables, node, event, now)
//
// with no clock, store, network or goroutine of its own (shared specs:
// stated.md sections 3 to 5). It is total: it returns for any node, event and
// table without a panic.
//
// Invariants, held by every Step:
//
//   - The node's (Mode, State) is that of the last LogState effect; a Step
//     without one changes neither.
//   - An op_mode that the tables do not know is never entered.
//   - Reality wins. A transition that is not in the tables is recorded as
//     Invalid and applied, because refusing it wedges the node when one
//     event is lost. The exceptions are those of stated.md section 3.
//   - The state's deadline and the pending command are separate records. No
//     state report cancels a retry unless it shows that the command worked
//     or was overtaken.
//   - A report of what a node was told from records of before its command does
//     not settle the command; if the command's worker has failed and the node
//     turns out to listen, the command is tried again at once.
//   - A deadline or command time-out that was armed for an earlier stay or
//     attempt is ignored: it carries the generation it was armed with.
//   - The slices of the given Node are never written to.
//
// The runner (package stated) calls Step inside a store transaction, writes
// the returned Node and the effects for which Kind.External is false in that
// transaction, and hands the others to workers after it is durable.
package states
