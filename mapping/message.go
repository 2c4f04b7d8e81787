package mapping

import (
	"strconv"
	"unicode/utf8"
	"unsafe"

	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
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

// MaxMessageBytes is how long a message body may be.
const MaxMessageBytes = tape.MaxMessageBytes

// ParseTime reads a time text as the connector does: strict ISO first, then the
// forms that .NET reads without being told which. No zone means UTC. A time of
// day without a date is refused: the connector takes today's.
func ParseTime(s string) (schemas.Ticks, bool) { return dotnet.ParseTime(s) }

// alias returns b as a string that shares its bytes: valid while they are.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// load fills the tape with the message's envelope.
func load(t *tape.Tape, m *Message) error {
	t.Reset(m.Body)
	if m.Whole {
		return t.Parse()
	}
	root := t.Open()
	if m.HasBody {
		if err := t.Parse(); err != nil {
			return err
		}
	} else {
		t.Push(tape.Null, 0, 0)
	}
	t.SetPart(root, root+1, nameBody)
	properties(t, root, nameProperties, m.Properties)
	properties(t, root, nameSystem, m.System)
	t.Close(root)
	return nil
}

// properties appends one object of properties, the member name of the envelope.
func properties(t *tape.Tape, root uint32, name string, ps []Property) {
	o := t.Open()
	for i := range ps {
		property(t, o, &ps[i])
	}
	t.Close(o)
	t.SetPart(root, o, name)
}

// property appends one property.
func property(t *tape.Tape, o uint32, p *Property) {
	k := tape.Text
	var room [maxPropertyText]byte
	text := room[:0]
	switch p.Kind {
	case PropertyText:
		t.AddProperty(o, k, p.Name, p.Text)
		return
	case PropertyInt:
		k, text = tape.Int, strconv.AppendInt(text, p.Int, 10)
	case PropertyFloat:
		k, text = tape.Float, strconv.AppendFloat(text, p.Float, 'g', -1, 64)
	case PropertyBool:
		if k = tape.False; p.Int != 0 {
			k = tape.True
		}
	case PropertyTime:
		k, text = tape.Date, tape.AppendTime(text, p.Time)
	case PropertyNull:
		k = tape.Null
	}
	t.AddProperty(o, k, p.Name, alias(text))
}

// maxPropertyText is how long the text of a number or time can be.
const maxPropertyText = 40
