package schemas

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
)

// kinds runs a test for each record.
func kinds(t *testing.T, test func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range []kind{kindOf[Measurement](), kindOf[Identity](), kindOf[Window](), kindOf[Score](), kindOf[Resource](), kindOf[DeadLetter]()} {
		t.Run(k.schema.record, func(t *testing.T) { test(t, k) })
	}
}

// codec is what all records can do.
type codec interface {
	Append(dst []byte) []byte
	Read(b []byte) error
}

type kind struct {
	schema *schema
	make   func() codec
	agree  func(codec) error // goavro and we, in both directions
}

func kindOf[T any, P Record[T]]() kind {
	return kind{P(nil).schema(), func() codec { return P(new(T)) }, func(v codec) error { return agree[T, P]((*T)(v.(P))) }}
}

// scatter fills v with values at random, awkward ones among them.
func scatter(v reflect.Value, rng *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			scatter(v.Field(i), rng)
		}
	case reflect.Slice:
		n := rng.IntN(4)
		if n == 0 && rng.IntN(2) == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			scatter(v.Index(i), rng)
		}
	case reflect.String:
		texts := []string{"", "a", "98.60", "Rohr \u00e4", "\U0001F489", string(bytes.Repeat([]byte("x"), rng.IntN(300)))}
		v.SetString(texts[rng.IntN(len(texts))])
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat([]float64{0, -0.5, 7, math.Inf(1), math.MaxFloat64, math.SmallestNonzeroFloat64}[rng.IntN(6)])
	case reflect.Uint8:
		v.SetUint(rng.Uint64N(256))
	case reflect.Int32:
		if _, ok := v.Interface().(fmt.Stringer); ok {
			v.SetInt(rng.Int64N(2))
			return
		}
		v.SetInt([]int64{0, 1, -1, 63, 64, -65, math.MaxInt32, math.MinInt32}[rng.IntN(8)])
	case reflect.Int64:
		v.SetInt([]int64{0, 1, -1, 1 << 40, int64(MaxTicks), math.MaxInt64, math.MinInt64}[rng.IntN(7)])
	default:
		panic(v.Kind())
	}
}

func TestGoavroAgreesOnRandomRecords(t *testing.T) {
	kinds(t, func(t *testing.T, k kind) {
		for seed := range uint64(300) {
			v := k.make()
			scatter(reflect.ValueOf(v).Elem(), rand.New(rand.NewPCG(seed, 1)))
			if err := k.agree(v); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	})
}

// A receiver that is used again and again must show nothing of what it held.
func TestReadLeavesNothingOfTheRecordBefore(t *testing.T) {
	kinds(t, func(t *testing.T, k kind) {
		again := k.make()
		for seed := range uint64(300) {
			v := k.make()
			scatter(reflect.ValueOf(v).Elem(), rand.New(rand.NewPCG(seed, 2)))
			if err := again.Read(v.Append(nil)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got, want := native(reflect.ValueOf(again).Elem()), native(reflect.ValueOf(v).Elem())
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: got %v, want %v", seed, got, want)
			}
		}
	})
}

func TestNoCutRecordIsRead(t *testing.T) {
	kinds(t, func(t *testing.T, k kind) {
		v, n := k.make(), 0
		fill(reflect.ValueOf(v).Elem(), &n)
		b := v.Append(nil)
		for i := range b {
			if err := k.make().Read(b[:i:i]); err == nil {
				t.Fatalf("the first %d of %d bytes were read as a record", i, len(b))
			}
		}
	})
}

// Other Avro writers cut arrays into blocks that carry their size.
func TestReadTakesSizedBlocks(t *testing.T) {
	m := Measurement{Device: "d", Values: []NamedText{{"a", "1"}, {"b", "2"}, {"c", "3"}}, Lineage: Lineage{Run: RunLive}}
	plain := m.Append(nil)
	values := []byte{6, 2, 'a', 2, '1', 2, 'b', 2, '2', 2, 'c', 2, '3', 0}
	sized := []byte{1, 8, 2, 'a', 2, '1', 3, 16, 2, 'b', 2, '2', 2, 'c', 2, '3', 0} // -1 item of 4 bytes, -2 items of 8
	if !bytes.Contains(plain, values) {
		t.Fatal("the test no longer knows how values are written")
	}
	other := bytes.Replace(plain, values, sized, 1)
	var got Measurement
	if err := got.Read(other); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v, want %+v", got, m)
	}
	if _, _, err := measurementSchema.codec.NativeFromSingle(other); err != nil {
		t.Errorf("goavro does not read the test's own record: %v", err)
	}
}

func TestHostileLengthsAllocateNothing(t *testing.T) {
	head := func(s *schema, body ...byte) []byte { return append(bytes.Clone(s.header[:]), body...) }
	huge := appendLong(nil, math.MaxInt64)
	lowest := appendLong(nil, math.MinInt64)
	five := make([]byte, 7) // the five texts and two times before the values
	cases := map[string][]byte{
		"text":            head(measurementSchema, huge...),
		"negative text":   head(measurementSchema, 1),
		"lowest text":     head(measurementSchema, lowest...),
		"items":           head(measurementSchema, append(bytes.Clone(five), huge...)...),
		"lowest items":    head(measurementSchema, append(bytes.Clone(five), append(lowest, 0)...)...),
		"endless number":  head(measurementSchema, bytes.Repeat([]byte{0xff}, 40)...),
		"number too long": head(measurementSchema, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2),
	}
	for name, b := range cases {
		var m Measurement
		before := allocated()
		err := m.Read(b)
		if n := allocated() - before; n > 64<<10 {
			t.Errorf("%s: allocated %d bytes", name, n)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOutOfRange(t *testing.T) {
	cases := map[string]codec{
		"kind":    &Window{Kind: WindowKind(len(windowKinds))},
		"trigger": &Window{Trigger: -1},
		"state":   &Score{Flags: []Flag{{State: FlagWithdrawn + 1}}},
	}
	for name, v := range cases {
		fresh := reflect.New(reflect.TypeOf(v).Elem()).Interface().(codec)
		if err := fresh.Read(v.Append(nil)); err == nil {
			t.Errorf("%s: an enum without symbol was read", name)
		}
	}
	b := (&Identity{}).Append(nil)
	b[soeBytes+6] = 2 // giveUp stands behind six empty fields of one byte
	if err := new(Identity).Read(b); err == nil {
		t.Error("a boolean of 2 was read")
	}
}

func TestNilAndEmptyDiffer(t *testing.T) {
	d := DeadLetter{Key: []byte{}, Headers: []Header{{"a", nil}, {"a", []byte{}}, {"a", []byte("x")}}}
	got, err := DeadLetters.Decode(DeadLetters.Encode(&d))
	if err != nil {
		t.Fatal(err)
	}
	if got.Key == nil || got.Value != nil || !reflect.DeepEqual(got.Headers, d.Headers) {
		t.Errorf("got %#v", got)
	}
}

func TestNoAllocations(t *testing.T) {
	kinds(t, func(t *testing.T, k kind) {
		v, n := k.make(), 0
		fill(reflect.ValueOf(v).Elem(), &n)
		b := v.Append(nil)
		if got := testing.AllocsPerRun(100, func() { b = v.Append(b[:0]) }); got != 0 {
			t.Errorf("Append allocates %v times", got)
		}
		view := k.make()
		if got := testing.AllocsPerRun(100, func() {
			if err := view.Read(b); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("Read allocates %v times", got)
		}
	})
}

// Whatever reads must be written again to the same values, by us and by goavro.
func FuzzRead(f *testing.F) {
	makers := map[uint64]kind{}
	add := func(k kind) {
		makers[k.schema.fingerprint] = k
		v, n := k.make(), 0
		f.Add(v.Append(nil))
		fill(reflect.ValueOf(v).Elem(), &n)
		f.Add(v.Append(nil))
	}
	add(kindOf[Measurement]())
	add(kindOf[Identity]())
	add(kindOf[Window]())
	add(kindOf[Score]())
	add(kindOf[Resource]())
	add(kindOf[DeadLetter]())
	f.Fuzz(func(t *testing.T, b []byte) {
		fingerprint, _, err := goavro.FingerprintFromSOE(b)
		k, ok := makers[fingerprint]
		if err != nil || !ok {
			for _, k := range makers {
				if k.make().Read(b) == nil {
					t.Fatal("bytes without a header of ours were read")
				}
			}
			return
		}
		v := k.make()
		if v.Read(b) != nil {
			return
		}
		again := k.make()
		ours := v.Append(nil)
		if err := again.Read(ours); err != nil {
			t.Fatalf("reading what was written again: %v", err)
		}
		if !bytes.Equal(again.Append(nil), ours) {
			t.Fatal("other values after writing and reading")
		}
		if _, rest, err := k.schema.codec.NativeFromSingle(ours); err != nil || len(rest) > 0 {
			t.Fatalf("goavro reading: %v, %d bytes left", err, len(rest))
		}
	})
}

func typical() *Measurement {
	return &Measurement{Device: "bidmc-07", Type: "heart-rate", Occurrence: TicksOf(time.Unix(1325376000, 0)), Ingestion: TicksOf(time.Unix(1325376001, 0)),
		Values:  []NamedText{{"hr", "81"}, {"pulse", "80"}},
		Lineage: Lineage{Run: RunLive, Generation: "c1/x9", Partition: 3, Offset: 123456, Mapping: "0123456789abcdef"}}
}

func BenchmarkAppend(b *testing.B) {
	m := typical()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}

func BenchmarkRead(b *testing.B) {
	buf := typical().Append(nil)
	var m Measurement
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
