package state

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"auscult/schemas"
)

// second0 is 2026-01-04T10:00:00Z.
var second0 = schemas.Ticks(63_903_117_600) * schemas.TicksPerSecond

func at(seconds int) schemas.Ticks { return second0 + schemas.Ticks(seconds)*schemas.TicksPerSecond }

// deviceSpec is the configuration of these tests: HR, T and note are read by
// signals (numbers from 0 to 300, note takes any text), raw is not; Sampled goes
// by the hour, Corr by correlation id.
func deviceSpec(change func(*DeviceSpec)) *DeviceSpec {
	s := &DeviceSpec{
		Run: schemas.RunLive, Pane: schemas.TicksPerMinute,
		Plausible: func(typ, _, text string) (bool, bool) {
			switch typ {
			case "HR", "T", "Corr":
				d, ok := parseDecimal(text)
				return true, ok && d.compare(decimal{}) > 0 && d.compare(decimal{m: 300}) <= 0
			case "note":
				return true, true
			}
			return false, false
		},
		Grace:       func(string, string) schemas.Ticks { return 0 },
		EmitValue:   func(typ, _ string) bool { return typ == "T" },
		Segment:     testSegment,
		Observation: func(p, d, typ, segment string) string { return p + "." + d + "." + typ + "." + segment },
		FlushCount:  3, FlushEvery: 10 * schemas.TicksPerMinute,
		ParkLimit: 4, IdleAfter: 5 * schemas.TicksPerMinute,
	}
	if change != nil {
		change(s)
	}
	return s
}

func testSegment(typ string, t schemas.Ticks, correlation string) (SegmentSpan, bool, error) {
	switch typ {
	case "nomap":
		return SegmentSpan{}, false, nil
	case "Sampled":
		start := t.Floor(schemas.TicksPerHour, 0)
		return SegmentSpan{Text: "hour " + clockText(start), Start: start, End: start + schemas.TicksPerHour - 1}, true, nil
	case "Corr":
		if correlation == "" {
			return SegmentSpan{}, true, fmt.Errorf("no correlation id")
		}
		return SegmentSpan{Text: correlation, Start: t, End: t, Correlation: true}, true, nil
	}
	return SegmentSpan{Text: clockText(t), Start: t, End: t, Single: true}, true, nil
}

// clockText shows t as minutes and seconds after second0.
func clockText(t schemas.Ticks) string {
	if t == 0 {
		return "-"
	}
	if t == schemas.MaxTicks {
		return "max"
	}
	d := t - second0
	sign := ""
	if d < 0 {
		d, sign = -d, "-"
	}
	s := int64(d / schemas.TicksPerSecond)
	text := fmt.Sprintf("%s%02d:%02d", sign, s/60, s%60)
	if f := d % schemas.TicksPerSecond; f != 0 {
		text += fmt.Sprintf(".%07d", f)
	}
	return text
}

// script drives one device, rereading its row between steps, and writes down
// what it emits.
type script struct {
	t       testing.TB
	spec    *DeviceSpec
	row     []byte
	offset  int64
	lines   []string
	windows []schemas.Window
	values  []schemas.Resource
	refused []Refusal
	counts  DeviceCounts
	full    int // records after which a callback should stop; 0 = none
}

func newScript(t testing.TB, change func(*DeviceSpec)) *script {
	return &script{t: t, spec: deviceSpec(change)}
}

func (s *script) Window(w *schemas.Window) {
	c := *w
	c.Points = slices.Clone(w.Points)
	s.windows = append(s.windows, c)
	line := fmt.Sprintf("%s %s@%s", w.Kind, w.Patient, clockText(w.Clock))
	if w.Kind == schemas.WindowPane {
		line += fmt.Sprintf(" %s.%s %s n=%d", w.Type, w.Name, clockText(w.Start), w.N)
		if w.Implausible > 0 {
			line += fmt.Sprintf("!%d", w.Implausible)
		}
		line += fmt.Sprintf(" sum=%s min=%s max=%s r%d %s", w.Sum, w.Min, w.Max, w.Revision, w.Trigger)
		if w.Final {
			line += " final"
		}
	}
	s.lines = append(s.lines, line)
}

func (s *script) Resource(r *schemas.Resource) {
	c := *r
	c.Values = slices.Clone(r.Values)
	s.values = append(s.values, c)
	line := fmt.Sprintf("segment %s %s %s:", r.Patient, r.Type, r.Segment)
	for _, v := range r.Values {
		line += " " + v.Name + "=" + v.Text
	}
	if r.First {
		line += " first"
	}
	s.lines = append(s.lines, line)
}

func (s *script) Refuse(r Refusal) {
	s.refused = append(s.refused, r)
	s.lines = append(s.lines, "refused "+r.Reason)
}

func (s *script) Full() bool { return s.full > 0 && len(s.lines) >= s.full }

// step runs one callback on the row, and compares what it says about itself
// before and after it is written.
func (s *script) step(do func(d *Device)) {
	s.t.Helper()
	d := &Device{Spec: s.spec}
	if err := d.Read(s.row); err != nil {
		s.t.Fatal(err)
	}
	if again := d.AppendTo(nil); s.row != nil && string(again) != string(s.row) {
		s.t.Fatalf("a row that is read and written changes:\n%x\n%x", s.row, again)
	}
	do(d)
	if d.Err() != nil {
		s.t.Fatal(d.Err())
	}
	c := d.Counts
	s.counts.Applied += c.Applied
	s.counts.Redelivered += c.Redelivered
	s.counts.Late += c.Late
	s.counts.Implausible += c.Implausible
	s.counts.Unmapped += c.Unmapped
	s.row = d.AppendTo(nil)
}

// send sends values "name=text" of one measurement, from partition 0, appended
// when it happened.
func (s *script) send(typ string, t schemas.Ticks, values ...string) {
	s.t.Helper()
	m := measurement(typ, t, values...)
	s.sendMeasurement(m)
}

func (s *script) sendMeasurement(m *schemas.Measurement) {
	s.t.Helper()
	if m.Lineage.Offset == 0 {
		s.offset++
		m.Lineage.Offset = s.offset
	}
	record := m.Append(nil)
	s.step(func(d *Device) { d.Measure(m, Parked{Offset: s.offset, Record: record}, s) })
}

func measurement(typ string, t schemas.Ticks, values ...string) *schemas.Measurement {
	m := &schemas.Measurement{Device: "dev", Type: typ, Occurrence: t, Ingestion: t, Lineage: schemas.Lineage{Run: schemas.RunLive, Generation: "g"}}
	for _, v := range values {
		name, text, ok := strings.Cut(v, "=")
		if !ok {
			name, text = "v", v
		}
		m.Values = append(m.Values, schemas.NamedText{Name: name, Text: text})
	}
	return m
}

// belongs gives the device to patients, each until the time behind his name.
func (s *script) belongs(assignments ...schemas.Assignment) {
	s.t.Helper()
	s.learn(&schemas.Identity{Device: "dev", Resource: "D", Identifiers: 1, Assignments: assignments})
}

func (s *script) learn(id *schemas.Identity) {
	s.t.Helper()
	s.step(func(d *Device) { d.Identify(id, s) })
}

func always(patient string) schemas.Assignment {
	return schemas.Assignment{To: schemas.MaxTicks, Patient: patient}
}

// told returns what has been emitted since the last call.
func (s *script) told() string {
	text := strings.Join(s.lines, "\n")
	s.lines = nil
	return text
}

func (s *script) want(lines ...string) {
	s.t.Helper()
	if got, want := s.told(), strings.Join(lines, "\n"); got != want {
		s.t.Errorf("emitted\n%s\nwant\n%s", got, want)
	}
}

func TestPaneClosesWhenTheClockPassesItsEnd(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	s.want()
	s.send("HR", at(10), "80")
	s.want("segment P HR 00:10: v=80 first", "assigned P@00:10")
	s.send("HR", at(50), "81.5")
	s.want("segment P HR 00:50: v=81.5 first")
	s.send("HR", at(60), "90")
	s.want("segment P HR 01:00: v=90 first", "pane P@01:00 HR.v 00:00 n=2 sum=161.5 min=80 max=81.5 r1 watermark final")
	w := s.windows[len(s.windows)-1]
	if w.First.Text != "80" || w.Last.Text != "81.5" || w.LastObservation != "P.D.HR.00:50" || len(w.Points) != 2 || w.Resource != "D" || w.Device != "dev" {
		t.Errorf("pane %+v", w)
	}
	s.send("HR", at(59), "70")
	s.want("segment P HR 00:59: v=70", "refused late")
	s.send("HR", at(250), "70")
	s.want("segment P HR 04:10: v=70 first", "pane P@04:10 HR.v 01:00 n=1 sum=90 min=90 max=90 r1 watermark final")
	s.send("raw", at(400), "1") // no signal reads it, yet it moves the clock
	s.want("segment P raw 06:40: v=1 first", "pane P@06:40 HR.v 04:00 n=1 sum=70 min=70 max=70 r1 watermark final")
	s.send("raw", at(430), "1")
	s.want("segment P raw 07:10: v=1 first", "passed P@07:10")
	s.send("raw", at(470), "1")
	s.want("segment P raw 07:50: v=1 first")
	if s.counts.Late != 1 || s.counts.Applied != 8 {
		t.Errorf("counts %+v", s.counts)
	}
}

func TestValuesAreEmittedAtOnceWhenAModelAsksForThat(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	s.send("T", at(1), "37.0")
	s.want("assigned P@00:00", "pane P@00:01 T.v 00:00 n=1 sum=37.0 min=37.0 max=37.0 r1 value")
	s.send("T", at(2), "39")
	s.want("pane P@00:02 T.v 00:00 n=2 sum=76.0 min=37.0 max=39 r2 value")
	s.send("T", at(3), "900")
	s.want()
	s.send("T", at(61), "38")
	s.want("pane P@00:02 T.v 00:00 n=2!1 sum=76.0 min=37.0 max=39 r3 watermark final", "pane P@01:01 T.v 01:00 n=1 sum=38 min=38 max=38 r1 value")
}

func noSegments(string, schemas.Ticks, string) (SegmentSpan, bool, error) {
	return SegmentSpan{}, false, nil
}

func TestLateInsideGraceRevises(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) {
		s.Segment = noSegments
		s.Grace = func(string, string) schemas.Ticks { return 2 * schemas.TicksPerMinute }
		s.MaxGrace = 2 * schemas.TicksPerMinute
	})
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.send("HR", at(100), "90")
	s.told()
	s.send("HR", at(20), "100")
	s.want("pane P@01:40 HR.v 00:00 n=2 sum=180 min=80 max=100 r2 late final")
	s.send("HR", at(20), "100") // the device sends it again
	s.want()
	s.send("HR", at(20), "60") // and corrects it
	s.want("pane P@01:40 HR.v 00:00 n=2 sum=140 min=60 max=80 r3 late final")
	s.send("T", at(30), "36")
	s.want("pane P@01:40 T.v 00:00 n=1 sum=36 min=36 max=36 r1 late final")
	s.send("HR", at(180), "90")
	s.want("pane P@03:00 HR.v 01:00 n=1 sum=90 min=90 max=90 r1 watermark final")
	s.send("HR", at(20), "61")
	s.want("refused late")
	s.send("HR", at(60), "61")
	s.want("pane P@03:00 HR.v 01:00 n=2 sum=151 min=61 max=90 r2 late final")
}

func TestG7RedeliveryIsNeverLate(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.send("HR", at(500), "80")
	s.told()
	m := measurement("HR", at(10), "80")
	m.Lineage.Offset = 1
	s.sendMeasurement(m)
	s.want()
	if s.counts.Redelivered != 1 {
		t.Errorf("counts %+v", s.counts)
	}
	m.Lineage.Partition = 7 // another partition counts for itself
	s.sendMeasurement(m)
	s.want("segment P HR 00:10: v=80", "refused late")
	m.Lineage.Generation = "g2" // and so does another life of the topic
	s.sendMeasurement(m)
	s.want("segment P HR 00:10: v=80", "refused late")
}

// The measurements of one message have one offset: their index tells them apart.
func TestG7PositionsHaveAnIndex(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	send := func(index int32, text string) {
		m := measurement("HR", at(10+int(index)), text)
		m.Lineage.Offset, m.Lineage.Index = 7, index
		s.sendMeasurement(m)
	}
	send(0, "80")
	send(1, "81")
	s.told()
	send(0, "80")
	send(1, "81")
	s.want()
	send(2, "82")
	s.want("segment P HR 00:12: v=82 first")
	if s.counts.Redelivered != 2 {
		t.Errorf("counts %+v", s.counts)
	}
}

func TestValuesWaitForAnIdentity(t *testing.T) {
	s := newScript(t, nil)
	for i := range 3 {
		s.send("HR", at(i*100), "80")
	}
	s.want()
	s.step(func(d *Device) {
		if d.Clock() != 0 || d.Full() || d.Parked() != 3 || d.Flags() != RowParked {
			t.Errorf("clock %d, full %v, parked %d, flags %d", d.Clock(), d.Full(), d.Parked(), d.Flags())
		}
	})
	s.send("HR", at(300), "80")
	s.step(func(d *Device) {
		if !d.Full() {
			t.Error("does not ask for the partition to be held")
		}
	})
	s.learn(&schemas.Identity{Device: "dev", Unknown: "no Device"})
	s.want()
	s.send("HR", at(400), "80")
	s.want("refused parking")
	s.belongs(always("P"))
	if got := s.told(); strings.Count(got, "segment") != 4 || strings.Count(got, "pane") != 3 {
		t.Error(got)
	}
	s.step(func(d *Device) {
		if d.Flags()&RowParked != 0 || d.Full() {
			t.Error("still parked")
		}
	})
}

func TestOnlyGivingUpRefusesParkedValues(t *testing.T) {
	s := newScript(t, nil)
	s.send("HR", at(0), "80")
	s.learn(&schemas.Identity{Device: "dev", Unknown: "no Device"})
	s.want()
	s.learn(&schemas.Identity{Device: "dev", Unknown: "no Device", GiveUp: true})
	s.want("refused unknown")
	if p := s.refused[0].Parked; p == nil || p.Offset != 1 || s.refused[0].Detail != "no Device" {
		t.Errorf("refused %+v", s.refused[0])
	}
	s.send("HR", at(1), "80")
	s.want("refused unknown")
	s.belongs(always("P"))
	s.send("HR", at(2), "80")
	s.want("segment P HR 00:02: v=80 first", "assigned P@00:02")
}

func TestManyParkedValuesAreReleasedInPortions(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.ParkLimit = 2 * maxReleased; s.Segment = noSegments })
	for i := range maxReleased + 10 {
		s.send("HR", at(i), "80")
	}
	s.belongs(always("P"))
	if s.counts.Applied != maxReleased {
		t.Errorf("released %d at once", s.counts.Applied)
	}
	s.step(func(d *Device) {
		if d.Flags()&RowWork == 0 {
			t.Error("no work is left for the tick")
		}
	})
	s.send("HR", at(1000), "80") // takes its place behind those that wait
	if s.counts.Applied != maxReleased+10+1 {
		t.Errorf("applied %d", s.counts.Applied)
	}
	s.step(func(d *Device) {
		if d.Work(s) || d.Flags()&(RowWork|RowParked) != 0 {
			t.Error("work is left")
		}
	})
}

func TestReleaseStopsWhenEnoughIsEmitted(t *testing.T) {
	s := newScript(t, nil)
	for i := range 4 {
		s.send("raw", at(i), "80")
	}
	s.full = 2
	s.belongs(always("P"))
	s.want("segment P raw 00:00: v=80 first", "assigned P@00:00")
	s.step(func(d *Device) {
		if d.Flags() != RowWork|RowParked || !d.Work(s) {
			t.Error("no work is left for the tick")
		}
	})
	s.want("segment P raw 00:01: v=80 first", "segment P raw 00:02: v=80 first")
	s.step(func(d *Device) { d.End(s) })
	s.want("segment P raw 00:03: v=80 first")
}

func TestDeviceHandedOver(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) {
		s.MaxGrace = schemas.TicksPerMinute
		s.Grace = func(string, string) schemas.Ticks { return schemas.TicksPerMinute }
		s.Segment = noSegments
	})
	a := schemas.Assignment{To: at(90), Patient: "A", Facts: schemas.PatientFacts{Gender: "male"}}
	b := schemas.Assignment{From: at(90), To: schemas.MaxTicks, Patient: "B", Encounter: "E"}
	s.belongs(a, b)
	s.send("HR", at(70), "80")
	s.send("HR", at(95), "90") // in the same pane
	s.want("assigned A@01:10", "assigned B@01:35")
	s.send("HR", at(121), "91")
	s.want("pane A@02:01 HR.v 01:00 n=1 sum=80 min=80 max=80 r1 watermark final", "pane B@02:01 HR.v 01:00 n=1 sum=90 min=90 max=90 r1 watermark final")
	s.send("HR", at(89), "70")
	s.want("pane A@02:01 HR.v 01:00 n=2 sum=150 min=70 max=80 r2 late final")
	s.send("HR", at(180), "92")
	s.want("pane B@03:00 HR.v 02:00 n=1 sum=91 min=91 max=91 r1 watermark final", "left A@03:00")
	if w := s.windows[0]; w.Facts.Gender != "male" || s.windows[1].Encounter != "E" {
		t.Errorf("windows %+v", s.windows[:2])
	}
	s.send("HR", at(80), "70") // too late: A is not bothered any more
	s.want("refused late")
}

func TestMessageThatNamesItsPatientGoesToHim(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) {
		s.ByName = true
		s.Segment = noSegments
		s.EmitValue = func(string, string) bool { return true }
	})
	named := func(t schemas.Ticks, name string) *schemas.Measurement {
		m := measurement("HR", t, "80")
		m.Patient = name
		return m
	}
	s.belongs(schemas.Assignment{To: at(30), Patient: "A", Name: "ann"}, schemas.Assignment{From: at(30), To: schemas.MaxTicks, Patient: "B", Name: "bob"})
	s.sendMeasurement(named(at(40), "bob"))
	s.sendMeasurement(named(at(41), "ann"))
	s.sendMeasurement(named(at(42), ""))
	if got := fmt.Sprint(patients(s.windows)); got != "[B B A A B]" {
		t.Error(got, s.told())
	}
	s.told()
	s.sendMeasurement(named(at(43), "eve"))
	s.want() // waits: Identify has not seen the name
	s.learn(&schemas.Identity{Device: "dev", Resource: "D", Unknown: "device belongs to bob", GiveUp: true,
		Assignments: []schemas.Assignment{{To: schemas.MaxTicks, Patient: "B", Name: "bob"}}})
	if got := s.told(); !strings.Contains(got, "refused unknown") {
		t.Error(got)
	}
}

// TestGivingUpOnANameSaysNothingOfLaterOnes: Identify may be ahead of this row or
// behind it.
func TestGivingUpOnANameSaysNothingOfLaterOnes(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	in := func(encounter string, offset int64) {
		t.Helper()
		m := measurement("HR", at(int(offset)), "80")
		m.Encounter, m.Lineage.Offset = encounter, offset
		s.sendMeasurement(m)
	}
	answer := func(offset int64, known ...schemas.NamedID) {
		s.learn(&schemas.Identity{Device: "dev", Resource: "D", Unknown: "no Encounter", GiveUp: true, Assignments: []schemas.Assignment{always("P")},
			Encounters: known, Lineage: schemas.Lineage{Generation: "g", Offset: offset}})
	}
	answer(10) // Identify is ahead: it has asked for the message at 10
	in("A", 5)
	s.want("refused unknown")
	in("A", 20)
	s.want("refused unknown")
	in("B", 21) // Identify may not have seen it
	s.want()
	answer(21, schemas.NamedID{Name: "B", ID: "b"})
	s.want("assigned P@00:21")
	in("C", 22)
	s.want()
	answer(22, schemas.NamedID{Name: "B", ID: "b"})
	s.want("refused unknown")
	in("C", 23)
	s.want("refused unknown")
}

func patients(ws []schemas.Window) (all []string) {
	for i := range ws {
		all = append(all, ws[i].Patient)
	}
	return all
}

func TestEncounterByName(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.NeedEncounter = true })
	s.belongs(always("P"))
	s.send("HR", at(0), "80")
	s.want("refused unknown")
	m := measurement("HR", at(1), "80")
	m.Encounter = "stay-1"
	s.sendMeasurement(m)
	s.want()
	s.learn(&schemas.Identity{Device: "dev", Resource: "D", Assignments: []schemas.Assignment{always("P")}, Encounters: []schemas.NamedID{{Name: "stay-1", ID: "E1"}}})
	s.want("segment P HR 00:01: v=80 first", "assigned P@00:01")
	if s.values[0].Encounter != "E1" {
		t.Errorf("segment %+v", s.values[0])
	}
}

func TestNobodyHadTheDevice(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(schemas.Assignment{From: at(100), To: at(200), Patient: "A"})
	s.send("HR", at(50), "80")
	s.want("refused unknown")
	s.send("HR", at(250), "80")
	s.want("refused unknown")
}

func TestIdleDevice(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	for i := range 6 {
		s.send("HR", at(i*60), "80")
		s.step(func(d *Device) {
			if (d.Flags()&RowSilent != 0) != (i == 5) {
				t.Errorf("after %d minutes: flags %d", i, d.Flags())
			}
		})
	}
	s.told()
	idle := func() { s.step(func(d *Device) { d.Idle(s) }) }
	idle()
	s.want("pane P@05:00 HR.v 05:00 n=1 sum=80 min=80 max=80 r1 idle final", "idle P@05:00")
	idle()
	s.want()
	s.send("HR", at(310), "90")
	s.want("awake P@05:10")
	s.send("HR", at(360), "90")
	s.want("pane P@06:00 HR.v 05:00 n=2 sum=170 min=80 max=90 r2 watermark final")
}

func TestG9OldRecordingIsNeverIdle(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	for i := range 100 {
		m := measurement("HR", at(i*60), "80")
		m.Ingestion = at(14*365*86400).Floor(schemas.TicksPerSecond, 0) + schemas.Ticks(i)*schemas.TicksPerMinute
		s.sendMeasurement(m)
	}
	s.step(func(d *Device) {
		if d.Flags() != 0 || d.Idle(s) {
			t.Error("a recording of long ago, sent at its own pace, falls idle")
		}
	})
	s = newScript(t, nil)
	s.belongs(always("P"))
	for i := range 100 { // ten minutes for each, until it reaches now
		m := measurement("HR", at((i-100)*600), "80")
		m.Ingestion = at(i)
		s.sendMeasurement(m)
	}
	s.step(func(d *Device) {
		if d.Flags() != 0 {
			t.Error("a recording sent fast falls idle")
		}
	})
}

func TestEndClosesWhatIsOpenOnce(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.send("Sampled", at(11), "1")
	s.told()
	end := func() (changed bool) { s.step(func(d *Device) { changed = d.End(s) }); return changed }
	if !end() {
		t.Error("nothing changed")
	}
	s.want("segment P Sampled hour 00:00: v=1 first", "pane P@00:11 HR.v 00:00 n=1 sum=80 min=80 max=80 r1 end final")
	if end() {
		t.Error("changed again")
	}
	s.want()
	s.send("HR", at(12), "90") // more data later
	s.want("segment P HR 00:12: v=90 first")
	end()
	s.want("pane P@00:12 HR.v 00:00 n=2 sum=170 min=80 max=90 r2 end final")
}

func TestFactsThatChangeAreTold(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.told()
	a := always("P")
	s.belongs(a)
	s.want()
	a.Facts.Codes = []string{"spo2-scale-2"}
	s.belongs(a)
	s.want("assigned P@00:10")
	if w := s.windows[len(s.windows)-1]; !slices.Equal(w.Facts.Codes, a.Facts.Codes) {
		t.Errorf("facts %+v", w.Facts)
	}
}

// What an idle device's identity brings must not count its standing clock again:
// it would never say a second time that it is idle.
func TestG5IdleDeviceStaysIdleWhenItsIdentityChanges(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	a := always("P")
	s.belongs(a)
	for i := range 7 {
		s.send("HR", at(i*60), "80")
	}
	s.step(func(d *Device) { d.Idle(s) })
	s.told()
	a.Facts.Codes = []string{"spo2-scale-2"}
	s.belongs(a)
	s.want("assigned P@06:00", "idle P@06:00")
	a.To = at(300)
	s.belongs(a, schemas.Assignment{From: at(300), To: schemas.MaxTicks, Patient: "Q"}) // learnt late
	s.want("assigned Q@06:00", "idle Q@06:00")
	s.send("HR", at(420), "80")
	s.want("awake P@06:00", "awake Q@07:00", "left P@07:00")
}

// Whoever has no pane that would say so hears of the clock all the same: his other
// devices' windows wait for it.
func TestG5ClockIsToldWithoutPanes(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	s.send("raw", at(10), "1") // no signal reads it
	s.want("assigned P@00:10")
	s.send("raw", at(50), "1")
	s.want()
	s.send("raw", at(60), "1")
	s.want("passed P@01:00")
	s.send("raw", at(3600), "1")
	s.want("passed P@60:00")
}

// A patient who turns out never to have had the device is left at once, with what
// was known of him: he would wait for its clock for ever, and lose his facts.
func TestG5PatientWhoNeverHadTheDeviceIsLeft(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	a := always("P")
	a.Facts.Codes = []string{"spo2-scale-2"}
	s.belongs(a)
	s.send("HR", at(10), "80")
	s.told()
	s.belongs(always("Q"))
	s.want("pane P@00:10 HR.v 00:00 n=1 sum=80 min=80 max=80 r1 idle final", "left P@00:10", "assigned Q@00:10")
	for _, w := range s.windows {
		if w.Patient == "P" && len(w.Facts.Codes) != 1 {
			t.Errorf("%s takes the patient's facts away: %+v", w.Kind, w.Facts)
		}
	}
}

func TestDeviceThatIsNoLongerKnownLeaves(t *testing.T) {
	s := newScript(t, nil)
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.send("Sampled", at(11), "1")
	s.told()
	s.learn(&schemas.Identity{Device: "dev", Unknown: "Device is gone"})
	s.want("segment P Sampled hour 00:00: v=1 first", "pane P@00:10 HR.v 00:00 n=1 sum=80 min=80 max=80 r1 idle final", "left P@00:11")
	if s.values[len(s.values)-1].Device != "D" {
		t.Error("the segment has lost its Device")
	}
	s.send("HR", at(20), "80")
	s.want()
}

func TestSegments(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Cutover = at(0) })
	s.belongs(always("P"))
	s.send("raw", at(-5), "1")
	s.want("segment P raw -00:05: v=1", "assigned P@-00:05") // before the cutover
	s.send("raw", at(5), "1")
	s.send("raw", at(5)+5, "2") // the same second has the same id
	s.send("raw", at(3), "2")
	s.send("raw", at(6), "a=2", "b=3")
	s.want("segment P raw 00:05: v=1 first", "passed P@00:05", "segment P raw 00:05.0000005: v=2", "segment P raw 00:03: v=2", "segment P raw 00:06: a=2 b=3 first")
	s.send("nomap", at(7), "1")
	s.want()
	s.send("Sampled", at(10), "a=1", "b=2")
	s.send("Sampled", at(3600), "a=9")
	s.want("segment P Sampled hour 00:00: a=1 b=2 first", "passed P@60:00")
	s.send("Sampled", at(3601), "a=8")
	s.send("Sampled", at(3602), "a=7")
	s.want("segment P Sampled hour 60:00: a=9 a=8 a=7 first")
	s.send("Sampled", at(20), "a=2")
	s.want("segment P Sampled hour 00:00: a=2")
	s.send("Corr", at(3700), "80")
	s.want("refused mapping", "passed P@61:40")
	m := measurement("Corr", at(3710), "80")
	m.Correlation = "c1"
	s.sendMeasurement(m)
	m = measurement("Corr", at(3705), "81", "82", "83")
	m.Correlation = "c1"
	s.sendMeasurement(m)
	s.want("segment P Corr c1: v=80 v=81 v=82 v=83")
	if r := s.values[len(s.values)-1]; r.Start != at(3705) || r.End != at(3710) || r.Values[0].Position.Offset != 13 {
		t.Errorf("segment %+v", r)
	}
	if s.counts.Unmapped != 1 {
		t.Errorf("counts %+v", s.counts)
	}
}

func TestFirstOnlyWhereNobodyElseWrites(t *testing.T) {
	for name, change := range map[string]func(*script, *schemas.Identity){
		"a replay":               func(s *script, _ *schemas.Identity) { s.spec.Run = "again" },
		"two device identifiers": func(_ *script, id *schemas.Identity) { id.Identifiers = 2 },
		"before the cutover":     func(s *script, _ *schemas.Identity) { s.spec.Cutover = at(1) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, nil)
			id := &schemas.Identity{Device: "dev", Resource: "D", Identifiers: 1, Assignments: []schemas.Assignment{always("P")}}
			change(s, id)
			s.learn(id)
			s.send("raw", at(0), "1")
			if s.values[0].First {
				t.Error("the segment is marked first")
			}
		})
	}
}

func TestG8FullRowClosesItsOldestPanes(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) {
		s.Segment = noSegments
		s.Grace = func(string, string) schemas.Ticks { return schemas.TicksPerHour }
	})
	s.belongs(always("P"))
	s.send("note", at(0), "old")
	s.send("HR", at(30), "80")
	s.send("note", at(60), "new")
	s.told()
	s.step(func(d *Device) {
		if !d.Shrink(s) || d.Shrink(s) {
			t.Error("not everything is closed at once")
		}
	})
	s.want("pane P@01:00 note.v 01:00 n=1 sum= min= max= r1 size final")
	if strings.Contains(string(s.row), "old") || strings.Contains(string(s.row), "new") {
		t.Error("the points are still in the row")
	}
	s.send("note", at(61), "newer")
	s.want("refused size")
	s.send("note", at(120), "newest")
	s.want("passed P@02:00")
}

func TestPaneLengthChanges(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	s.send("HR", at(10), "80")
	s.told()
	s.spec.Pane = 5 * schemas.TicksPerMinute
	s.send("HR", at(20), "90")
	s.want("pane P@00:10 HR.v 00:00 n=1 sum=80 min=80 max=80 r1 size final")
	s.send("HR", at(300), "90")
	s.want("pane P@05:00 HR.v 00:00 n=1 sum=90 min=90 max=90 r1 watermark final")
}

// TestFinalPanesDependOnValuesOnly sends the same values in orders that keep
// that of each partition, with redeliveries, and cuts the row after each of
// them; a naive computation over the set says what the final panes hold.
func TestFinalPanesDependOnValuesOnly(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 5))
		partitions := randomMessages(r)
		want := naivePanes(partitions)
		for range 3 {
			s := newScript(t, func(s *DeviceSpec) {
				s.Grace = func(string, string) schemas.Ticks { return 1000 * schemas.TicksPerDay }
				s.MaxGrace = 1000 * schemas.TicksPerDay
			})
			s.belongs(schemas.Assignment{To: at(240), Patient: "A"}, schemas.Assignment{From: at(240), To: schemas.MaxTicks, Patient: "B"})
			sendInSomeOrder(s, r, partitions)
			s.step(func(d *Device) { d.End(s) })
			if got := lastPanes(t, s.windows); got != want {
				t.Fatalf("seed %d: final panes\n%s\nwant\n%s", seed, got, want)
			}
		}
	}
}

func randomMessages(r *rand.Rand) [][]schemas.Measurement {
	texts := []string{"80", "80.0", "79.95", "1e2", "120", "-3", "400", "oops", "0.5", "299.999999999999999999"}
	partitions := make([][]schemas.Measurement, 1+r.IntN(3))
	for range 5 + r.IntN(60) {
		p := r.IntN(len(partitions))
		typ := []string{"HR", "T", "note"}[r.IntN(3)]
		occurrence := at(r.IntN(480))
		if r.IntN(4) == 0 {
			occurrence += schemas.Ticks(r.IntN(int(schemas.TicksPerSecond)))
		}
		m := measurement(typ, occurrence, texts[r.IntN(len(texts))])
		m.Lineage.Partition, m.Lineage.Offset = int32(p), int64(len(partitions[p])+1)
		partitions[p] = append(partitions[p], *m)
		if r.IntN(3) == 0 { // the device corrects itself, through any partition
			p = r.IntN(len(partitions))
			m = measurement(typ, occurrence, texts[r.IntN(len(texts))])
			m.Lineage.Partition, m.Lineage.Offset = int32(p), int64(len(partitions[p])+1)
			partitions[p] = append(partitions[p], *m)
		}
	}
	return partitions
}

func sendInSomeOrder(s *script, r *rand.Rand, partitions [][]schemas.Measurement) {
	next := make([]int, len(partitions))
	for {
		var left []int
		for p := range partitions {
			if next[p] < len(partitions[p]) {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return
		}
		p := left[r.IntN(len(left))]
		m := partitions[p][next[p]]
		s.sendMeasurement(&m)
		next[p]++
		switch r.IntN(20) {
		case 0: // Normalize was killed: its last messages come again
			next[p] = max(0, next[p]-1-r.IntN(5))
		case 1:
			s.step(func(d *Device) { d.End(s) })
		case 2:
			s.step(func(d *Device) { d.Idle(s) })
		}
	}
}

// naivePanes computes final panes from the values as a set.
func naivePanes(partitions [][]schemas.Measurement) string {
	type key struct {
		patient, typ string
		start        schemas.Ticks
	}
	type instant struct {
		key
		t schemas.Ticks
	}
	spec := deviceSpec(nil)
	good, bad := map[instant]schemas.Measurement{}, map[instant]bool{}
	panes := map[key][]instant{}
	for _, list := range partitions {
		for _, m := range list {
			patient := "A"
			if m.Occurrence >= at(240) {
				patient = "B"
			}
			k := instant{key{patient, m.Type, m.Occurrence.Floor(spec.Pane, paneOrigin)}, m.Occurrence}
			if _, ok := spec.Plausible(m.Type, "v", m.Values[0].Text); !ok {
				bad[k] = true
			} else if old, ok := good[k]; !ok || m.Lineage.Position().Compare(old.Lineage.Position()) > 0 {
				good[k] = m
			}
			panes[k.key] = append(panes[k.key], k)
		}
	}
	var lines []string
	for k, instants := range panes {
		slices.SortFunc(instants, func(a, b instant) int { return int(a.t - b.t) })
		instants = slices.Compact(instants)
		w := schemas.Window{Patient: k.patient, Type: k.typ, Start: k.start}
		var sum, least, most *big.Rat
		scale := 0
		for _, i := range instants {
			if bad[i] {
				w.Implausible++
			}
			m, ok := good[i]
			if !ok {
				continue
			}
			text := m.Values[0].Text
			w.N++
			w.Points = append(w.Points, schemas.PanePoint{Time: i.t, Text: text})
			v, ok := new(big.Rat).SetString(text)
			if !ok {
				continue
			}
			if _, fraction, ok := strings.Cut(text, "."); ok {
				scale = max(scale, len(fraction))
			}
			if sum == nil {
				sum, least, most, w.Min, w.Max = new(big.Rat), v, v, text, text
			}
			if v.Cmp(least) < 0 {
				least, w.Min = v, text
			}
			if v.Cmp(most) > 0 {
				most, w.Max = v, text
			}
			sum.Add(sum, v)
		}
		if sum != nil {
			w.Sum = sum.FloatString(scale)
		}
		lines = append(lines, paneLine(&w))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// paneLine shows what may not depend on order.
func paneLine(w *schemas.Window) string {
	line := fmt.Sprintf("%s %s %s n=%d!%d sum=%s min=%s max=%s", w.Patient, w.Type, clockText(w.Start), w.N, w.Implausible, w.Sum, w.Min, w.Max)
	for _, p := range w.Points {
		line += " " + clockText(p.Time) + "=" + p.Text
	}
	return line
}

// lastPanes shows the last record of each pane, which has to be final.
func lastPanes(t *testing.T, ws []schemas.Window) string {
	t.Helper()
	last := map[string]*schemas.Window{}
	revision := map[string]int32{}
	for i := range ws {
		w := &ws[i]
		if w.Kind != schemas.WindowPane {
			continue
		}
		k := w.Patient + w.Type + strconv.FormatInt(int64(w.Start), 10)
		last[k] = w
		if revision[k]++; revision[k] != w.Revision {
			t.Fatalf("revision %d after %d", w.Revision, revision[k]-1)
		}
	}
	var lines []string
	for _, w := range last {
		if !w.Final {
			t.Fatalf("not final: %s", paneLine(w))
		}
		if w.N > 0 && (w.First != w.Points[0] || w.Last != w.Points[len(w.Points)-1] ||
			w.LastObservation != w.Patient+".D."+w.Type+"."+clockText(w.Last.Time)) {
			t.Fatalf("first and last of %+v", w)
		}
		lines = append(lines, paneLine(w))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func TestManyPointsAreLeftOutOfTheRecordOnly(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) { s.Segment = noSegments })
	s.belongs(always("P"))
	for i := range schemas.MaxPanePoints + 1 {
		s.send("HR", at(0)+schemas.Ticks(i)*schemas.TicksPerMillisecond, "10")
	}
	s.send("HR", at(0), "20") // replaces the first
	s.told()
	s.send("HR", at(60), "1")
	s.want("pane P@01:00 HR.v 00:00 n=65 sum=660 min=10 max=20 r1 watermark final")
	if w := s.windows[len(s.windows)-1]; len(w.Points) != 0 || w.First.Text != "20" {
		t.Errorf("%d points, first %+v", len(w.Points), w.First)
	}
}

func FuzzReadDevice(f *testing.F) {
	s := newScript(f, nil)
	s.send("HR", at(1), "80")
	s.belongs(schemas.Assignment{To: at(90), Patient: "A"}, schemas.Assignment{From: at(90), To: schemas.MaxTicks, Patient: "B", Facts: schemas.PatientFacts{Codes: []string{"x"}}})
	s.send("HR", at(10), "80")
	s.send("Sampled", at(20), "1 2 3")
	s.send("HR", at(100), "90")
	f.Add(s.row)
	spec := deviceSpec(nil)
	f.Fuzz(func(t *testing.T, row []byte) {
		d := &Device{Spec: spec}
		if d.Read(row) != nil {
			return
		}
		d.End(&script{t: t, spec: spec})
		m := measurement("HR", at(130), "70")
		d.Measure(m, Parked{Record: m.Append(nil)}, &script{t: t, spec: spec})
		if d.Err() != nil {
			return
		}
		written := d.AppendTo(nil)
		again := &Device{Spec: spec}
		if err := again.Read(written); err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		if string(again.AppendTo(nil)) != string(written) {
			t.Fatal("a row that is read and written changes")
		}
	})
}

// TestMeasuringDoesNotAllocate takes a measurement through a whole callback: row
// read, value applied, row written.
func TestMeasuringDoesNotAllocate(t *testing.T) {
	s := newScript(t, func(s *DeviceSpec) {
		s.Segment = func(_ string, t schemas.Ticks, _ string) (SegmentSpan, bool, error) {
			return SegmentSpan{Text: "segment", Start: t, End: t, Single: true}, true, nil
		}
		s.Observation = func(_, _, _, segment string) string { return segment }
	})
	s.belongs(always("P"))
	for i := range 30 {
		s.send("HR", at(i), "80")
		s.send("T", at(i), "36.5")
	}
	d, m, sink := &Device{Spec: s.spec}, measurement("HR", at(30), "81"), &quiet{}
	var row []byte
	step := func() {
		m.Lineage.Offset = 1000
		if err := d.Read(s.row); err != nil {
			t.Fatal(err)
		}
		d.Measure(m, Parked{}, sink)
		row = d.AppendTo(row[:0])
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
	m.Occurrence = at(60) // closes two panes
	step()
	if n := testing.AllocsPerRun(100, step); n > 2 || sink.windows == 0 {
		t.Errorf("%v allocations, %d panes", n, sink.windows)
	}
}

// quiet only counts.
type quiet struct{ windows, resources, refused int }

func (q *quiet) Window(*schemas.Window)     { q.windows++ }
func (q *quiet) Resource(*schemas.Resource) { q.resources++ }
func (q *quiet) Refuse(Refusal)             { q.refused++ }
func (q *quiet) Full() bool                 { return false }
