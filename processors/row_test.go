package processors

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"auscult/schemas"
	"auscult/state"
)

// rowTable is a keyed stage's surroundings in maps: its rows, its outputs, and how
// far each of its inputs is finished.
type rowTable struct {
	rows       map[string][]byte
	outs       []emitted
	finished   map[string]int64
	sent       func(key string, version int64) bool
	held       map[string]bool
	touched    map[string]bool // rows that this session has had in hand
	generation string
	waited     []int64
}

type emitted struct {
	topic, key string
	value      []byte
}

func newRowTable() *rowTable {
	return &rowTable{rows: map[string][]byte{}, finished: map[string]int64{}, held: map[string]bool{}, touched: map[string]bool{}, generation: "g"}
}

// gokaContext gives the embedded field a name that is not one of its methods.
type gokaContext = goka.Context

// rowVisit is the context of one callback.
type rowVisit struct {
	gokaContext // what the stages do not use
	t           *rowTable
	topic, key  string
	offset      int64
	failed      error
	written     bool
}

func (t *rowTable) at(topic, key string, offset int64) *rowVisit {
	return &rowVisit{t: t, topic: topic, key: key, offset: offset}
}

func (v *rowVisit) Key() string           { return v.key }
func (v *rowVisit) Partition() int32      { return 0 }
func (v *rowVisit) Offset() int64         { return v.offset }
func (v *rowVisit) Headers() goka.Headers { return goka.Headers{"x": []byte("1")} }
func (v *rowVisit) Timestamp() time.Time  { return time.Unix(1_700_000_000, 0) }

func (v *rowVisit) Value() any {
	if row := v.t.rows[v.key]; row != nil {
		return row
	}
	return nil
}

func (v *rowVisit) SetValue(value any, _ ...goka.ContextOption) {
	v.written = true
	v.t.touched[v.key] = true
	v.t.rows[v.key] = value.([]byte)
}

func (v *rowVisit) Fail(err error) { v.failed = errors.Join(v.failed, err) }

// Emit keeps what is emitted. Goka does not let anybody else read its options,
// so the headers are those that send gives.
func (v *rowVisit) Emit(topic goka.Stream, key string, value any, _ ...goka.ContextOption) {
	if !v.written {
		panic("an output before the row")
	}
	v.t.outs = append(v.t.outs, emitted{topic: string(topic), key: key, value: value.([]byte)})
}

func (v *rowVisit) Finished(topic string) int64 { return v.t.finished[topic] }
func (v *rowVisit) Sent(key string, version int64) bool {
	return v.t.sent != nil && v.t.sent(key, version)
}
func (v *rowVisit) Touched(key string) bool    { return v.t.touched[key] }
func (v *rowVisit) Hold(topic string, on bool) { v.t.held[topic] = on }
func (v *rowVisit) Generation(string) string   { return v.t.generation }
func (v *rowVisit) WaitFinished(topic string, offset int64) error {
	v.t.waited = append(v.t.waited, offset)
	v.t.finished[topic] = offset + 1
	return nil
}

func (t *rowTable) header(key string) state.Header {
	var h state.Header
	if _, err := h.ReadHeader(t.rows[key]); err != nil {
		panic(err)
	}
	return h
}

// took returns what has been emitted since the last call.
func (t *rowTable) took() []emitted {
	outs := t.outs
	t.outs = nil
	return outs
}

// listBody is a body that collects the messages it has been given; it closes them
// all when it has to shrink.
type listBody struct {
	all    []string
	stuck  bool
	broken bool
}

func (l *listBody) Read(b []byte) error {
	l.all = nil
	if len(b) > 0 {
		l.all = strings.Split(string(b), ";")
	}
	if l.broken {
		return state.ErrRow
	}
	return nil
}
func (l *listBody) AppendTo(dst []byte) []byte { return append(dst, strings.Join(l.all, ";")...) }
func (l *listBody) Flags() uint8               { return state.RowWork }
func (l *listBody) Shrink(*Outputs) bool {
	if l.stuck || len(l.all) == 0 {
		return false
	}
	l.all = nil
	return true
}

var testRows = func() *Rows {
	return &Rows{Stage: "test", Inputs: []string{"a", "b"}, Outputs: []string{schemas.TopicWindows, schemas.TopicDeadLetters}}
}

// put sends message to input and lets it emit one window for each patient.
func (t *rowTable) put(rows *Rows, input uint8, offset int64, message string, patients ...string) *rowVisit {
	v := t.at(rows.Inputs[input], "k", offset)
	body := &listBody{}
	rows.Message(v, input, []byte(message), body, func(b []byte, out *Outputs) {
		body.all = append(body.all, string(b))
		for _, p := range patients {
			out.Window(&schemas.Window{Patient: p})
		}
	})
	return v
}

func orders(t *testing.T, outs []emitted) string {
	t.Helper()
	var all []string
	for _, o := range outs {
		if o.topic == schemas.TopicDeadLetters {
			d, err := schemas.DeadLetters.Decode(o.value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, "dead "+d.Reason)
			continue
		}
		w, err := schemas.Windows.Decode(o.value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %d.%d", o.key, w.Order.Version, w.Order.Index))
	}
	return strings.Join(all, ", ")
}

// TestG1RowOwesUntilFinished is rule G1: what is in flight stays in the row, of
// all messages; what comes again is not applied again, but sent again.
func TestG1RowOwesUntilFinished(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	tab.put(rows, 0, 5, "m5", "p", "q")
	tab.put(rows, 0, 7, "m7")
	tab.put(rows, 1, 3, "i3", "p")
	if got := orders(t, tab.took()); got != "p 1.0, q 1.1, p 3.0" {
		t.Fatal(got)
	}
	if h := tab.header("k"); h.Version != 3 || len(h.Owed) != 3 || h.Flags != state.RowWork ||
		h.Applied[0].Next != 8 || h.Applied[1].Next != 4 || h.Applied[0].Generation != state.GenerationOf("g") {
		t.Fatalf("header %+v", h)
	}
	before := tab.rows["k"]
	tab.put(rows, 0, 5, "m5", "other")
	if got := orders(t, tab.took()); got != "p 1.0, q 1.1" || string(tab.rows["k"]) != string(before) {
		t.Fatalf("sent again: %s", got)
	}
	tab.put(rows, 0, 6, "never seen, below the highest", "other")
	tab.put(rows, 1, 3, "i3", "other")
	if got := orders(t, tab.took()); got != "p 3.0" {
		t.Fatalf("sent again: %s", got)
	}
	tab.finished["a"] = 6
	tab.put(rows, 0, 8, "m8", "p")
	if h := tab.header("k"); len(h.Owed) != 2 || h.Owed[0].Input != 1 || h.Owed[1].Offset != 8 {
		t.Fatalf("header %+v", h)
	}
	if got := string(tab.rows["k"]); !strings.HasSuffix(got, "m5;m7;i3;m8") {
		t.Fatalf("row %q", got)
	}
}

// TestG1NothingOvertakesWhatAnEarlierOwnerOwes: two messages of input a and a tick
// are in the row, and none of their outputs is out when the owner dies. Whatever
// comes first at the next one, readers get them in their order: they drop what is
// not above the last they have had of a row (G2).
func TestG1NothingOvertakesWhatAnEarlierOwnerOwes(t *testing.T) {
	tick := func(tab *rowTable, rows *Rows, patients ...string) {
		rows.Tick(tab.at("", "k", 0), &listBody{}, func(out *Outputs) bool {
			for _, p := range patients {
				out.Window(&schemas.Window{Patient: p})
			}
			return len(patients) > 0
		})
	}
	for _, c := range []struct {
		name  string
		first func(tab *rowTable, rows *Rows)
		want  string
	}{
		{"the other input", func(tab *rowTable, rows *Rows) { tab.put(rows, 1, 0, "i0", "p") }, "p 1.0, p 2.0, p 3.0, p 4.0"},
		{"a tick with nothing to do", func(tab *rowTable, rows *Rows) { tick(tab, rows) }, "p 1.0, p 2.0, p 3.0"},
		{"a tick", func(tab *rowTable, rows *Rows) { tick(tab, rows, "p") }, "p 1.0, p 2.0, p 3.0, p 4.0"},
		{"its own messages", func(tab *rowTable, rows *Rows) { tab.put(rows, 0, 5, "m5"); tab.put(rows, 0, 7, "m7") },
			"p 1.0, p 2.0, p 3.0, p 2.0"},
		{"one of them, then the other input", func(tab *rowTable, rows *Rows) { tab.put(rows, 0, 5, "m5"); tab.put(rows, 1, 0, "i0", "p") },
			"p 1.0, p 2.0, p 3.0, p 4.0"},
	} {
		rows, tab := testRows(), newRowTable()
		tab.put(rows, 0, 5, "m5", "p")
		tab.put(rows, 0, 7, "m7", "p")
		tick(tab, rows, "p")
		tab.took()
		clear(tab.touched) // the next owner
		c.first(tab, rows)
		if got := orders(t, tab.took()); got != c.want {
			t.Errorf("%s first: sent %s, want %s", c.name, got, c.want)
		}
		tab.put(rows, 0, 8, "m8", "p") // once is enough
		if got := orders(t, tab.took()); strings.Contains(got, ",") {
			t.Errorf("%s first: sent %s once more", c.name, got)
		}
	}
}

// TestG6GenerationOnceKnownStays: an answer without a generation must not make the
// row forget in which life of the topic its offsets count.
func TestG6GenerationOnceKnownStays(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	tab.put(rows, 0, 0, "m")
	tab.generation = ""
	tab.put(rows, 0, 1, "m")
	tab.generation = "another"
	var other *GenerationError
	if v := tab.put(rows, 0, 2, "m"); !errors.As(v.failed, &other) {
		t.Errorf("another generation: %v", v.failed)
	}
}

// TestLongKeyStopsNobody: a key of a foreign producer that no row holds.
func TestLongKeyStopsNobody(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	v := tab.at("a", strings.Repeat("k", 2*state.MaxOwedKey), 0)
	rows.Message(v, 0, []byte("m"), &listBody{}, func(_ []byte, out *Outputs) {
		out.Dead(schemas.ReasonRecord, "", "", schemas.Lineage{})
	})
	if got := orders(t, tab.took()); v.failed != nil || got != "dead record" {
		t.Errorf("sent %q, %v", got, v.failed)
	}
}

func TestContextWithoutProgressHasFinished(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	for offset := range int64(3) {
		v := tab.at("a", "k", offset)
		body := &listBody{}
		rows.Message(struct{ gokaContext }{v}, 0, []byte("m"), body, func(_ []byte, out *Outputs) {
			out.Window(&schemas.Window{Patient: "p"})
		})
	}
	if h := tab.header("k"); len(h.Owed) != 1 || h.Owed[0].Offset != 2 {
		t.Errorf("header %+v", h)
	}
}

func TestG1TickOwesUntilSent(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	tick := func(emit bool) *rowVisit {
		v := tab.at("", "k", 0)
		rows.Tick(v, &listBody{}, func(out *Outputs) bool {
			if emit {
				out.Window(&schemas.Window{Patient: "p"})
			}
			return emit
		})
		return v
	}
	if v := tick(true); v.written || len(tab.took()) > 0 {
		t.Fatal("a tick wrote a row that is not there")
	}
	tab.put(rows, 0, 1, "m")
	tick(true)
	if h := tab.header("k"); orders(t, tab.took()) != "p 2.0" || h.Version != 2 || h.Flags&state.RowOwes == 0 {
		t.Fatalf("header %+v", h)
	}
	tick(false)
	if got := orders(t, tab.took()); got != "p 2.0" {
		t.Fatalf("sent again: %s", got)
	}
	tick(true)
	if got := orders(t, tab.took()); got != "p 2.0, p 3.0" {
		t.Fatalf("sent again: %s", got)
	}
	tab.sent = func(key string, version int64) bool { return key == "k" && version == 2 }
	tab.put(rows, 0, 2, "m")
	if h := tab.header("k"); len(h.Owed) != 1 || h.Owed[0].Offset != 3 {
		t.Fatalf("header %+v", h)
	}
	tab.sent = func(string, int64) bool { return true }
	if v := tick(false); !v.written || tab.header("k").Flags&state.RowOwes != 0 {
		t.Fatal("still owes")
	}
	if v := tick(false); v.written {
		t.Fatal("a tick without anything to do wrote the row")
	}
}

func TestG1PartitionWaitsWhileARowOwesTooMuch(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	long := strings.Repeat("x", 900)
	for offset := range int64(100) {
		tab.put(rows, 0, offset, "", long)
	}
	if len(tab.waited) == 0 || len(tab.rows["k"]) > 2*state.MaxOwedBytes {
		t.Errorf("waited for %v, row %d bytes", tab.waited, len(tab.rows["k"]))
	}
}

func TestLargeThings(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	large := 0
	rows.Large = func(n int) { large = n }
	emit := func(offset int64, body *listBody, add string, w *schemas.Window) *rowVisit {
		v := tab.at("a", "k", offset)
		rows.Message(v, 0, []byte("m"), body, func(_ []byte, out *Outputs) {
			body.all = append(body.all, add)
			if w != nil {
				out.Window(w)
			}
		})
		return v
	}
	emit(0, &listBody{}, "", &schemas.Window{Patient: "p", Sum: strings.Repeat("1", state.MaxOutputBytes)})
	if got := orders(t, tab.took()); got != "dead size" {
		t.Error("an output over the limit:", got)
	}
	emit(1, &listBody{}, strings.Repeat("1", state.LargeRowBytes), nil)
	if large < state.LargeRowBytes {
		t.Error("nobody heard of a large row")
	}
	emit(2, &listBody{}, strings.Repeat("1", state.MaxRowBytes), nil)
	if got := orders(t, tab.took()); got != "" || len(tab.rows["k"]) > 1000 {
		t.Errorf("a full row that can shrink: %s, %d bytes", got, len(tab.rows["k"]))
	}
	emit(3, &listBody{}, "small", nil)
	v := emit(4, &listBody{stuck: true}, strings.Repeat("1", state.MaxRowBytes), &schemas.Window{Patient: "p"})
	if got := orders(t, tab.took()); got != "dead size" || v.failed != nil || !strings.HasSuffix(string(tab.rows["k"]), "small") {
		t.Errorf("a full row that cannot shrink: %s %v", got, v.failed)
	}
	if h := tab.header("k"); h.Applied[0].Next != 5 {
		t.Errorf("header %+v", h)
	}
}

func TestWrongSurroundingsStop(t *testing.T) {
	rows, tab := testRows(), newRowTable()
	tab.put(rows, 0, 0, "m")
	tab.generation = "another"
	var other *GenerationError
	if v := tab.put(rows, 0, 1, "m"); !errors.As(v.failed, &other) || other.Topic != "a" || v.written {
		t.Errorf("another generation: %v", v.failed)
	}
	tab.generation = ""
	if v := tab.put(rows, 0, 1, "m"); v.failed != nil {
		t.Errorf("no generation known: %v", v.failed)
	}
	tab.rows["k"] = []byte{99, 0, 0}
	if v := tab.put(rows, 0, 2, "m"); !errors.Is(v.failed, state.ErrRow) || v.written {
		t.Errorf("a row of the future: %v", v.failed)
	}
	v := tab.at("a", "fresh", 0)
	rows.Message(v, 0, []byte("m"), &listBody{broken: true}, func([]byte, *Outputs) { t.Error("called") })
	if !errors.Is(v.failed, state.ErrRow) || v.written {
		t.Errorf("a broken body: %v", v.failed)
	}
}

func TestHeadersOfOutputs(t *testing.T) {
	value := schemas.Windows.Encode(&schemas.Window{})
	want := schemas.Windows.Headers()[0]
	if got := string(contentType(value)); got != string(want.Value) || want.Key != schemas.HeaderContentType {
		t.Errorf("content type %s, want %s", got, want.Value)
	}
	if contentType([]byte("x")) != nil {
		t.Error("content type of what is no record")
	}
}
