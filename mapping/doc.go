// Package mapping turns device messages into measurements as a device mapping
// file says. The files are those of MedTech and iomt-fhir; an expression gives
// the same texts and instants here as there.
//
// It knows no broker, clock or FHIR server. A mapping is compiled once by
// LoadDevice and never changes; each goroutine maps messages with a Mapper of
// its own, which allocates nothing once it has grown to the size of its
// messages.
//
// # How a message is read
//
// The message is parsed in one pass into a tape: a flat, pre-order list of
// nodes that point into the message's bytes. The envelope {Body, Properties,
// SystemProperties} that expressions see is three nodes more on that tape and
// never a text. All scanning matches ($..[?(@x)]) of all templates are answered
// in one walk over the tape's objects: each object carries a bit mask of the
// names in it that any template mentions, so a template that does not match
// costs next to nothing.
package mapping
