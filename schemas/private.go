package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
)

// privateHexDigits is enough to find the same patient again within one log, and
// says nothing by itself.
const privateHexDigits = 10

// Private is an id or text of a patient or device that must not be printed. It
// shows as a short hash wherever it is logged or formatted. The hash keeps log
// lines apart; it does not hide an id from somebody who can guess it.
type Private string

// String returns the hash.
func (p Private) String() string {
	if p == "" {
		return "none"
	}
	sum := sha256.Sum256([]byte(p))
	return "#" + hex.EncodeToString(sum[:])[:privateHexDigits]
}

// GoString returns the hash: %#v must not print the id either.
func (p Private) GoString() string { return p.String() }

// LogValue returns the hash.
func (p Private) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Records log as their kind and the hash of their key.

// LogValue keeps the content out of logs.
func (m Measurement) LogValue() slog.Value { return logged("measurement", m.Device) }

// LogValue keeps the content out of logs.
func (i Identity) LogValue() slog.Value { return logged("identity", i.Device) }

// LogValue keeps the content out of logs.
func (w Window) LogValue() slog.Value { return logged("window", w.Patient) }

// LogValue keeps the content out of logs.
func (s Score) LogValue() slog.Value { return logged("score", s.Patient) }

// LogValue keeps the content out of logs.
func (o Resource) LogValue() slog.Value { return logged("resource", o.Patient) }

// LogValue keeps the content out of logs: the original bytes above all.
func (d DeadLetter) LogValue() slog.Value {
	return slog.GroupValue(slog.String("record", "dead letter"), slog.String("stage", d.Stage), slog.String("reason", d.Reason),
		slog.String("topic", d.Topic), slog.Int("partition", int(d.Partition)), slog.Int64("offset", d.Offset))
}

// LogValue returns where the record is, not what it holds.
func (r Raw) LogValue() slog.Value {
	return slog.GroupValue(slog.String("topic", r.Topic), slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset),
		slog.Any("key", Private(r.Key)))
}

// LogValue returns where the record goes, not what it holds.
func (o Out) LogValue() slog.Value {
	return slog.GroupValue(slog.String("topic", o.Topic), slog.Any("key", Private(o.Key)))
}

func logged(record, key string) slog.Value {
	return slog.GroupValue(slog.String("record", record), slog.Any("key", Private(key)))
}
