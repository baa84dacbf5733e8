// Package kvtest is the contract of package kv as tests. Every backend must
// pass Run; what a backend promises beyond the contract it tests itself.
package kvtest
