// Package schemas names what flows: the records on the wire, the topics that
// carry them, their keys and the one rule that maps a key to a partition.
//
// It knows no broker, clock or goroutine, and imports nothing of ours; every
// other package imports it.
package schemas
