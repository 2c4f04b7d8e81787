package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"auscult/schemas"
)

// tens is the toy model over tumbling windows of ten minutes.
func tens(change func(*Plan)) *Watch {
	p := Plan{Size: 10 * minute, Slide: 10 * minute, Horizon: 20 * minute, Flag: &FlagPolicy{Open: 12, Close: 8, On: 1, Off: 1}}
	if change != nil {
		change(&p)
	}
	return &Watch{Plans: []Plan{toy(p)}, MaxGap: 7 * day, Lag: day, IdleFlags: true}
}

// at sends readings of device d, each "type=text" at a minute after base.
func (w *ward) at(d string, minutes float64, readings ...string) {
	for _, r := range readings {
		typ, text, _ := strings.Cut(r, "=")
		w.measure(value{device: d, typ: typ, time: base + schemas.Ticks(minutes*float64(minute)), position: len(w.sent), text: text})
	}
}

// tell sends a record without a pane.
func (w *ward) tell(d string, kind schemas.WindowKind) {
	dev := w.device(d)
	dev.version++
	r := schemas.Window{Kind: kind, Patient: "pat", Device: d, Clock: dev.clock, Order: schemas.Order{Version: dev.version}}
	flags, intake := w.p.Apply(&r)
	if intake != Taken {
		w.t.Fatalf("%v of %s: %v", kind, d, intake)
	}
	for _, f := range flags {
		w.flag(f)
	}
	w.advance()
}

// says compares what has happened since the last call.
func (w *ward) says(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(w.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	w.log = nil
}

func TestEverySlideIsScored(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("d", 3, "a=5", "b=6")
	w.says()
	w.at("d", 34, "a=7") // passes three boundaries, none of which had a record of its own
	w.says("10 11..11 rev 1 watermark")
	w.at("d", 35, "c=0") // the pane of minute 34 is closed: now the last used event lies in the fourth slide
	w.says("20 11..11 rev 1 watermark", "30 0..20 rev 1 watermark")
	w.at("d", 90, "c=0") // nothing that a model reads: never beyond the last used event
	w.says("40 7..17 rev 1 watermark")
	w.end()
	w.says()
}

func TestG8GapBeginsARun(t *testing.T) {
	watch := tens(nil)
	watch.MaxGap = 30 * minute
	w := newWard(t, watch, nil)
	w.at("d", -400*24*60, "a=1") // a clock that was wrong for one value
	w.at("d", 5, "a=5", "b=6")
	w.at("d", 36, "a=1") // 31 minutes later
	w.end()
	w.says("-575990 1..11 rev 1 watermark", "10 11..11 rev 1 watermark", "40 1..11 rev 1 end")
}

func TestG8OneCallbackScoresSoMany(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("d", 5, "a=5", "b=6")
	w.at("d", 6*24*60, "a=1")
	w.limit = 100
	d := w.device("d")
	d.clock += minute
	d.closed["a"][d.clock.Floor(minute, 0)-minute] = true
	d.pane("a", d.clock.Floor(minute, 0)-minute)
	d.version++
	r := d.queue[0]
	r.Device, r.Clock, r.Order = "d", d.clock, schemas.Order{Version: d.version}
	w.p.Apply(&r)
	callbacks := 0
	for more := true; more; more = w.p.Owing() {
		callbacks++
		w.collect(w.p.Advance(w.limit))
		if w.p.Flags()&RowWork != 0 != w.p.Owing() {
			t.Error("a row that owes windows must say so")
		}
		w.cut()
	}
	if n := len(w.scores["toy"]); n != 6*24*6 || callbacks != 9 {
		t.Errorf("%d windows in %d callbacks", n, callbacks)
	}
}

func TestLateInsideAndAfterGrace(t *testing.T) {
	w := newWard(t, tens(func(p *Plan) { p.Grace = 5 * minute }), nil)
	w.at("d", 3, "a=5", "b=6")
	w.at("d", 12, "c=0")
	w.says("10 11..11 rev 1 watermark")
	w.at("d", 8, "a=9")
	w.says("10 15..15 rev 2 late", "flag toy 10 open max 15")
	w.at("d", 8, "a=9") // the same again: nothing new
	w.says()
	w.at("d", 16, "c=0")
	w.at("d", 17, "c=0") // the clock has passed grace
	w.at("d", 9, "a=1")
	w.says()
	if w.p.Counts.Late == 0 {
		t.Error("a pane for a window that is settled was not counted")
	}
}

func TestG16EpisodeMoves(t *testing.T) {
	w := newWard(t, tens(func(p *Plan) { p.Grace = hour }), nil)
	w.at("d", 3, "a=5", "b=5")
	w.at("d", 13, "a=8")
	w.at("d", 21, "c=0")
	w.says("10 10..10 rev 1 watermark", "20 13..13 rev 1 watermark", "flag toy 20 open max 13")
	w.at("d", 4, "a=10") // the first window was high already
	w.says("10 15..15 rev 2 late", "flag toy 20 withdrawn max 13", "flag toy 10 open max 15")
	w.at("d", 23, "a=1", "b=1")
	w.at("d", 31, "c=0")
	w.says("30 2..2 rev 1 watermark", "flag toy 10 closed 30 max 15")
	w.at("d", 24, "a=10") // it was not low after all
	w.says("30 11..11 rev 2 late", "flag toy 10 open max 15")
}

func TestG16ProvisionalScoreOpensAFlag(t *testing.T) {
	w := newWard(t, tens(func(p *Plan) { p.Provisional = true }), nil)
	w.at("d", 1, "b=6")
	w.says("10 6..16 rev 1 value")
	w.at("d", 2, "a=9")
	w.says("10 15..15 rev 2 value", "flag toy 10 open max 15")
	w.at("d", 3, "a=10") // escalates in place
	w.says("10 16..16 rev 3 value", "flag toy 10 open max 16")
	w.at("d", 4, "a=1") // better, but the window has not ended
	w.says("10 7..7 rev 4 value")
	w.at("d", 11, "c=0")
	w.says("10 7..7 rev 5 watermark", "flag toy 10 closed 10 max 16")
	w.at("d", 12, "a=9") // and one that holds
	w.says("20 15..15 rev 1 value", "flag toy 20 open max 15")
	w.at("d", 21, "a=9")
	w.says("20 15..15 rev 2 watermark", "30 9..19 rev 1 value") // b is too old by then
}

func TestG5TwoClocks(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("fast", 3, "a=5")
	w.at("slow", 3, "b=6")
	w.at("fast", 12, "c=0") // the highest clock decides when a window is scored
	w.says("10 5..15 rev 1 watermark")
	w.at("slow", 4, "b=7") // the lowest one when it is settled
	w.says("10 11..11 rev 2 late")
	w.at("slow", 9, "b=2")
	w.at("slow", 11, "b=3")
	w.says("10 12..12 rev 3 late", "flag toy 10 open max 12", "10 7..7 rev 4 late", "flag toy 10 withdrawn max 12")
}

func TestG5LowestClockNeverSticks(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(w *ward)
		want float64 // minutes
	}{
		{"here and slow", func(*ward) {}, 5},
		{"left", func(w *ward) { w.tell("slow", schemas.WindowLeft) }, 600},
		{"silent", func(w *ward) { w.tell("slow", schemas.WindowIdle) }, 600},
		{"awake again", func(w *ward) { w.tell("slow", schemas.WindowIdle); w.tell("slow", schemas.WindowAwake) }, 5},
		{"more than a day behind", func(w *ward) { w.at("fast", 24*60+6, "c=0") }, 24*60 + 6},
	} {
		w := newWard(t, tens(nil), nil)
		w.at("slow", 5, "a=1")
		w.at("slow", 5.5, "c=1")
		w.at("slow", 5.6, "c=1")
		w.tell("slow", schemas.WindowPassed)
		w.tell("slow", schemas.WindowPassed)
		w.at("fast", 600, "c=1")
		c.stop(w)
		w.tell("fast", schemas.WindowPassed)
		w.tell("fast", schemas.WindowPassed)
		low := float64(w.p.lowest-base) / float64(minute)
		if low < c.want || low > c.want+1 {
			t.Errorf("%s: lowest clock at %v, want %v", c.name, low, c.want)
		}
	}
}

// A device that comes back with an old clock opens nothing that was settled.
func TestG5LowestClockNeverGoesBack(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("slow", 5, "a=1")
	w.tell("slow", schemas.WindowLeft)
	w.at("fast", 600, "c=1")
	w.tell("fast", schemas.WindowPassed)
	w.tell("fast", schemas.WindowPassed)
	before := w.p.lowest
	w.tell("slow", schemas.WindowAssigned)
	w.at("slow", 6, "a=9")
	if w.p.lowest < before || before < base+600*minute {
		t.Errorf("lowest clock went from %s to %s", before, w.p.lowest)
	}
}

// A pane of an earlier version of the device's row comes behind a later one.
func TestG2OlderRecordIsDropped(t *testing.T) {
	p := &Patient{Watch: tens(nil)}
	if err := p.Read(nil); err != nil {
		t.Fatal(err)
	}
	pane := func(version int64, index int32, text string) Intake {
		_, intake := p.Apply(&schemas.Window{Device: "d", Type: "a", Name: "v", Start: base, End: base + minute, N: 1, Clock: base + minute,
			First: schemas.PanePoint{Time: base}, Last: schemas.PanePoint{Time: base, Text: text}, Order: schemas.Order{Version: version, Index: index}})
		return intake
	}
	for _, c := range []struct {
		version int64
		index   int32
		text    string
		intake  Intake
		want    string
	}{
		{5, 1, "5", Taken, "5"}, {4, 9, "4", Repeated, "5"}, {5, 0, "3", Repeated, "5"}, {5, 1, "2", Repeated, "5"}, {5, 2, "6", Taken, "6"}, {6, 0, "7", Taken, "7"},
	} {
		intake := pane(c.version, c.index, c.text)
		if s, _ := p.latest("a", "v", base+minute); intake != c.intake || s.Text != c.want {
			t.Errorf("version %d.%d: %v, value %s", c.version, c.index, intake, s.Text)
		}
	}
}

// A device that leaves knows the patient as he was when he had it.
func TestG5LeavingSaysNothingOfThePatient(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("d", 1, "a=5")
	r := schemas.Window{Kind: schemas.WindowPassed, Device: "d", Clock: w.device("d").clock, Facts: schemas.PatientFacts{Codes: []string{"scale"}},
		Order: schemas.Order{Version: w.device("d").version + 1}}
	w.p.Apply(&r)
	w.device("d").version++
	w.tell("d", schemas.WindowLeft)
	if got := w.p.Facts().Codes; len(got) != 1 {
		t.Errorf("facts after a device has left: %v", got)
	}
}

func TestSilenceClosesWindowsAndRaisesAFlag(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("one", 2, "a=6", "b=7")
	w.at("two", 4, "c=1")
	w.at("one", 3, "c=1")
	w.tell("one", schemas.WindowIdle)
	w.says("flag no-dataone 3 open max 0") // the other device still speaks
	w.tell("one", schemas.WindowIdle)
	w.says()
	w.tell("two", schemas.WindowIdle)
	w.says("flag no-datatwo 4 open max 0", "10 13..13 rev 1 idle", "flag toy 10 open max 13")
	if n := w.p.OpenFlags(); n != 3 {
		t.Errorf("%d flags open", n)
	}
	w.cut()
	w.at("one", 8, "a=1")
	w.tell("one", schemas.WindowAwake)
	w.says("flag no-dataone 3 closed 8 max 0")
	w.tell("two", schemas.WindowLeft)
	w.says("flag no-datatwo 4 closed 4 max 0")
	w.at("one", 11, "c=1")
	w.says("10 8..8 rev 2 late", "flag toy 10 withdrawn max 13")
}

func TestEndClosesWindowsNeverEpisodes(t *testing.T) {
	w := newWard(t, tens(nil), nil)
	w.at("d", 2, "a=6", "b=7")
	w.end()
	w.says("10 13..13 rev 1 end", "flag toy 10 open max 13")
	w.end()
	w.end()
	w.says()
	w.at("d", 5, "a=7") // the recording goes on
	w.at("d", 16, "a=1")
	w.says("10 14..14 rev 2 late", "flag toy 10 open max 14")
	w.end()
	w.says("20 8..8 rev 1 end", "flag toy 10 closed 20 max 14")
}

func TestG16SameInstantOnTwoDevices(t *testing.T) {
	for _, order := range [][]string{{"d1", "d2"}, {"d2", "d1"}} {
		w := newWard(t, tens(nil), nil)
		for _, d := range order {
			w.at(d, 2, map[string]string{"d1": "a=3", "d2": "a=8"}[d])
		}
		w.at("d1", 2, "b=1")
		w.end()
		w.says("10 4..4 rev 1 end")
	}
}

func TestRecordsThatNobodyWouldWrite(t *testing.T) {
	p := &Patient{Watch: tens(nil)}
	if err := p.Read(nil); err != nil {
		t.Fatal(err)
	}
	good := schemas.Window{Device: "d", Type: "a", Name: "v", Start: base, End: base + minute, N: 1, Clock: base,
		First: schemas.PanePoint{Time: base}, Last: schemas.PanePoint{Time: base, Text: "1"}}
	for name, change := range map[string]func(w *schemas.Window){
		"no device":       func(w *schemas.Window) { w.Device = "" },
		"long type":       func(w *schemas.Window) { w.Type = strings.Repeat("x", maxHeldID+1) },
		"value outside":   func(w *schemas.Window) { w.Last.Time = w.End },
		"before its pane": func(w *schemas.Window) { w.First.Time = base - 1 },
		"clock":           func(w *schemas.Window) { w.Clock = -1 },
		"order":           func(w *schemas.Window) { w.Order.Version = -1 },
		"facts":           func(w *schemas.Window) { w.Facts.Codes = make([]string, maxFacts+1) },
	} {
		w := good
		change(&w)
		if _, got := p.Apply(&w); got != Refused {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, got := p.Apply(&good); got != Taken || len(p.devices) != 1 {
		t.Errorf("a good record: %v, %d devices", got, len(p.devices))
	}
}

// A device too many takes the place of one that matters less; the Flag of the
// one that goes is closed, for nobody would close it later.
func TestOneDeviceTooMany(t *testing.T) {
	p := &Patient{Watch: tens(nil)}
	p.Watch.IdleFlags = true
	if err := p.Read(nil); err != nil {
		t.Fatal(err)
	}
	tell := func(i int, kind schemas.WindowKind, clock schemas.Ticks) []schemas.Flag {
		flags, took := p.Apply(&schemas.Window{Kind: kind, Device: fmt.Sprint("d", i), Clock: clock})
		if took != Taken {
			t.Fatalf("device %d: %v", i, took)
		}
		return flags
	}
	for i := range maxWatched {
		tell(i, schemas.WindowAssigned, base+schemas.Ticks(i))
	}
	tell(70, schemas.WindowIdle, base+90*minute) // ahead of all others, and silent
	flags := tell(maxWatched, schemas.WindowAssigned, base)
	if len(flags) != 1 || flags[0].Device != "d70" || flags[0].State != schemas.FlagClosed {
		t.Errorf("the silent device made room with %+v", flags)
	}
	if flags = tell(maxWatched+1, schemas.WindowAssigned, base); len(flags) != 0 || len(p.devices) != maxWatched {
		t.Errorf("the one furthest behind made room with %+v; %d devices", flags, len(p.devices))
	}
}
