package processors

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"auscult/fhir"
	"auscult/schemas"
	"auscult/state"
)

var observeStart = schemas.Ticks(63_903_117_600) * schemas.TicksPerSecond // 2026-01-04T10:00:00Z

func observeConfig() ObserveConfig {
	return ObserveConfig{
		Plausible: func(typ, _, text string) (bool, bool) { return typ != "raw", text != "0" },
		Period: func(typ string) (fhir.Period, bool) {
			switch typ {
			case "hourly":
				return fhir.Hourly, true
			case "nomap":
				return 0, false
			}
			return fhir.Single, true
		},
	}
}

func reading(device, typ string, seconds int, text string, offset int64) *schemas.Measurement {
	t := observeStart + schemas.Ticks(seconds)*schemas.TicksPerSecond
	return &schemas.Measurement{
		Device: device, Type: typ, Occurrence: t, Ingestion: t, Values: []schemas.NamedText{{Name: "v", Text: text}},
		Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g", Offset: offset},
	}
}

func identityOf(device string) *schemas.Identity {
	return &schemas.Identity{Device: device, Resource: "D-" + device, Identifiers: 1,
		Assignments: []schemas.Assignment{{To: schemas.MaxTicks, Patient: "P-" + device}}}
}

// inWords shows records in words.
func inWords(t *testing.T, outs []emitted) (lines []string) {
	t.Helper()
	for _, o := range outs {
		switch o.topic {
		case schemas.TopicWindows:
			w, err := schemas.Windows.Decode(o.value)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s n=%d sum=%s", w.Kind, o.key, w.Type, w.N, w.Sum))
		case schemas.TopicResources:
			r, err := schemas.Resources.Decode(o.value)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("segment %s %s %s %d", o.key, r.Type, r.Segment, len(r.Values)))
		default:
			d, err := schemas.DeadLetters.Decode(o.value)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("dead %s %s %s@%d %d bytes", d.Stage, d.Reason, d.Topic, d.Offset, len(d.Value)))
		}
	}
	return lines
}

func TestObserve(t *testing.T) {
	o, tab := NewObserve(observeConfig()), newRowTable()
	offset := int64(0)
	send := func(m *schemas.Measurement) {
		offset++
		o.Measurement(tab.at(schemas.TopicMeasurements, m.Device, offset), m.Append(nil))
	}
	want := func(lines ...string) {
		t.Helper()
		if got := inWords(t, tab.took()); !slices.Equal(got, lines) {
			t.Errorf("emitted\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
		}
	}
	send(reading("d", "HR", 5, "80", 1))
	want()
	o.Identity(tab.at(schemas.TopicIdentities, "d", 0), identityOf("d").Append(nil))
	want("segment P-d HR 20260104100005Z.20260104100005Z 1", "assigned P-d  n=0 sum=")
	send(reading("d", "nomap", 60, "1", 2))
	want("pane P-d HR n=1 sum=80")
	late := reading("d", "HR", 6, "81", 3)
	send(late)
	want("segment P-d HR 20260104100006Z.20260104100006Z 1", fmt.Sprintf("dead observe late measurements@%d %d bytes", offset, len(late.Append(nil))))
	offset++
	o.Measurement(tab.at(schemas.TopicMeasurements, "d", offset), []byte("no record"))
	want(fmt.Sprintf("dead observe record measurements@%d 9 bytes", offset))
	offset++
	o.Identity(tab.at(schemas.TopicIdentities, "d", offset), []byte("no record"))
	want(fmt.Sprintf("dead observe record identities@%d 9 bytes", offset))
	send(reading("d", "hourly", 70, "0", 4))
	o.Tick(tab.at("", "d", 0), TickEnd)
	want("segment P-d hourly 20260104100000Z.20260104105959Z 1", "pane P-d nomap n=1 sum=1", "pane P-d hourly n=0 sum=")
	if c := o.Counts(); c.Applied != 4 || c.Late != 1 || c.Unmapped != 1 || c.Implausible != 1 || c.DeadLetters != 3 || c.Parked != 1 || c.Identities != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestObserveHoldsItsPartition(t *testing.T) {
	cfg := observeConfig()
	cfg.ParkLimit = 3
	o, tab := NewObserve(cfg), newRowTable()
	for i := range int64(3) {
		o.Measurement(tab.at(schemas.TopicMeasurements, "d", i), reading("d", "HR", int(i), "80", i+1).Append(nil))
		if got := tab.held[schemas.TopicMeasurements]; got != (i == 2) {
			t.Fatalf("after %d: held %v", i+1, got)
		}
	}
	o.Identity(tab.at(schemas.TopicIdentities, "d", 0), identityOf("d").Append(nil))
	if tab.held[schemas.TopicMeasurements] || len(tab.took()) == 0 {
		t.Error("still held")
	}
	never := reading("e", "HR", 0, "80", 9).Append(nil)
	o.Measurement(tab.at(schemas.TopicMeasurements, "e", 10), never)
	o.Identity(tab.at(schemas.TopicIdentities, "e", 11), (&schemas.Identity{Device: "e", Unknown: "no such Device", GiveUp: true}).Append(nil))
	d, err := schemas.DeadLetters.Decode(tab.took()[0].value)
	if err != nil || d.Reason != schemas.ReasonUnknown || d.Offset != 10 || d.Topic != schemas.TopicMeasurements || string(d.Value) != string(never) {
		t.Errorf("dead letter %+v %v", d, err)
	}
}

func TestObserveIdleTick(t *testing.T) {
	cfg := observeConfig()
	cfg.IdleAfter = 2 * schemas.TicksPerMinute
	o, tab := NewObserve(cfg), newRowTable()
	o.Identity(tab.at(schemas.TopicIdentities, "d", 0), identityOf("d").Append(nil))
	for i := range 5 {
		o.Measurement(tab.at(schemas.TopicMeasurements, "d", int64(i)), reading("d", "HR", i*60, "80", int64(i+1)).Append(nil))
	}
	if state.RowFlags(tab.rows["d"])&state.RowSilent == 0 {
		t.Fatal("silence would close nothing")
	}
	tab.took()
	o.Tick(tab.at("", "d", 0), TickIdle)
	if got := strings.Join(inWords(t, tab.took()), ", "); got != "pane P-d HR n=1 sum=80, idle P-d  n=0 sum=" {
		t.Error(got)
	}
	o.Tick(tab.at("", "d", 0), TickIdle)
	tab.sent = func(string, int64) bool { return true }
	if got := len(tab.took()); got != 2 { // owed until sent
		t.Errorf("%d records", got)
	}
	if state.RowFlags(tab.rows["d"])&state.RowSilent != 0 {
		t.Error("closes on silence again")
	}
}

// river is Observe on a broker that loses at a crash what was not acknowledged:
// table records in their order, outputs only behind the record of their row.
type river struct {
	t         *testing.T
	r         *rand.Rand
	inputs    [2][]message // measurements and identities of one partition
	committed [2]int64
	table     []message // the table topic
	durable   int       // how much of it is acknowledged
	said      map[string]string
	high      map[string]schemas.Order // by reader and sending row
	delivered []emitted

	// What a process loses.
	o        *Observe
	tab      *rowTable
	position [2]int64
	flights  []*flight
	out      map[string]bool // key and version of what this process has got out
}

type message struct {
	key   string
	value []byte
}

// flight is a callback whose row or outputs are not all acknowledged.
type flight struct {
	input    int // -1 = a tick
	offset   int64
	key      string
	versions []int64 // of the outputs of ticks that it sent
	row      int     // place in the table topic
	outs     []emitted
}

func (v *river) start() {
	v.o, v.tab = NewObserve(v.config()), newRowTable()
	v.flights, v.out = nil, map[string]bool{}
	v.table = v.table[:v.durable]
	for _, row := range v.table {
		v.tab.rows[row.key] = row.value
	}
	v.position = v.committed
	v.tab.sent = v.sent
	for _, key := range v.keys() {
		if state.RowFlags(v.tab.rows[key])&(state.RowOwes|state.RowWork) != 0 {
			v.tick(key, TickWork)
		}
	}
}

func (v *river) config() ObserveConfig {
	cfg := observeConfig()
	cfg.MaxGrace = 1000 * schemas.TicksPerDay
	cfg.Grace = func(string, string) schemas.Ticks { return 1000 * schemas.TicksPerDay }
	cfg.ParkLimit = 1000
	return cfg
}

func (v *river) keys() (keys []string) {
	for k := range v.tab.rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (v *river) sent(key string, version int64) bool { return v.out[fmt.Sprint(key, version)] }

// next runs the next message of an input.
func (v *river) next(input int) {
	at := v.position[input]
	if at == int64(len(v.inputs[input])) {
		return
	}
	v.position[input]++
	m := v.inputs[input][at]
	visit := v.tab.at([]string{schemas.TopicMeasurements, schemas.TopicIdentities}[input], m.key, at)
	if input == 0 {
		v.o.Measurement(visit, m.value)
	} else {
		v.o.Identity(visit, m.value)
	}
	v.took(visit, input, at)
}

func (v *river) tick(key string, kind TickKind) {
	visit := v.tab.at("", key, 0)
	v.o.Tick(visit, kind)
	v.took(visit, -1, 0)
}

func (v *river) took(visit *rowVisit, input int, offset int64) {
	if visit.failed != nil {
		v.t.Fatal(visit.failed)
	}
	if !visit.written {
		return
	}
	v.table = append(v.table, message{visit.key, v.tab.rows[visit.key]})
	f := &flight{input: input, offset: offset, key: visit.key, row: len(v.table) - 1, outs: v.tab.took()}
	for _, owed := range v.tab.header(visit.key).Owed {
		if owed.Input == state.OwedByTick {
			f.versions = append(f.versions, owed.Offset)
		}
	}
	v.flights = append(v.flights, f)
}

// land acknowledges something: a piece of the table, or an output of a row that
// is durable. all takes everything.
func (v *river) land(all bool) {
	if v.durable < len(v.table) {
		v.durable += 1 + v.r.IntN(len(v.table)-v.durable)
	}
	if all {
		v.durable = len(v.table)
	}
	kept := v.flights[:0]
	behind := map[string]bool{} // row and topic: what comes later waits, as the transport keeps the order
	for _, f := range v.flights {
		waiting := f.outs[:0]
		for _, o := range f.outs {
			place := f.key + " " + o.topic
			if behind[place] = behind[place] || f.row >= v.durable || !all && v.r.IntN(4) == 0; behind[place] {
				waiting = append(waiting, o)
			} else {
				v.deliver([]emitted{o})
			}
		}
		f.outs = waiting
		if f.row >= v.durable || len(f.outs) > 0 {
			kept = append(kept, f)
		} else if f.input < 0 {
			for _, version := range f.versions {
				v.out[fmt.Sprint(f.key, version)] = true
			}
		}
	}
	v.flights = kept
	for input, topic := range []string{schemas.TopicMeasurements, schemas.TopicIdentities} {
		finished := v.position[input]
		for _, f := range v.flights {
			if f.input == input {
				finished = min(finished, f.offset)
			}
		}
		v.tab.finished[topic] = finished
		if v.r.IntN(3) == 0 || all {
			v.committed[input] = finished
		}
	}
}

// deliver takes records as a reader does: of windows the highest of each sending
// row, and what is not above it is dropped. Two different ones in one place of
// the order would be two histories of one row (G2).
func (v *river) deliver(outs []emitted) {
	for _, o := range outs {
		var place string
		switch o.topic {
		case schemas.TopicWindows:
			w, _ := schemas.Windows.Decode(o.value)
			place = fmt.Sprint(w.Device, w.Order)
			if row := o.key + " " + w.Device; w.Order.Above(v.high[row]) {
				v.high[row] = w.Order
			} else if v.said[o.topic+o.key+place] == "" {
				v.t.Fatalf("a record that nobody has seen comes behind a later one of its row, and is dropped: %s", inWords(v.t, []emitted{o}))
			}
		case schemas.TopicResources:
			r, _ := schemas.Resources.Decode(o.value)
			place = fmt.Sprint(r.Device, r.Order)
		default:
			v.t.Fatalf("a dead letter: %s", inWords(v.t, []emitted{o}))
		}
		place = o.topic + o.key + place
		if old, ok := v.said[place]; ok && old != string(o.value) {
			v.t.Fatalf("two records in one place of the order:\n%q\n%q", old, o.value)
		}
		v.said[place] = string(o.value)
		v.delivered = append(v.delivered, o)
	}
}

// conclusion is what the readers know in the end: of each pane the record that
// is highest in order, of each segment its values.
func (v *river) conclusion() string {
	panes, values := map[string]*schemas.Window{}, map[string]bool{}
	for _, o := range v.delivered {
		if o.topic == schemas.TopicWindows {
			w, _ := schemas.Windows.Decode(o.value)
			k := fmt.Sprint(o.key, w.Type, w.Name, w.Start)
			if old := panes[k]; w.Kind == schemas.WindowPane && (old == nil || w.Order.Above(old.Order)) {
				panes[k] = w
			}
			continue
		}
		r, _ := schemas.Resources.Decode(o.value)
		for _, x := range r.Values {
			values[fmt.Sprint(o.key, r.Type, r.Segment, x)] = true
		}
	}
	var lines []string
	for k, w := range panes {
		lines = append(lines, fmt.Sprintf("%s final=%v n=%d sum=%s %v", k, w.Final, w.N, w.Sum, w.Points))
	}
	for k := range values {
		lines = append(lines, k)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestG1CrashesChangeNothing kills Observe at random points, redelivers what was
// not committed, and lets Normalize repeat itself: readers come to know the same
// as without all that (G1, G2, G7).
func TestG1CrashesChangeNothing(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		calm, rough := newRiver(t, r), newRiver(t, r)
		calm.inputs = someInputs(r)
		rough.inputs = calm.inputs
		calm.start()
		for input := range calm.inputs {
			for range calm.inputs[input] {
				calm.next(input)
				calm.land(true)
			}
		}
		calm.finish()
		rough.start()
		for rough.position != [2]int64{int64(len(rough.inputs[0])), int64(len(rough.inputs[1]))} {
			rough.next(r.IntN(2))
			switch r.IntN(30) {
			case 0:
				rough.start()
			case 1, 2, 3, 4, 5, 6:
				rough.land(false)
			case 7:
				for _, key := range rough.keys() {
					rough.tick(key, TickEnd)
				}
			}
		}
		rough.land(false)
		rough.finish()
		if got, want := rough.conclusion(), calm.conclusion(); got != want {
			t.Fatalf("seed %d: readers know\n%s\nand should know\n%s", seed, except(got, want), except(want, got))
		}
	}
}

// except returns the lines of a that are not in b.
func except(a, b string) string {
	have := strings.Split(b, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(a, "\n"), func(l string) bool { return slices.Contains(have, l) }), "\n")
}

func newRiver(t *testing.T, r *rand.Rand) *river {
	return &river{t: t, r: r, said: map[string]string{}, high: map[string]schemas.Order{}}
}

// finish dies once more, runs what comes again, and ends the run.
func (v *river) finish() {
	v.start()
	for input := range v.inputs {
		for range v.inputs[input] {
			v.next(input)
		}
	}
	v.land(true)
	for _, key := range v.keys() {
		v.tick(key, TickEnd)
	}
	v.land(true)
}

func someInputs(r *rand.Rand) (inputs [2][]message) {
	var sent []message
	for offset := range int64(20 + r.IntN(100)) {
		device := []string{"d", "e"}[r.IntN(2)]
		typ := []string{"HR", "raw", "hourly"}[r.IntN(3)]
		m := reading(device, typ, r.IntN(300), fmt.Sprint(r.IntN(5)), offset+1)
		sent = append(sent, message{device, m.Append(nil)})
		inputs[0] = append(inputs[0], sent[len(sent)-1])
		if r.IntN(20) == 0 { // Normalize was killed
			inputs[0] = append(inputs[0], sent[len(sent)-min(len(sent), 1+r.IntN(4)):]...)
		}
	}
	for _, device := range []string{"d", "e"} {
		inputs[1] = append(inputs[1], message{device, identityOf(device).Append(nil)})
	}
	return inputs
}

// BenchmarkObserve sends the readings of a bedside monitor, four values a second
// in a message each, and says what a message costs: also in bytes of the table
// topic, and of the other outputs.
func BenchmarkObserve(b *testing.B) {
	for _, name := range []string{"close", "value"} {
		b.Run(name, func(b *testing.B) {
			cfg := observeConfig()
			cfg.EmitValue = func(string, string) bool { return name == "value" }
			o, tab := NewObserve(cfg), newRowTable()
			patient := strings.Repeat("a", 64)
			id := identityOf(patient)
			id.Resource, id.Assignments[0].Patient = strings.Repeat("d", 64), patient
			id.Assignments[0].Facts = schemas.PatientFacts{BirthDate: "1950-01-01", Gender: "female"}
			o.Identity(tab.at(schemas.TopicIdentities, "bidmc-01", 0), id.Append(nil))
			types := []string{"HR", "RESP", "PULSE", "SpO2"}
			m := reading("bidmc-01", "", 0, "93", 0)
			m.Lineage.Generation, m.Lineage.Mapping = "kfake-cluster/AAAAAAAAAAAAAAAAAAAAAA", "0123456789abcdef"
			tab.finished[schemas.TopicIdentities] = 1
			var buf []byte
			table, outs := 0, 0
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				m.Type = types[i%4]
				m.Occurrence = observeStart + schemas.Ticks(i/4)*schemas.TicksPerSecond
				m.Ingestion = m.Occurrence
				m.Lineage.Offset = i + 1
				buf = m.Append(make([]byte, 0, 256))
				tab.finished[schemas.TopicMeasurements] = i
				o.Measurement(tab.at(schemas.TopicMeasurements, "bidmc-01", i), buf)
				table += len(tab.rows["bidmc-01"])
				for _, out := range tab.outs {
					outs += len(out.value)
				}
				clear(tab.outs)
				tab.outs = tab.outs[:0]
			}
			b.ReportMetric(float64(table)/float64(b.N), "table-B/msg")
			b.ReportMetric(float64(outs)/float64(b.N), "output-B/msg")
			b.ReportMetric(float64(len(buf)), "input-B/msg")
		})
	}
}
