package state

import (
	"cmp"
	"slices"
	"sort"

	"auscult/schemas"
)

// lane is the panes of one series of one device, oldest first.
type lane struct {
	device               int // place among the patient's devices
	encounter, typ, name string
	readers              uint32 // plans that read it, one bit each
	panes                []heldPane
}

// heldPane is what a patient's row keeps of a pane: models read its latest
// value, runs of windows its first and last time.
type heldPane struct {
	start, end  schemas.Ticks
	first, last schemas.Ticks
	text        string // of the last value
	observation string
}

// take puts a pane into its lane and marks the windows over it.
func (p *Patient) take(d int, w *schemas.Window) {
	i, ok := p.laneOf(d, w)
	if !ok {
		return
	}
	l := &p.lanes[i]
	before, after, changed := l.put(w)
	if !changed {
		return
	}
	newest := max(before.last, after.last)
	for t := range p.tracks {
		if l.readers>>t&1 == 1 && p.tracks[t].touch(&p.Watch.Plans[t], w.Start, newest) {
			p.Counts.Late++
		}
	}
}

// laneOf finds the lane of a pane, or makes it when some model reads it.
func (p *Patient) laneOf(d int, w *schemas.Window) (int, bool) {
	i := slices.IndexFunc(p.lanes, func(l lane) bool {
		return l.device == d && l.name == w.Name && l.typ == w.Type && l.encounter == w.Encounter
	})
	if i >= 0 {
		return i, true
	}
	readers := p.Watch.readers(w.Type, w.Name)
	if readers == 0 || w.N == 0 || len(p.lanes) == maxLanes {
		return 0, false
	}
	p.lanes = append(p.lanes, lane{device: d, encounter: w.Encounter, typ: w.Type, name: w.Name, readers: readers})
	return len(p.lanes) - 1, true
}

// readers returns the plans that read a value name, one bit each.
func (w *Watch) readers(typ, name string) (bits uint32) {
	for i := range w.Plans {
		if w.Plans[i].Reads(typ, name) {
			bits |= 1 << i
		}
	}
	return bits
}

// put replaces a pane by its new state; a pane without plausible values goes.
func (l *lane) put(w *schemas.Window) (before, after heldPane, changed bool) {
	i := len(l.panes)
	if i > 0 && l.panes[i-1].start >= w.Start {
		i = sort.Search(i, func(i int) bool { return l.panes[i].start >= w.Start })
	}
	known := i < len(l.panes) && l.panes[i].start == w.Start
	if known {
		before = l.panes[i]
	}
	if w.N == 0 {
		if known {
			l.panes = slices.Delete(l.panes, i, i+1)
		}
		return before, after, known
	}
	after = heldPane{start: w.Start, end: w.End, first: w.First.Time, last: w.Last.Time, text: cut(w.Last.Text, maxHeldText)}
	if len(w.LastObservation) <= maxHeldID {
		after.observation = w.LastObservation
	}
	if known {
		l.panes[i] = after
	} else {
		l.panes = slices.Insert(l.panes, i, after)
	}
	if len(l.panes) > maxLanePanes {
		l.panes = slices.Delete(l.panes, 0, 1)
	}
	return before, after, before != after
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// latest implements Latest over all devices. Of equal times the device that
// sorts first wins (G16).
func (p *Patient) latest(typ, name string, before schemas.Ticks) (best Sample, ok bool) {
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.name != name || l.typ != typ {
			continue
		}
		n := sort.Search(len(l.panes), func(i int) bool { return l.panes[i].last >= before })
		if n == 0 {
			continue
		}
		v := &l.panes[n-1]
		device := p.devices[l.device].id
		if ok && (v.last < best.Time || v.last == best.Time && (device > best.Device || device == best.Device && l.encounter > best.Encounter)) {
			continue
		}
		best = Sample{Text: v.text, Time: v.last, Observation: v.observation, Device: device, Encounter: l.encounter}
		ok = true
	}
	return best, ok
}

// lastUsed returns the time of the last event that plan t uses.
func (p *Patient) lastUsed(t int) (last schemas.Ticks, ok bool) {
	for i := range p.lanes {
		if l := &p.lanes[i]; l.readers>>t&1 == 1 && len(l.panes) > 0 {
			last, ok = max(last, l.panes[len(l.panes)-1].last), true
		}
	}
	return last, ok
}

// span is a time in which events were used, without a gap that matters.
type span struct{ first, last schemas.Ticks }

// spans returns when plan t used events after its frozen windows, in order, and
// the last event used before.
func (p *Patient) spans(t int) (all []span, before schemas.Ticks) {
	plan, frozen := &p.Watch.Plans[t], p.tracks[t].frozen
	all = p.spare.spans[:0]
	for i := range p.lanes {
		l := &p.lanes[i]
		if l.readers>>t&1 == 0 {
			continue
		}
		for j := range l.panes {
			v := &l.panes[j]
			if plan.slideEnd(v.last) <= frozen {
				before = max(before, v.last)
				continue
			}
			all = append(all, span{v.first, v.last})
		}
	}
	p.spare.spans = all
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	return all, before
}

// compact drops the panes that no window can need any more, and joins those
// that differ for none.
func (p *Patient) compact() {
	grace := p.Watch.grace()
	for i := range p.lanes {
		l := &p.lanes[i]
		firm := p.devices[l.device].settled - grace // panes that end here are as they will stay
		kept := l.panes[:0]
		for j := range l.panes {
			v := l.panes[j]
			if p.expired(l, &v) {
				continue
			}
			if n := len(kept); n > 0 && v.end <= firm && p.joins(l, &kept[n-1], &v) {
				v.first = kept[n-1].first
				kept = kept[:n-1]
			}
			kept = append(kept, v)
		}
		clear(l.panes[len(kept):])
		l.panes = kept
	}
	p.lanes = slices.DeleteFunc(p.lanes, func(l lane) bool { return len(l.panes) == 0 })
}

// expired reports that v is beyond the horizon of every window that may still
// be evaluated.
func (p *Patient) expired(l *lane, v *heldPane) bool {
	for t := range p.tracks {
		plan, frozen := &p.Watch.Plans[t], p.tracks[t].frozen
		if l.readers>>t&1 == 1 && (plan.slideEnd(v.last) > frozen || v.last+plan.Horizon >= frozen+plan.Slide) {
			return false
		}
	}
	return true
}

// joins reports that no window can see v without seeing next, which is later:
// they lie in one slide, or before all windows that may still be evaluated.
func (p *Patient) joins(l *lane, v, next *heldPane) bool {
	for t := range p.tracks {
		plan := &p.Watch.Plans[t]
		if end := plan.slideEnd(next.last); l.readers>>t&1 == 1 && end > p.tracks[t].frozen && end != plan.slideEnd(v.last) {
			return false
		}
	}
	return true
}
