package state

import (
	"cmp"
	"slices"

	"auscult/schemas"
)

// Limits of a patient's row, beside those of rows.
const (
	maxWatched     = 128  // devices
	maxLanes       = 2048 // series of values
	maxLanePanes   = 16_384
	maxOpenWindows = 8192 // of one model, that late values may still revise
	maxHeldText    = 256  // bytes of one value; a longer one is no vital sign
	maxHeldID      = 4096 // bytes of one identifier
	maxFacts       = 256  // codes
)

// MaxSlides is how many windows one callback evaluates (G8).
const MaxSlides = 500

// RuleNoData names the technical Flag of a device that has fallen silent.
const RuleNoData = "no-data"

// PatientCounts is what one callback did to a row.
type PatientCounts struct {
	Repeated  int // records that had been taken in before (G2)
	Late      int // panes for windows that nothing can change any more, per model
	Evaluated int // windows
	Unchanged int // windows evaluated again with the same answer
	Forced    int // windows that may not be revised any more because there were too many
	Forgotten int // devices that had to make room
}

// Patient is the row of one patient: the clocks of his devices, the panes that
// a window can still need, and per model its windows and Flag episodes.
//
// It is a machine without a clock or goroutine. A row that has been read keeps
// nothing of the bytes it was read from.
type Patient struct {
	Watch  *Watch
	Counts PatientCounts

	facts   schemas.PatientFacts
	devices []watched
	lanes   []lane
	tracks  []track // one for each plan, in their order
	// lowest is the lowest clock of the devices that count; it never goes back.
	lowest schemas.Ticks
	more   bool // windows are due that the last callback left to the next tick

	spare spare
}

// presence is what the patient knows of a device's whereabouts.
type presence uint8

const ( // who is furthest along is forgotten first
	present presence = iota
	silent
	gone
)

// watched is a device of the patient.
type watched struct {
	id       string
	presence presence
	clock    schemas.Ticks
	// settled is the clock before the latest version of the device's row: one
	// version may bring several panes, and none of them makes another one late.
	settled schemas.Ticks
	order   schemas.Order // of the last record taken in (G2)
	alarm   schemas.Ticks // when its open technical Flag was opened; 0 = none
}

// Intake says what became of a record.
type Intake int

// What can become of a record.
const (
	Taken    Intake = iota
	Repeated        // it had been taken in before (G2)
	Refused         // it is no record that Observe would write
)

// Apply takes in one record of a device and returns the technical Flags that
// it changes. What windows it makes due, Advance evaluates.
func (p *Patient) Apply(w *schemas.Window) ([]schemas.Flag, Intake) {
	if !sound(w) {
		return nil, Refused
	}
	flags := p.makeRoom(w.Device)
	d, ok := p.admit(w)
	if !ok {
		p.Counts.Repeated++
		return nil, Repeated
	}
	if w.Kind != schemas.WindowLeft { // who leaves knows him as he was
		p.facts = cloneFacts(&w.Facts)
	}
	p.devices[d].clock = max(p.devices[d].clock, w.Clock)
	switch w.Kind {
	case schemas.WindowPane:
		p.take(d, w)
	case schemas.WindowAssigned:
		p.devices[d].presence = present
	case schemas.WindowIdle:
		flags = append(flags, p.silence(d)...)
	case schemas.WindowAwake:
		p.devices[d].presence = present
		flags = append(flags, p.clearAlarm(d)...)
	case schemas.WindowLeft:
		p.devices[d].presence = gone
		flags = append(flags, p.clearAlarm(d)...)
	}
	if w.Kind != schemas.WindowPane && p.allSilent() {
		p.closeThrough(schemas.TriggerIdle)
	}
	p.moveLowest()
	return flags, Taken
}

// sound reports that a record can be kept in a row: a row that cannot be read
// again stops its partition.
func sound(w *schemas.Window) bool {
	for _, s := range []string{w.Device, w.Encounter, w.Type, w.Name, w.Facts.BirthDate, w.Facts.Gender} {
		if len(s) > maxHeldID {
			return false
		}
	}
	if w.Order.Version < 0 || w.Order.Index < 0 || w.Clock < 0 || w.Clock > schemas.MaxTicks || len(w.Facts.Codes) > maxFacts {
		return false
	}
	for _, c := range w.Facts.Codes {
		if len(c) > maxHeldID {
			return false
		}
	}
	if w.Kind != schemas.WindowPane || w.N == 0 {
		return w.Device != ""
	}
	return w.Device != "" && w.N > 0 && 0 <= w.Start && w.Start <= w.First.Time && w.First.Time <= w.Last.Time &&
		w.Last.Time < w.End && w.End <= schemas.MaxTicks+1
}

// admit finds the device of a record and refuses what is not above its order.
func (p *Patient) admit(w *schemas.Window) (int, bool) {
	d := slices.IndexFunc(p.devices, func(d watched) bool { return d.id == w.Device })
	if d < 0 {
		p.devices = append(p.devices, watched{id: w.Device})
		d = len(p.devices) - 1
	}
	dev := &p.devices[d]
	if w.Order.Version > 0 {
		if !w.Order.Above(dev.order) {
			return d, false
		}
		if w.Order.Version > dev.order.Version {
			dev.settled = dev.clock
		}
		dev.order = w.Order
	} else {
		dev.settled = dev.clock
	}
	return d, true
}

// makeRoom forgets a device where a new one would be too many: first one that
// has left, then one that is silent, then the one furthest behind. Its open
// technical Flag is closed, for nobody else would.
func (p *Patient) makeRoom(id string) []schemas.Flag {
	if len(p.devices) < maxWatched || slices.ContainsFunc(p.devices, func(d watched) bool { return d.id == id }) {
		return nil
	}
	worst := 0
	for i := range p.devices {
		a, b := &p.devices[i], &p.devices[worst]
		if c := cmp.Compare(b.presence, a.presence); c < 0 || c == 0 && a.clock < b.clock {
			worst = i
		}
	}
	flags := p.clearAlarm(worst)
	p.devices = slices.Delete(p.devices, worst, worst+1)
	p.lanes = slices.DeleteFunc(p.lanes, func(l lane) bool { return l.device == worst })
	for i := range p.lanes {
		if p.lanes[i].device > worst {
			p.lanes[i].device--
		}
	}
	p.Counts.Forgotten++
	return flags
}

// silence notes that a device has fallen silent. The Flag is about the device:
// what it last said of the patient stays as it was.
func (p *Patient) silence(d int) []schemas.Flag {
	dev := &p.devices[d]
	if dev.presence == silent {
		return nil
	}
	dev.presence = silent
	if !p.Watch.IdleFlags || dev.alarm != 0 {
		return nil
	}
	dev.alarm = dev.clock
	return []schemas.Flag{technical(dev, schemas.FlagOpen)}
}

func (p *Patient) clearAlarm(d int) []schemas.Flag {
	dev := &p.devices[d]
	if dev.alarm == 0 {
		return nil
	}
	f := technical(dev, schemas.FlagClosed)
	f.Closed = max(dev.clock, dev.alarm)
	dev.alarm = 0
	return []schemas.Flag{f}
}

func technical(d *watched, s schemas.FlagState) schemas.Flag {
	return schemas.Flag{Rule: RuleNoData, Device: d.id, Kind: schemas.FlagTechnical, State: s, Opened: d.alarm}
}

// allSilent reports that nobody is left whose clock could close a window.
func (p *Patient) allSilent() bool {
	someone := false
	for i := range p.devices {
		if p.devices[i].presence == present {
			return false
		}
		someone = someone || p.devices[i].presence == silent
	}
	return someone
}

// highest is the clock at which the patient is evaluated.
func (p *Patient) highest() schemas.Ticks {
	var h schemas.Ticks
	for i := range p.devices {
		h = max(h, p.devices[i].clock)
	}
	return h
}

// moveLowest moves the lowest clock on: that of the devices that are here,
// speak, and are not far behind (G5).
func (p *Patient) moveLowest() {
	high, low := p.highest(), schemas.Ticks(-1)
	for i := range p.devices {
		d := &p.devices[i]
		if d.presence == present && high-d.clock <= p.Watch.Lag && (low < 0 || d.settled < low) {
			low = d.settled
		}
	}
	p.lowest = max(p.lowest, low)
}

// closeThrough closes every window up to the slide that holds the last used
// event, whatever the clocks say. Episodes stay as they are.
func (p *Patient) closeThrough(by schemas.Trigger) {
	for i := range p.tracks {
		t, plan := &p.tracks[i], &p.Watch.Plans[i]
		if last, ok := p.lastUsed(i); ok {
			if end := plan.slideEnd(last); end > t.forced {
				t.forced, t.forcedBy = end, by
			}
		}
	}
}

// End closes the windows because the run ends.
func (p *Patient) End() { p.closeThrough(schemas.TriggerEnd) }

// Owing reports that windows are due which the last callback left.
func (p *Patient) Owing() bool { return p.more }

// Facts returns what is known of the patient.
func (p *Patient) Facts() schemas.PatientFacts { return p.facts }

// OpenFlags returns how many episodes are open.
func (p *Patient) OpenFlags() int {
	n := 0
	for i := range p.tracks {
		for _, f := range p.tracks[i].flags {
			if f.closed == 0 {
				n++
			}
		}
	}
	for i := range p.devices {
		if p.devices[i].alarm != 0 {
			n++
		}
	}
	return n
}

func cloneFacts(f *schemas.PatientFacts) schemas.PatientFacts {
	return schemas.PatientFacts{BirthDate: f.BirthDate, Gender: f.Gender, Codes: slices.Clone(f.Codes)}
}
