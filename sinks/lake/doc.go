// Package lake keeps the raw zone: every device message as it came, in files
// that Event Hubs Capture could have written, so that whatever reads Capture
// reads them and a replay needs no broker.
//
// It is the sink of devicedata and the reader of its own and of real Capture
// files. It knows bytes, offsets and folders; it does not know what a message
// means, nor who drives it.
//
// # Layout
//
//	{folder}/{generation}/{partition}/{offset}.avro
//
// generation is that of the topic, escaped as in a URL path; partition has 5
// digits; offset, 20 digits, is that of the first record in the file, or the end
// of the file before where the topic itself has a gap. Files are Avro object
// containers of the schema EventData, deflated, with one entry of our own in the
// header: "last", the offset of the last record. A record is
//
//	SequenceNumber    Kafka offset
//	Offset            the same as text
//	EnqueuedTimeUtc   Kafka timestamp as Capture writes it, to the second
//	SystemProperties  x-opt-enqueued-time: Kafka timestamp in milliseconds
//	                  x-opt-partition-key: the record key, text when it is UTF-8; absent when there is none
//	                  auscult-headers: all headers, when Properties cannot hold them
//	Properties        headers as bytes; of several with one name the last
//	Body              the value; null for a tombstone
//
// Properties is a map: it has no order, no name twice and no null. Headers that
// are not strictly ascending by name, or that hold a null, are therefore written
// to auscult-headers as well, one behind the other: length of the name and name,
// then 0 for null or length + 1 and the value; lengths are unsigned varints.
//
// # Exactly once
//
// A file is written under a temporary name, synced, linked to its name, and the
// folder is synced: link(2) makes one file of a name and never a part of it. The
// name is the position at which a file begins, so of two owners of a partition
// one writes it. The other reads where that file ends and goes on behind it; it
// may hold fewer records than the loser has (rule G13). The position of a
// partition is therefore the end of its last file, and nothing else needs to
// remember it.
package lake
