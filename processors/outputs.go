package processors

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/lovoo/goka"

	"auscult/schemas"
	"auscult/state"
)

// maxOutputsBytes is how much one callback should emit at most: with it the row
// that owes all of it stays below its own limit.
const maxOutputsBytes = state.MaxRowBytes / 2

// maxOwedDeadLetter is how many bytes of a record a dead letter made from a row
// carries: it lies in the row until it is out. Longer ones are found by their
// position.
const maxOwedDeadLetter = 100_000

// Outputs takes what one callback emits, gives each record its order (G2) and
// keeps the bytes until the row has been written.
type Outputs struct {
	stage   string
	inputs  []string
	topics  []string // the stage's outputs
	key     string   // of the row
	version int64    // of the row that will be written
	input   uint8
	offset  int64
	ctx     goka.Context
	message []byte // the message at hand; nil in a tick
	list    []state.Owed
	encoded []byte // the values in list
	bytes   int
	owes    bool // the row owes outputs of earlier callbacks
}

func (o *Outputs) begin(version int64, input uint8, offset int64) {
	o.version, o.input, o.offset = version, input, offset
}

// Full reports that the callback has emitted as much as one may: what is left
// is work for the next tick (state.RowWork).
func (o *Outputs) Full() bool { return o.bytes >= maxOutputsBytes }

// Owes reports that outputs of earlier callbacks may not be out yet.
func (o *Outputs) Owes() bool { return o.owes }

// Empty reports that nothing has been emitted.
func (o *Outputs) Empty() bool { return len(o.list) == 0 }

// Raw is the message at hand, for dead letters.
func (o *Outputs) Raw() schemas.Raw {
	if o.input == state.OwedByTick {
		return schemas.Raw{Partition: o.ctx.Partition(), Key: []byte(o.key)}
	}
	r := schemas.Raw{
		Topic: o.inputs[o.input], Partition: o.ctx.Partition(), Offset: o.offset,
		Key: []byte(o.key), Value: o.message, Timestamp: o.ctx.Timestamp(),
	}
	headers := o.ctx.Headers()
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		r.Headers = append(r.Headers, schemas.Header{Key: name, Value: headers[name]})
	}
	return r
}

func (o *Outputs) order() schemas.Order {
	return schemas.Order{Version: o.version, Index: int32(len(o.list))}
}

// Window emits w to its patient.
func (o *Outputs) Window(w *schemas.Window) {
	w.Order = o.order()
	o.add(schemas.TopicWindows, w.Patient, w.Append, w.Lineage)
}

// Score emits s for its patient.
func (o *Outputs) Score(s *schemas.Score) {
	s.Order = o.order()
	o.add(schemas.TopicScores, s.Patient, s.Append, s.Lineage)
}

// Resource emits r for its patient's warm resources.
func (o *Outputs) Resource(r *schemas.Resource) {
	r.Order = o.order()
	o.add(schemas.TopicResources, r.Patient, r.Append, r.Lineage)
}

// ResourceHot emits r ahead of all warm resources.
func (o *Outputs) ResourceHot(r *schemas.Resource) {
	r.Order = o.order()
	o.add(schemas.TopicResourcesHot, r.Patient, r.Append, r.Lineage)
}

// Dead makes the message at hand a dead letter.
func (o *Outputs) Dead(reason, detail, action string, l schemas.Lineage) {
	o.DeadRaw(reason, detail, action, o.Raw(), l)
}

// DeadRaw makes r a dead letter. l is the lineage of its value, if known.
func (o *Outputs) DeadRaw(reason, detail, action string, r schemas.Raw, l schemas.Lineage) {
	d := schemas.DeadLetterFor(o.stage, reason, detail, action, r)
	if l != (schemas.Lineage{}) {
		d.Lineage = l
	}
	if len(d.Value) > maxOwedDeadLetter {
		sum := sha256.Sum256(d.Value)
		d.Value, d.SHA256 = nil, hex.EncodeToString(sum[:])
	}
	// A longer key, of a foreign producer, would make a row that cannot be read.
	o.append(schemas.TopicDeadLetters, o.key[:min(len(o.key), state.MaxOwedKey)], o.encode(d.Append))
}

// add queues a record; one that no broker would take becomes a dead letter.
func (o *Outputs) add(topic, key string, encode func([]byte) []byte, l schemas.Lineage) {
	value := o.encode(encode)
	if len(value) <= state.MaxOutputBytes && len(key) <= state.MaxOwedKey {
		o.append(topic, key, value)
		return
	}
	o.Dead(schemas.ReasonSize, fmt.Sprintf("a record for %s has %d bytes and a key of %d", topic, len(value), len(key)),
		"find out what makes the values of this key so large; retry when that has been put right", l)
}

// encode returns a record's bytes, which last until the row has been built.
func (o *Outputs) encode(appendTo func([]byte) []byte) []byte {
	from := len(o.encoded)
	o.encoded = appendTo(o.encoded)
	return o.encoded[from:len(o.encoded):len(o.encoded)]
}

func (o *Outputs) append(topic, key string, value []byte) {
	place := slices.Index(o.topics, topic)
	if place < 0 {
		panic(fmt.Sprintf("stage %s has no output %s", o.stage, topic)) // our own bug: stop
	}
	o.list = append(o.list, state.Owed{Input: o.input, Topic: uint8(place), Offset: o.offset, Key: key, Value: value})
	o.bytes += len(value)
}

// contentTypes caches the header of each schema that this process has sent.
var contentTypes sync.Map // uint64 -> []byte

// contentType returns the content-type header of an encoded record. A row may
// owe a record that an earlier release has encoded, so the bytes decide.
func contentType(value []byte) []byte {
	const header = 10 // C3 01 and the fingerprint
	if len(value) < header {
		return nil
	}
	fingerprint := binary.LittleEndian.Uint64(value[2:header])
	if text, ok := contentTypes.Load(fingerprint); ok {
		return text.([]byte)
	}
	text := fmt.Appendf(nil, "avro/binary+%016x", fingerprint)
	contentTypes.Store(fingerprint, text)
	return text
}
