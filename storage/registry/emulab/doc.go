// Package emulab turns an Emulab database into registry records.
//
// sql.go reads MySQL text, as mysqldump or hand-made scripts write it, row by
// row. tables.go keeps the rows of the tables that matter. The other files map
// them to records, one per group of kinds. Import is the whole of it.
//
// Invariant: nothing is dropped in silence. Every table that was seen is in the
// Report with the number of rows taken and left, and every row or reference
// that could not be used is in its notes. What Import returns satisfies the
// registry's rules for names and references.
//
// Callers: `hyzer import emulab dump.sql`, and tests that replay the golden
// exchanges of the shared specs.
package emulab
