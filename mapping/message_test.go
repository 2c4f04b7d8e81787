package mapping

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

func be(code byte, width int, v uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], v)
	return string(code) + string(b[8-width:])
}

// string(code) of a byte above 0x7F would be two bytes of UTF-8.
func raw(code byte, rest string) []byte { return append([]byte{code}, rest...) }

// TestPropertyOf: what a header means, by its first byte, its length and its
// name.
func TestPropertyOf(t *testing.T) {
	fixed := func(code byte, width int, v uint64) []byte { return raw(code, be(0, width, v)[1:]) }
	enqueued := time.Date(2023, 5, 6, 11, 23, 45, 601e6, time.UTC)
	described := raw(0, "\xA3\x1D"+descriptorDateTime+string(fixed(amqpLong, 8, uint64(schemas.TicksOf(enqueued)))))
	described[2] = byte(len(descriptorDateTime))
	for _, c := range []struct {
		name, about string
		value       []byte
		want        Property
	}{
		{"a", "text", []byte("plain"), Property{Text: "plain"}},
		{"a", "empty", nil, Property{}},
		{"a", "a letter that is a type code, from anybody", []byte("A"), Property{Text: "A"}},
		{"a", "a text as long as an int", []byte("q1234"), Property{Text: "q1234"}},
		{"a", "short string", raw(amqpString8, "\x05hello"), Property{Text: "hello"}},
		{"a", "long string", raw(amqpString32, "\x00\x00\x00\x02hi"), Property{Text: "hi"}},
		{"a", "symbol", raw(amqpSymbol8, "\x01s"), Property{Text: "s"}},
		{"a", "wrong length", raw(amqpString8, "\x06hello"), Property{Text: "\uFFFD\x06hello"}},
		{"a", "binary that is no text", raw(amqpBinary8, "\x01\xFF"), Property{Text: "\uFFFD\x01\uFFFD"}},
		{"a", "long", fixed(amqpLong, 8, math.MaxUint64), Property{Kind: PropertyInt, Int: -1}},
		{"a", "unsigned long", fixed(amqpUlong, 8, 7), Property{Kind: PropertyInt, Int: 7}},
		{"a", "huge unsigned long", fixed(amqpUlong, 8, math.MaxUint64), Property{Text: "18446744073709551615"}},
		{"a", "double", fixed(amqpDouble, 8, math.Float64bits(36.6)), Property{Kind: PropertyFloat, Float: 36.6}},
		{"a", "timestamp", fixed(amqpTimestamp, 8, uint64(enqueued.UnixMilli())), Property{Kind: PropertyTime, Time: schemas.TicksOf(enqueued)}},
		{"a", "timestamp beyond all years", fixed(amqpTimestamp, 8, math.MaxInt64), Property{Kind: PropertyInt, Int: math.MaxInt64}},
		{"a", "uuid", raw(amqpUUID, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"), Property{Text: "00112233-4455-6677-8899-aabbccddeeff"}},
		{"a", "described date", described, Property{Kind: PropertyTime, Time: schemas.TicksOf(enqueued)}},
		{"a", "described without value", []byte{0, amqpSymbol8, 1, 'x'}, Property{Text: "\x00\uFFFD\x01x"}},
		{"iothub-x", "true", []byte{amqpTrue}, Property{Kind: PropertyBool, Int: 1}},
		{"iothub-x", "false", []byte{amqpFalse}, Property{Kind: PropertyBool}},
		{"iothub-x", "null", []byte{amqpNull}, Property{Kind: PropertyNull}},
		{"iothub-x", "small int", []byte{amqpSmallInt, 0xFE}, Property{Kind: PropertyInt, Int: -2}},
		{"iothub-x", "short", fixed(amqpShort, 2, 0xFFFF), Property{Kind: PropertyInt, Int: -1}},
		{"iothub-x", "int", fixed(amqpInt, 4, 0xFFFFFFFF), Property{Kind: PropertyInt, Int: -1}},
		{"iothub-x", "unsigned int", fixed(amqpUint, 4, 0xFFFFFFFF), Property{Kind: PropertyInt, Int: math.MaxUint32}},
		{"iothub-x", "float", fixed(amqpFloat, 4, uint64(math.Float32bits(0.5))), Property{Kind: PropertyFloat, Float: 0.5}},
		{"iothub-x", "zero", []byte{amqpUint0}, Property{Kind: PropertyInt}},
		{"iothub-x", "character", fixed(amqpChar, 4, 'x'), Property{Text: "x"}},
		{"iothub-x", "text", []byte("dev-1"), Property{Text: "dev-1"}},
	} {
		c.want.Name = c.name
		if got := propertyOf(c.name, c.value); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.about, got, c.want)
		}
	}
}

// FuzzPropertyOf: no header crashes the reader, and all texts are UTF-8.
func FuzzPropertyOf(f *testing.F) {
	f.Add("a", []byte("\xA1\x05hello"))
	f.Add("iothub-x", []byte{0, 0xA3, 1, 'x', 0x40})
	f.Fuzz(func(t *testing.T, name string, v []byte) {
		if p := propertyOf(name, v); strings.ToValidUTF8(p.Text, "") != p.Text {
			t.Errorf("%q is no text", p.Text)
		}
	})
}

// TestEnvelopeOf: who set a property decides where expressions find it, and
// nobody can set what the broker knows.
func TestEnvelopeOf(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	m := EnvelopeOf(schemas.Raw{Offset: 42, Key: []byte("key"), Timestamp: at, Value: []byte("{}"), Headers: []schemas.Header{
		{Key: "iothub-connection-device-id", Value: raw(amqpString8, "\x03dev")},
		{Key: nameCreationTime, Value: []byte("2026-03-01T09:59:59Z")},
		{Key: "batchid", Value: []byte("b-1")},
		{Key: nameOffset, Value: []byte("forged")},
	}})
	want := map[string]string{
		"$.SystemProperties.iothub-connection-device-id": "dev", "$.Properties.iothub-creation-time-utc": "2026-03-01T09:59:59Z", "$.Properties.batchid": "b-1",
		"$.SystemProperties.x-opt-offset": "42", "$.SystemProperties.x-opt-sequence-number": "42", "$.SystemProperties.x-opt-partition-key": "key",
		"$.SystemProperties.x-opt-enqueued-time": "03/01/2026 10:00:00", "$.Properties.x-opt-offset": "", "$.SystemProperties.batchid": "",
	}
	for path, text := range want {
		d := mustLoad(t, `{"templateType":"CollectionContent","template":[{"templateType":"JsonPathContent","template":{"typeName":"t","typeMatchExpression":"$",
			"deviceIdExpression":"$.SystemProperties.x-opt-offset","timestampExpression":"$.SystemProperties.x-opt-enqueued-time",
			"values":[{"valueName":"v","valueExpression":"`+path+`"}]}}]}`)
		got, failures, err := mapAll(d.NewMapper(), &m)
		if err != nil || len(failures) > 0 || len(got) != 1 || got[0].OccurrenceTimeUtc != "2026-03-01T10:00:00Z" {
			t.Fatalf("%s: %v %v %v", path, got, failures, err)
		}
		if ps := got[0].Properties; text == "" && len(ps) != 0 || text != "" && (len(ps) != 1 || ps[0].Value != text) {
			t.Errorf("%s: got %v, want %q", path, ps, text)
		}
	}
	if e := EnvelopeOf(schemas.Raw{Key: []byte{0xFF}}); e.HasBody || len(e.System) != 3 {
		t.Errorf("an empty record with a binary key: %+v", e)
	}
}

// TestEnqueuedTime reads both forms in which hubs and bridges write it.
func TestEnqueuedTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, v := range [][]byte{[]byte("2026-03-01T10:00:00Z"), raw(amqpTimestamp, be(0, 8, uint64(at.UnixMilli()))[1:]), raw(amqpString8, "\x142026-03-01T10:00:00Z")} {
		got, ok := EnqueuedTime([]schemas.Header{{Key: "x"}, {Key: HeaderEnqueuedTime, Value: v}})
		if !ok || got != schemas.TicksOf(at) {
			t.Errorf("%q: %s %v", v, got, ok)
		}
	}
	for _, headers := range [][]schemas.Header{nil, {{Key: HeaderEnqueuedTime, Value: []byte("soon")}}, {{Key: HeaderEnqueuedTime, Value: []byte{amqpTrue}}}} {
		if got, ok := EnqueuedTime(headers); ok {
			t.Errorf("%v: %s", headers, got)
		}
	}
}
