package state

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"auscult/schemas"
)

// busy returns a patient with some of everything in his row.
func busy(t testing.TB, watch *Watch) *Patient {
	w := newWard(&testing.T{}, watch, nil)
	rnd := rand.New(rand.NewPCG(7, 7))
	for _, v := range randomValues(rnd) {
		w.measure(v)
	}
	w.tell("d0", schemas.WindowIdle)
	w.p.facts = schemas.PatientFacts{BirthDate: "1950-02", Gender: "female", Codes: []string{"a", "b"}}
	w.p.tracks[0].windows[0].min = 1.5
	w.p.more = true
	if len(w.p.tracks[0].windows) < 3 || len(w.p.lanes) < 3 || len(w.p.devices) < 3 {
		t.Fatalf("too little: %+v", w.p)
	}
	return w.p
}

func busyWatch() *Watch {
	return tens(func(p *Plan) { p.Grace, p.Provisional = unlimited, true })
}

func TestPatientRowRoundTrip(t *testing.T) {
	p := busy(t, busyWatch())
	row := p.AppendTo([]byte("header"))
	q := &Patient{Watch: p.Watch}
	if err := q.Read(row[len("header"):]); err != nil {
		t.Fatal(err)
	}
	clear(row) // nothing of it may have been kept
	p.Counts = PatientCounts{}
	if a, b := p.AppendTo(nil), q.AppendTo(nil); !slices.Equal(a, b) {
		t.Errorf("written again:\n%x\n%x", a, b)
	}
	for name, pair := range map[string][2]any{"devices": {p.devices, q.devices}, "facts": {p.facts, q.facts}, "lanes": {p.lanes, q.lanes},
		"tracks": {p.tracks, q.tracks}, "lowest": {p.lowest, q.lowest}, "more": {p.more, q.more}} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s:\n%+v\n%+v", name, pair[0], pair[1])
		}
	}
}

func TestPatientRowOfANewerRelease(t *testing.T) {
	p := &Patient{Watch: busyWatch()}
	if err := p.Read([]byte{PatientLayout + 1}); !errors.Is(err, ErrRow) {
		t.Error(err)
	}
	row := busy(t, busyWatch()).AppendTo(nil)
	for n := 1; n < len(row); n++ {
		if err := p.Read(row[:n]); !errors.Is(err, ErrRow) {
			t.Fatalf("%d of %d bytes: %v", n, len(row), err)
		}
	}
	if err := p.Read(append(row, 0)); !errors.Is(err, ErrRow) {
		t.Errorf("a byte too many: %v", err)
	}
}

func FuzzPatientRow(f *testing.F) {
	watch := busyWatch()
	f.Add([]byte{PatientLayout})
	f.Add((&Patient{Watch: watch}).AppendTo(nil))
	f.Add(busy(f, watch).AppendTo(nil))
	f.Fuzz(func(t *testing.T, row []byte) {
		p := &Patient{Watch: watch}
		if p.Read(row) != nil {
			return
		}
		again := p.AppendTo(nil)
		q := &Patient{Watch: watch}
		if len(row) == 0 {
			return
		}
		if err := q.Read(again); err != nil {
			t.Fatal(err)
		}
		if last := q.AppendTo(nil); !slices.Equal(last, again) {
			t.Fatalf("%x\n%x", again, last)
		}
	})
}

// TestRowStaysSmall watches a patient for a month: what no window can need any
// more leaves the row.
func TestRowStaysSmall(t *testing.T) {
	w := newWard(t, tens(func(p *Plan) { p.Grace, p.Horizon = 20*minute, 8*hour }), nil)
	largest := 0
	for m := range 30 * 24 * 6 {
		w.at("d", float64(m*10), "a=5", "b=4")
		for typ := range w.device("d").values {
			clear(w.device("d").closed[typ])
			clear(w.device("d").values[typ])
		}
		largest = max(largest, len(w.p.AppendTo(nil)))
	}
	if largest > 700 {
		t.Errorf("the row grew to %d bytes", largest)
	}
}

// TestPanesOfASlideJoin sends a value a second: one pane a slide is enough.
func TestPanesOfASlideJoin(t *testing.T) {
	w := newWard(t, tens(func(p *Plan) { p.Size, p.Slide, p.Horizon = hour, hour, 2*hour }), nil)
	for m := range 180 {
		w.at("d", float64(m), "a=5", "b=4")
	}
	panes := 0
	for _, l := range w.p.lanes {
		panes += len(l.panes)
	}
	if panes > 10 {
		t.Errorf("%d panes in the row", panes)
	}
}

func TestG8FullRowGivesWay(t *testing.T) {
	p := busy(t, busyWatch())
	for i := range p.tracks[0].windows {
		p.tracks[0].windows[i].final = true
	}
	before := len(p.AppendTo(nil))
	for p.Shrink() {
		after := len(p.AppendTo(nil))
		if after >= before {
			t.Fatalf("shrank from %d to %d bytes", before, after)
		}
		before = after
	}
	if len(p.tracks[0].windows) > 1 || p.Counts.Forced == 0 {
		t.Errorf("%d windows left, %d forced", len(p.tracks[0].windows), p.Counts.Forced)
	}
}

func TestModelsThatChange(t *testing.T) {
	watch := tens(func(p *Plan) { p.Grace = hour })
	w := newWard(t, watch, nil)
	w.at("d", 3, "a=6", "b=7")
	w.at("d", 12, "a=3")
	w.at("d", 13, "a=3")
	w.says("10 13..13 rev 1 watermark", "flag toy 10 open max 13")
	row := w.p.AppendTo(nil)

	next := tens(func(p *Plan) { p.Version, p.Grace, p.Flag = "2", hour, &FlagPolicy{Open: 5, Close: 2, On: 1, Off: 1} })
	next.Plans = append(next.Plans, toy(Plan{ID: "second", Size: 5 * minute, Slide: 5 * minute, Horizon: hour}))
	w.p = &Patient{Watch: next}
	if err := w.p.Read(row); err != nil {
		t.Fatal(err)
	}
	w.at("d", 7, "a=9") // the old window has been judged by the old rules
	w.says()
	w.at("d", 22, "a=1")
	w.says("20 10..10 rev 1 watermark", "15 10..10 rev 1 watermark") // a new model begins at the clock

	w.p = &Patient{Watch: &Watch{MaxGap: day, Lag: day}} // and no model at all
	if err := w.p.Read(row); err != nil {
		t.Fatal(err)
	}
	if len(w.p.lanes) != 0 || len(w.p.devices) != 1 {
		t.Errorf("%+v", w.p)
	}
}
