// Package imaging holds what is tested across the packages below it: disk
// images of every version, deltas and signatures against a model, and every
// golden image. docs/imaging.md says what there is for operators.
package imaging
