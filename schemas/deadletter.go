package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// MaxDetailBytes is how much text a dead letter says about what is wrong, and
// how much about what to do.
const MaxDetailBytes = 16_000

// DeadLetterFor returns the dead letter of a record that stage could not use.
// What is longer than MaxDeadLetterBytes altogether loses its value, for whose
// bytes the hash and the position stand, then headers and key.
//
// Of the lineage it knows the position only, and only of a device message; the
// stage fills in the rest.
func DeadLetterFor(stage, reason, detail, action string, r Raw) DeadLetter {
	d := DeadLetter{
		Stage: stage, Reason: reason, Detail: cut(detail), Action: cut(action),
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: TicksOf(r.Timestamp),
		Key: r.Key, Value: r.Value, Headers: r.Headers,
	}
	if r.Topic == TopicDeviceData {
		d.Lineage.Partition, d.Lineage.Offset = r.Partition, r.Offset
	}
	rest := len(r.Key)
	for _, h := range r.Headers {
		rest += len(h.Key) + len(h.Value)
	}
	if rest+len(r.Value) > MaxDeadLetterBytes {
		sum := sha256.Sum256(r.Value)
		d.Value, d.SHA256 = nil, hex.EncodeToString(sum[:])
	}
	if rest > MaxDeadLetterBytes {
		d.Headers = nil
	}
	if len(r.Key) > MaxDeadLetterBytes {
		d.Key = nil
	}
	return d
}

// cut returns what of text fits, ending at a character.
func cut(text string) string {
	if len(text) <= MaxDetailBytes {
		return text
	}
	n := MaxDetailBytes
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
