package mapping

import (
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"auscult/schemas"
)

// Names of the envelope and of the properties that brokers add.
const (
	nameBody       = "Body"
	nameProperties = "Properties"
	nameSystem     = "SystemProperties"

	nameCreationTime   = "iothub-creation-time-utc"
	nameSequenceNumber = "x-opt-sequence-number"
	nameOffset         = "x-opt-offset"
	nameEnqueuedTime   = "x-opt-enqueued-time"
	namePartitionKey   = "x-opt-partition-key"
	prefixIoTHub       = "iothub-"

	// HeaderEnqueuedTime is the header in which an IoT Hub says when it took
	// the message.
	HeaderEnqueuedTime = "iothub-enqueuedtime"
)

// PropertyKind is the kind of a property's value.
type PropertyKind uint8

// The kinds of properties.
const (
	PropertyText  PropertyKind = iota // Text
	PropertyInt                       // Int
	PropertyFloat                     // Float
	PropertyBool                      // Int: 0 or 1
	PropertyTime                      // Time
	PropertyNull
)

// Property is one application or system property of a message.
type Property struct {
	Name  string
	Kind  PropertyKind
	Text  string
	Int   int64
	Float float64
	Time  schemas.Ticks
}

// Message is what the templates of a mapping see: {Body, Properties,
// SystemProperties}, without that text ever being made.
type Message struct {
	Body       []byte
	HasBody    bool // false: Body is null, as for an event without bytes
	Whole      bool // Body is the text of the whole envelope; properties are ignored
	Properties []Property
	System     []Property
}

// EnvelopeOf makes the message of a Kafka record: headers become application
// properties, those that an IoT Hub sets system properties, and what Event Hubs
// would have added is made from the record's position, time and key. Texts
// alias the record.
func EnvelopeOf(r schemas.Raw) Message {
	var m Message
	m.Take(r)
	return m
}

// Take is EnvelopeOf into a message that is used again.
func (m *Message) Take(r schemas.Raw) {
	m.Body, m.HasBody, m.Whole = r.Value, len(r.Value) > 0, false
	m.Properties, m.System = m.Properties[:0], m.System[:0]
	for i := range r.Headers {
		h := &r.Headers[i]
		p := propertyOf(h.Key, h.Value)
		switch {
		case isSynthetic(h.Key): // ours stand
		case isSystem(h.Key):
			m.System = append(m.System, p)
		default:
			m.Properties = append(m.Properties, p)
		}
	}
	m.System = append(m.System,
		Property{Name: nameSequenceNumber, Kind: PropertyInt, Int: r.Offset},
		Property{Name: nameOffset, Kind: PropertyInt, Int: r.Offset},
		Property{Name: nameEnqueuedTime, Kind: PropertyTime, Time: schemas.TicksOf(r.Timestamp)})
	if len(r.Key) > 0 && utf8.Valid(r.Key) {
		m.System = append(m.System, Property{Name: namePartitionKey, Text: alias(r.Key)})
	}
}

// isSystem tells which headers an IoT Hub sets itself; a device cannot forge
// them. The creation time is the device's own claim.
func isSystem(name string) bool {
	return len(name) > len(prefixIoTHub) && name[:len(prefixIoTHub)] == prefixIoTHub && name != nameCreationTime
}

func isSynthetic(name string) bool {
	return name == nameSequenceNumber || name == nameOffset || name == nameEnqueuedTime || name == namePartitionKey
}

// EnqueuedTime returns when the IoT Hub took the record, if its headers say so.
func EnqueuedTime(headers []schemas.Header) (schemas.Ticks, bool) {
	for i := range headers {
		if headers[i].Key != HeaderEnqueuedTime {
			continue
		}
		switch p := propertyOf(headers[i].Key, headers[i].Value); p.Kind {
		case PropertyTime:
			return p.Time, true
		case PropertyText:
			return ParseTime(p.Text)
		}
	}
	return 0, false
}

// alias returns b as a string that shares its bytes: valid while they are.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// load fills the tape with the message's envelope.
func (t *tape) load(m *Message, e *envelopeNames) error {
	t.reset(m.Body)
	if m.Whole {
		if err := t.parse(); err != nil {
			return err
		}
		t.settle()
		return nil
	}
	t.push(kindObject, 0, 0)
	t.objects = append(t.objects, 0)
	if m.HasBody {
		if err := t.parse(); err != nil {
			return err
		}
	} else {
		t.push(kindNull, 0, 0)
	}
	t.settle()
	t.nodes[1].id = e.body
	t.properties(e.properties, m.Properties)
	t.properties(e.system, m.System)
	root := &t.nodes[0]
	root.size = uint32(len(t.nodes))
	root.mask = 1<<(e.body&63) | 1<<(e.properties&63) | 1<<(e.system&63)
	return nil
}

// envelopeNames are the numbers of the envelope's own names.
type envelopeNames struct{ body, properties, system nameID }

// properties appends one object of properties. Those that no expression
// mentions are left out: nothing could see them.
func (t *tape) properties(id nameID, ps []Property) {
	o := len(t.nodes)
	t.push(kindObject, 0, 0)
	t.nodes[o].id = id
	t.objects = append(t.objects, uint32(o))
	var mask uint64
	again := false
	for i := range ps {
		name, _ := t.names.find(unsafe.Slice(unsafe.StringData(ps[i].Name), len(ps[i].Name)))
		if name == 0 {
			continue
		}
		bit := uint64(1) << (name & 63)
		again = again || mask&bit != 0
		mask |= bit
		t.property(name, &ps[i])
	}
	t.nodes[o].mask = mask
	if again {
		t.dedupe(o)
	}
	t.nodes[o].size = uint32(len(t.nodes) - o)
}

// property appends one property; its texts go to the side buffer.
func (t *tape) property(id nameID, p *Property) {
	name := len(t.side)
	t.side = append(t.side, p.Name...)
	start := len(t.side)
	k := kindText
	switch p.Kind {
	case PropertyText:
		t.side = append(t.side, p.Text...)
	case PropertyInt:
		k, t.side = kindInt, strconv.AppendInt(t.side, p.Int, 10)
	case PropertyFloat:
		k, t.side = kindFloat, strconv.AppendFloat(t.side, p.Float, 'g', -1, 64)
	case PropertyBool:
		if k = kindFalse; p.Int != 0 {
			k = kindTrue
		}
	case PropertyTime:
		k, t.side = kindDate, appendTime(t.side, p.Time)
	case PropertyNull:
		k = kindNull
	}
	t.push(k, start, len(t.side))
	n := &t.nodes[len(t.nodes)-1]
	n.id, n.name, n.nameEnd = id, uint32(name), uint32(start)
	n.flags |= flagSide | flagNameSide
}

// appendTime appends t as a date token spells it.
func appendTime(dst []byte, t schemas.Ticks) []byte {
	return t.Time().AppendFormat(dst, time.RFC3339Nano)
}
