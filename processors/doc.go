// Package processors is the stages of the river, one file each: what happens to
// a record between two topics.
//
// It knows no broker: stages with a row per key are callbacks over a
// goka.Context, the others functions over batches, and both are driven live, by
// replays and by tests alike.
package processors
