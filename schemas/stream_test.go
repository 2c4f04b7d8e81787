package schemas

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

// allocated returns how many bytes this process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestSelfTest(t *testing.T) {
	if err := SelfTest(); err != nil {
		t.Fatal(err)
	}
}

// A self-test that cannot fail proves nothing.
func TestSelfTestNoticesAnotherSchema(t *testing.T) {
	right := *measurementSchema
	t.Cleanup(func() { *measurementSchema = right })
	measurementSchema.codec = identitySchema.codec
	measurementSchema.header = identitySchema.header
	if err := SelfTest(); err == nil || !strings.Contains(err.Error(), "testing the encoding of Measurement") {
		t.Errorf("got %v", err)
	}
}

func TestStream(t *testing.T) {
	m := typical()
	out := Measurements.Out("bidmc-07", m)
	if out.Topic != TopicMeasurements || out.Key != "bidmc-07" {
		t.Errorf("got topic %q, key %q", out.Topic, out.Key)
	}
	want := fmt.Sprintf("avro/binary+%016x", measurementSchema.fingerprint)
	if len(out.Headers) != 1 || out.Headers[0].Key != "content-type" || string(out.Headers[0].Value) != want {
		t.Errorf("got headers %v", out.Headers)
	}
	if !bytes.Equal(out.Value, m.Append(nil)) {
		t.Error("the value is not the record")
	}
	got, err := Measurements.Decode(out.Value)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Value {
		out.Value[i] = 0xEE // as a broker client does that uses its buffers again
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
	if _, err := Windows.Decode(m.Append(nil)); err == nil {
		t.Error("a measurement was decoded as a window")
	}
}

func TestHeadersOfAStreamAreNotShared(t *testing.T) {
	_ = append(Scores.Headers(), Header{Key: "row"})
	if got := append(Scores.Headers(), Header{Key: "version"}); got[1].Key != "version" || len(Scores.Headers()) != 1 {
		t.Errorf("got %v", got)
	}
}

const hashOfABC = "3fafa1cf2f19a7c1129beb20cf0983f73a489a22"

func TestHashID(t *testing.T) {
	// printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum
	if got, want := HashID("ra-", "a", "bc"), "ra-"+hashOfABC; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if HashID("", "a", "bc") == HashID("", "ab", "c") {
		t.Error("fields run into each other")
	}
	if n := len(HashID("flag-", "patient", "news2", "0")); n > 64 {
		t.Errorf("%d characters: FHIR allows 64", n)
	}
}

func TestDeadLetterFor(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	raw := func(key, value, header int) Raw {
		return Raw{Topic: TopicDeviceData, Partition: 3, Offset: 9, Timestamp: at, Key: bytes.Repeat([]byte("k"), key),
			Value: bytes.Repeat([]byte("v"), value), Headers: []Header{{"h", bytes.Repeat([]byte("x"), header)}}}
	}
	cases := []struct {
		name                  string
		raw                   Raw
		key, value, head, sha int // lengths of what is left
	}{
		{"all fits", raw(1, 2, 3), 1, 2, 1, 0},
		{"just fits", raw(10, MaxDeadLetterBytes-11, 0), 10, MaxDeadLetterBytes - 11, 1, 0},
		{"long value", raw(10, MaxDeadLetterBytes, 0), 10, 0, 1, 64},
		{"long headers", raw(10, 5, MaxDeadLetterBytes), 10, 0, 0, 64},
		{"long key", raw(MaxDeadLetterBytes+1, 5, 0), 0, 0, 0, 64},
	}
	for _, c := range cases {
		d := DeadLetterFor("normalize", ReasonMessage, "not JSON", "look at the sender", c.raw)
		if len(d.Key) != c.key || len(d.Value) != c.value || len(d.Headers) != c.head || len(d.SHA256) != c.sha {
			t.Errorf("%s: key %d, value %d, headers %d, sha %d", c.name, len(d.Key), len(d.Value), len(d.Headers), len(d.SHA256))
		}
		if d.Topic != TopicDeviceData || d.Partition != 3 || d.Offset != 9 || d.Timestamp.Time() != at || d.Lineage.Position() != (Position{3, 9, 0}) {
			t.Errorf("%s: wrong place: %+v", c.name, d.Lineage)
		}
		if n := len(d.Append(nil)); n > 900_000 {
			t.Errorf("%s: %d bytes", c.name, n)
		}
	}
	long := DeadLetterFor("deliver", ReasonServer, strings.Repeat("\u00e4", MaxDetailBytes), "", Raw{Topic: TopicResources})
	if len(long.Detail) > MaxDetailBytes || strings.ToValidUTF8(long.Detail, "") != long.Detail {
		t.Errorf("detail of %d bytes", len(long.Detail))
	}
	if long.Lineage != (Lineage{}) || long.Key != nil || long.Value != nil {
		t.Errorf("got %+v", long)
	}
}

func TestNothingPrivateIsLogged(t *testing.T) {
	const secret = "MRN-4711"
	records := []any{
		Measurement{Device: secret, Patient: secret, Values: []NamedText{{"hr", secret}}}, &Measurement{Device: secret},
		Identity{Device: secret}, Window{Patient: secret, Device: secret}, Score{Patient: secret}, Resource{Patient: secret, Whole: []WholeResource{{JSON: secret}}},
		DeadLetter{Key: []byte(secret), Value: []byte(secret), Detail: secret}, Raw{Key: []byte(secret), Value: []byte(secret)},
		Out{Key: secret, Value: []byte(secret)}, Private(secret),
	}
	for _, handler := range []string{"text", "json"} {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, nil))
		if handler == "json" {
			log = slog.New(slog.NewJSONHandler(&b, nil))
		}
		for _, r := range records {
			log.Info("seen", "record", r)
		}
		if strings.Contains(b.String(), secret) {
			t.Errorf("%s log holds the secret:\n%s", handler, b.String())
		}
		if n := strings.Count(b.String(), Private(secret).String()); n != len(records)-1 {
			t.Errorf("the same key shows %d times, want %d:\n%s", n, len(records)-1, b.String())
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s %q", Private(secret), Private(secret), Private(secret), Private(secret), Private(secret)); strings.Contains(s, secret) {
		t.Errorf("printed: %s", s)
	}
	if Private("").String() != "none" {
		t.Error("nobody looks like somebody")
	}
}

func TestEnumNames(t *testing.T) {
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{WindowLeft, "left"}, {TriggerSize, "size"}, {ScoreFlags, "flags"}, {FlagTechnical, "technical"},
		{FlagWithdrawn, "withdrawn"}, {ResourceWhole, "whole"}, {Trigger(-1), "unknown"}, {FlagState(99), "unknown"},
	} {
		if c.got.String() != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
