package schemas

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the change, then run: go test ./schemas -update", path)
	}
}

// Every schema that was ever written keeps its fingerprint. When this test
// fails, do not update the golden file: put the released .avsc back and give the
// changed one the next number.
func TestReleasedSchemasStay(t *testing.T) {
	names, err := fs.Glob(released, "avsc/*.avsc")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %016x\n", filepath.Base(name), parse(name).codec.Rabin)
	}
	golden(t, "testdata/fingerprints.golden", b.String())
}

// crc64Avro is the algorithm of the Avro specification, word for word.
func crc64Avro(text string) uint64 {
	const empty = 0xc15d213aa4d7a795
	fp := uint64(empty)
	for i := range len(text) {
		x := (fp ^ uint64(text[i])) & 0xff
		for range 8 {
			x = x>>1 ^ empty&-(x&1)
		}
		fp = fp>>8 ^ x
	}
	return fp
}

func TestFingerprintIsThatOfTheSpecification(t *testing.T) {
	for _, s := range documented {
		if got := crc64Avro(s.codec.CanonicalSchema()); got != s.fingerprint {
			t.Errorf("%s: fingerprint %016x, the specification gives %016x", s.record, s.fingerprint, got)
		}
		if got := binary.LittleEndian.Uint64(s.header[2:]); got != s.fingerprint {
			t.Errorf("%s: header has %016x", s.record, got)
		}
		if got, want := string(s.headers[0].Value), fmt.Sprintf("avro/binary+%016x", s.fingerprint); got != want {
			t.Errorf("%s: content type %s, want %s", s.record, got, want)
		}
	}
}

func TestNotOurs(t *testing.T) {
	window := (&Window{}).Append(nil)
	unknown := bytes.Clone(window)
	unknown[3]++
	cases := []struct {
		name, says string
		b          []byte
	}{
		{"empty", "does not begin with C3 01", nil},
		{"JSON", "does not begin with C3 01", []byte(`{"device":"a"}`)},
		{"header cut", "does not begin with C3 01", window[:9]},
		{"unknown schema", "upgrade this process", unknown},
		{"another record", "the record is a Window", window},
		{"body cut", "reading Measurement: it ends too early", (&Measurement{}).Append(nil)[:10]},
		{"bytes behind", "reading Measurement: bytes follow its end", append((&Measurement{}).Append(nil), 0)},
	}
	for _, c := range cases {
		err := new(Measurement).Read(c.b)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.says)
		}
	}
	var u *UnknownSchemaError
	if err := new(Measurement).Read(unknown); !errors.As(err, &u) || u.Record != "Measurement" {
		t.Errorf("unknown schema: got %T", err)
	}
	var o *OtherRecordError
	if err := new(Measurement).Read(window); !errors.As(err, &o) || o.Found != "Window" {
		t.Errorf("other record: got %T", err)
	}
}

// earlier is a schema of Measurement as an earlier release might have had it:
// without correlation and mapping, with a field that is gone, in another order.
const earlier = `{"type": "record", "name": "Measurement", "namespace": "auscult", "fields": [
 {"name": "type", "type": "string"},
 {"name": "device", "type": "string"},
 {"name": "gone", "type": "long"},
 {"name": "occurrence", "type": "long"},
 {"name": "values", "type": {"type": "array", "items": {"type": "record", "name": "NamedText", "fields": [
  {"name": "name", "type": "string"}, {"name": "text", "type": "string"}]}}}]}`

// grown is the present schema, had the fields been added with defaults.
const grown = `{"type": "record", "name": "Measurement", "namespace": "auscult", "fields": [
 {"name": "device", "type": "string"},
 {"name": "type", "type": "string"},
 {"name": "patient", "type": "string", "default": ""},
 {"name": "encounter", "type": "string", "default": ""},
 {"name": "correlation", "type": "string", "default": "none given"},
 {"name": "occurrence", "type": "long"},
 {"name": "ingestion", "type": "long", "default": 7},
 {"name": "values", "type": {"type": "array", "items": {"type": "record", "name": "NamedText", "fields": [
  {"name": "name", "type": "string"}, {"name": "text", "type": "string"}]}}},
 {"name": "lineage", "default": {"run": "live", "generation": "", "partition": 0, "offset": 0, "index": 0, "mapping": ""}, "type":
  {"type": "record", "name": "Lineage", "fields": [
   {"name": "run", "type": "string"}, {"name": "generation", "type": "string"}, {"name": "partition", "type": "int"},
   {"name": "offset", "type": "long"}, {"name": "index", "type": "int"}, {"name": "mapping", "type": "string"}]}}]}`

func TestEarlierSchema(t *testing.T) {
	oldCodec, err := goavro.NewCodec(earlier)
	if err != nil {
		t.Fatal(err)
	}
	newCodec, err := goavro.NewCodec(grown)
	if err != nil {
		t.Fatal(err)
	}
	now := &schema{writer: writer{"Measurement", grown, newCodec}, fingerprint: newCodec.Rabin}
	writers[oldCodec.Rabin] = writer{"Measurement", earlier, oldCodec}
	t.Cleanup(func() { delete(writers, oldCodec.Rabin) })

	old, err := oldCodec.SingleFromNative(nil, map[string]any{"type": "HR", "device": "d1", "gone": int64(5), "occurrence": int64(42),
		"values": []any{map[string]any{"name": "v", "text": "61"}}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := now.open(old)
	if err != nil {
		t.Fatal(err)
	}
	var m Measurement
	if err := m.Read(append(bytes.Clone(measurementSchema.header[:]), body...)); err != nil {
		t.Fatal(err)
	}
	want := Measurement{Device: "d1", Type: "HR", Correlation: "none given", Occurrence: 42, Ingestion: 7,
		Values: []NamedText{{"v", "61"}}, Lineage: Lineage{Run: RunLive}}
	if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
	if _, err := now.open(old[:len(old)-1]); err == nil {
		t.Error("a cut record of an earlier schema was read")
	}
	if _, err := now.open(append(bytes.Clone(old), 0)); !errors.Is(err, errTrailing) {
		t.Errorf("trailing bytes: %v", err)
	}
}

func TestStreamsDoc(t *testing.T) {
	doc := StreamsDoc()
	golden(t, "../docs/streams.md", doc)
	for _, topic := range Topics {
		if !strings.Contains(doc, "| `"+topic.Name+"` |") {
			t.Errorf("topic %s is missing", topic.Name)
		}
	}
	for _, field := range []string{"`assignments[].facts.codes`", "`lineage.mapping`", "`first.text`", "list of PanePoint", "list of string", "null or bytes"} {
		if !strings.Contains(doc, field) {
			t.Errorf("%s is missing", field)
		}
	}
}
