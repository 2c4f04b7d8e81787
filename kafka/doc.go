// Package kafka moves records between the stages and a broker: Event Hubs,
// Redpanda, Apache Kafka or the embedded one.
//
// It promises that nothing is lost: offsets are committed only over a
// contiguous prefix of finished messages, outputs are acknowledged by every
// replica before their inputs count as finished, and what cannot be written is
// a dead letter or a stop, never skipped. It drives two kinds of stages:
// [RunBatches] those that work on batches, [Group] the keyed ones on Goka.
//
// It knows topics, partitions and offsets. It does not know what a record
// means, which stages there are, or how they are joined; that is package
// topology's.
package kafka
