package lake

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/linkedin/goavro/v2"

	"auscult/schemas"
)

// eventData is Capture's schema, to the letter: readers compare it.
const eventData = `{"type":"record","name":"EventData","namespace":"Microsoft.ServiceBus.Messaging","fields":[` +
	`{"name":"SequenceNumber","type":"long"},{"name":"Offset","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},` +
	`{"name":"SystemProperties","type":{"type":"map","values":["long","double","string","bytes"]}},` +
	`{"name":"Properties","type":{"type":"map","values":["long","double","string","bytes"]}},` +
	`{"name":"Body","type":["null","bytes"]}]}`

// The system properties that stand for a part of the Kafka record. All others
// were headers.
const (
	propertyKey     = "x-opt-partition-key"
	propertyTime    = "x-opt-enqueued-time"
	propertyOffset  = "x-opt-offset"
	propertyNumber  = "x-opt-sequence-number"
	propertyHeaders = "auscult-headers"
)

// captureTime is how Capture writes a time: .NET's general format.
const captureTime = "1/2/2006 3:04:05 PM"

// captureTimes are the forms in which EnqueuedTimeUtc has been seen.
var captureTimes = []string{captureTime, "1/2/2006 15:04:05", time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

// eventOf returns a record as goavro writes it.
func eventOf(r schemas.Raw) map[string]any {
	system := map[string]any{propertyTime: goavro.Union("long", r.Timestamp.UnixMilli())}
	if r.Key != nil {
		system[propertyKey] = textOrBytes(r.Key)
	}
	properties := make(map[string]any, len(r.Headers))
	for _, h := range r.Headers {
		if utf8.ValidString(h.Key) {
			properties[h.Key] = goavro.Union("bytes", h.Value)
		}
	}
	if !fitsMap(r.Headers) {
		system[propertyHeaders] = goavro.Union("bytes", appendHeaders(nil, r.Headers))
	}
	var body any
	if r.Value != nil {
		body = goavro.Union("bytes", r.Value)
	}
	return map[string]any{
		"SequenceNumber": r.Offset, "Offset": strconv.FormatInt(r.Offset, 10),
		"EnqueuedTimeUtc":  r.Timestamp.UTC().Format(captureTime),
		"SystemProperties": system, "Properties": properties, "Body": body,
	}
}

func textOrBytes(v []byte) any {
	if utf8.Valid(v) {
		return goavro.Union("string", string(v))
	}
	return goavro.Union("bytes", v)
}

// fitsMap reports whether headers come back from a map as they were: a map is
// read in ascending order.
func fitsMap(headers []schemas.Header) bool {
	for i, h := range headers {
		if h.Value == nil || !utf8.ValidString(h.Key) || i > 0 && headers[i-1].Key >= h.Key {
			return false
		}
	}
	return true
}

func appendHeaders(dst []byte, headers []schemas.Header) []byte {
	for _, h := range headers {
		dst = append(binary.AppendUvarint(dst, uint64(len(h.Key))), h.Key...)
		if h.Value == nil {
			dst = append(dst, 0)
			continue
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(h.Value))+1), h.Value...)
	}
	return dst
}

var errHeaders = errors.New("its " + propertyHeaders + " are damaged")

func readHeaders(b []byte) ([]schemas.Header, error) {
	var headers []schemas.Header
	for len(b) > 0 {
		name, rest, err := take(b, 0)
		if err != nil {
			return nil, err
		}
		value, rest, err := take(rest, 1)
		if err != nil {
			return nil, err
		}
		headers, b = append(headers, schemas.Header{Key: string(name), Value: value}), rest
	}
	return headers, nil
}

// take cuts off a part that stands behind its length plus more; nil when that
// sum is below more.
func take(b []byte, more uint64) (part, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return nil, nil, errHeaders
	}
	b = b[size:]
	if n < more {
		return nil, b, nil
	}
	n -= more
	if n > uint64(len(b)) {
		return nil, nil, errHeaders
	}
	return b[:n:n], b[n:], nil
}

// recordOf returns the Kafka record of an event. Its parts alias the event.
func recordOf(event any, partition int32) (schemas.Raw, error) {
	fields, ok := event.(map[string]any)
	if !ok {
		return schemas.Raw{}, errors.New("it is no record")
	}
	offset, isNumber := fields["SequenceNumber"].(int64)
	system, hasSystem := fields["SystemProperties"].(map[string]any)
	properties, hasProperties := fields["Properties"].(map[string]any)
	if !isNumber || !hasSystem || !hasProperties {
		return schemas.Raw{}, errors.New("its SequenceNumber, SystemProperties or Properties are not of Capture's types")
	}
	r := schemas.Raw{Topic: schemas.TopicDeviceData, Partition: partition, Offset: offset, Value: bytesOf(fields["Body"]), Key: bytesOf(system[propertyKey])}
	var err error
	if r.Timestamp, err = timeOf(system[propertyTime], fields["EnqueuedTimeUtc"]); err != nil {
		return schemas.Raw{}, err
	}
	if exact := bytesOf(system[propertyHeaders]); exact != nil {
		r.Headers, err = readHeaders(exact)
		return r, err
	}
	r.Headers = headersOf(system, properties)
	return r, nil
}

// bytesOf returns the bytes of a union of null, text and bytes.
func bytesOf(union any) []byte {
	branch, _ := union.(map[string]any)
	for _, v := range branch {
		switch v := v.(type) {
		case []byte:
			return v
		case string:
			return []byte(v)
		}
	}
	return nil
}

func timeOf(exact, text any) (time.Time, error) {
	if branch, ok := exact.(map[string]any); ok {
		if ms, ok := branch["long"].(int64); ok {
			return time.UnixMilli(ms).UTC(), nil
		}
	}
	s, _ := text.(string)
	for _, layout := range captureTimes {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("its EnqueuedTimeUtc is not a time in a form that Capture writes")
}

// headersOf returns system and application properties as the headers that the
// Kafka endpoint of Event Hubs makes of them, ascending by name.
func headersOf(system, properties map[string]any) []schemas.Header {
	var headers []schemas.Header
	for _, name := range slices.Sorted(maps.Keys(system)) {
		switch name {
		case propertyKey, propertyTime, propertyOffset, propertyNumber:
		default:
			headers = append(headers, schemas.Header{Key: name, Value: amqpOf(system[name])})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		headers = append(headers, schemas.Header{Key: name, Value: amqpOf(properties[name])})
	}
	return headers
}

// AMQP 1.0 type codes of what a property can be.
const (
	amqpLong     = 0x81
	amqpDouble   = 0x82
	amqpString8  = 0xA1
	amqpString32 = 0xB1
)

// amqpOf returns a header's value: bytes as they are, as Kafka producers sent
// them, everything else as an AMQP value.
func amqpOf(union any) []byte {
	branch, _ := union.(map[string]any)
	for _, v := range branch {
		switch v := v.(type) {
		case []byte:
			return v
		case int64:
			return binary.BigEndian.AppendUint64([]byte{amqpLong}, uint64(v))
		case float64:
			return binary.BigEndian.AppendUint64([]byte{amqpDouble}, math.Float64bits(v))
		case string:
			if len(v) <= math.MaxUint8 {
				return append([]byte{amqpString8, byte(len(v))}, v...)
			}
			return append(binary.BigEndian.AppendUint32([]byte{amqpString32}, uint32(len(v))), v...)
		}
	}
	return nil
}
