package state

import (
	"strings"

	"auscult/schemas"
)

// paneSeries is the unfinished panes of one value name of one type, of one
// patient and encounter. Most callbacks touch few of a row's series: the others
// stay encoded.
type paneSeries struct {
	who       subject
	typ, name string
	due       schemas.Ticks // when the clock makes something of it final or forgotten
	raw       []byte        // the panes as the row has them, until they are loaded
	loaded    bool
	panes     []openPane // ascending by start
}

// openPane is a pane that may still take values.
type openPane struct {
	start       schemas.Ticks
	revision    int32
	final       bool          // emitted as final with what it holds
	sealed      bool          // final, and its points are gone (G8)
	plausible   int           // points
	implausible int           // points
	last        schemas.Ticks // time of the last point
	partition   int32         // of devicedata, that of its first point
	raw, tail   []byte        // the points, encoded: from the row, and new ones
}

// valuePoint is one value of a pane. A pane holds one plausible and one
// implausible point of a time at most; of the latter only the time.
type valuePoint struct {
	t           schemas.Ticks
	text        string
	correlation string // of the message, for types whose segments need it
	partition   int32  // of devicedata: of equal times the higher one counts
	implausible bool
}

// before is the order of points in a pane.
func (p *valuePoint) before(q *valuePoint) bool {
	return p.t < q.t || p.t == q.t && !p.implausible && q.implausible
}

// values puts the values of m that some signal reads into their panes. Those
// that are later than grace make m a dead letter as well.
func (d *Device) values(m *schemas.Measurement, who subject, parked *Parked, out Emitter) {
	start := d.Spec.paneStart(m.Occurrence)
	var late, full []string
	for i := range m.Values {
		v := &m.Values[i]
		bound, plausible := d.Spec.Plausible(m.Type, v.Name, v.Text)
		if !bound {
			continue
		}
		if !plausible {
			d.Counts.Implausible++
		}
		if start+d.pane+d.Spec.Grace(m.Type, v.Name) <= d.clock {
			if plausible {
				late = append(late, v.Name)
			}
			continue
		}
		point := valuePoint{t: m.Occurrence, partition: m.Lineage.Partition, implausible: !plausible}
		if plausible {
			point.text, point.correlation = v.Text, m.Correlation
		}
		if !d.value(who, m.Type, v.Name, start, &point) {
			full = append(full, v.Name)
		}
	}
	if len(late) > 0 {
		d.Counts.Late += len(late)
		out.Refuse(Refusal{
			Reason: schemas.ReasonLate, Detail: "later than grace, not in any window (the Observation has it): " + strings.Join(late, ", "),
			Action: "replay the time range, or give the models that read it a longer grace", Lineage: m.Lineage, Parked: parked,
		})
	}
	if len(full) > 0 {
		out.Refuse(Refusal{
			Reason: schemas.ReasonSize, Detail: "the pane has been closed because the row was full: " + strings.Join(full, ", "),
			Action: "replay the time range; give the models that read it a shorter grace", Lineage: m.Lineage, Parked: parked,
		})
	}
}

// value puts a point into the pane that begins at start; false when there is no
// room for it.
func (d *Device) value(who subject, typ, name string, start schemas.Ticks, point *valuePoint) bool {
	s := d.seriesOf(who, typ, name)
	if s == nil {
		return false
	}
	d.load(s)
	p := s.pane(start)
	if p.sealed {
		return false
	}
	d.attach(who.patient, point.t)
	if !d.insert(p, point) {
		return true
	}
	over := start+d.pane <= d.clock
	switch {
	case over:
		d.emitPane(s, p, schemas.TriggerLate, true)
	case d.Spec.EmitValue(typ, name) && !point.implausible:
		d.emitPane(s, p, schemas.TriggerValue, false)
	default:
		p.final = false
	}
	d.schedule(s)
	return true
}

// seriesOf returns the series, a new one when there is room for it.
func (d *Device) seriesOf(who subject, typ, name string) *paneSeries {
	for i := range d.series {
		if s := &d.series[i]; s.name == name && s.typ == typ && s.who == who {
			return s
		}
	}
	if len(d.series) == maxSeries {
		return nil
	}
	s := d.pushSeries()
	s.who, s.typ, s.name, s.loaded = who, typ, name, true
	return s
}

// pushSeries appends an empty series; its panes keep their room.
func (d *Device) pushSeries() *paneSeries {
	if len(d.series) < cap(d.series) {
		d.series = d.series[:len(d.series)+1]
	} else {
		d.series = append(d.series, paneSeries{})
	}
	s := &d.series[len(d.series)-1]
	*s = paneSeries{panes: s.panes[:0]}
	return s
}

// pane returns the pane that begins at start, a new one if need be.
func (s *paneSeries) pane(start schemas.Ticks) *openPane {
	at := len(s.panes)
	for at > 0 && s.panes[at-1].start > start {
		at--
	}
	if at > 0 && s.panes[at-1].start == start {
		return &s.panes[at-1]
	}
	s.panes = append(s.panes, openPane{})
	copy(s.panes[at+1:], s.panes[at:])
	s.panes[at] = openPane{start: start}
	return &s.panes[at]
}

// insert puts point into p and reports whether that changes what p says. Of
// equal times the value from the higher source position counts; within one
// partition that is the one that comes later (G7).
func (d *Device) insert(p *openPane, point *valuePoint) bool {
	empty := p.plausible+p.implausible == 0
	if empty {
		p.partition, p.last = point.partition, p.start
	}
	if empty || point.t > p.last {
		from := len(d.arena)
		d.arena = append(d.arena, p.tail...)
		d.arena = p.appendPoint(d.arena, p.last, point)
		p.tail = d.arena[from:len(d.arena):len(d.arena)]
		p.last = point.t
		p.count(point)
		return true
	}
	d.points = d.appendPoints(d.points[:0], p)
	at := len(d.points)
	for at > 0 && point.before(&d.points[at-1]) {
		at--
	}
	if at > 0 && !d.points[at-1].before(point) {
		return d.replace(p, &d.points[at-1], point)
	}
	d.points = append(d.points, valuePoint{})
	copy(d.points[at+1:], d.points[at:])
	d.points[at] = *point
	p.count(point)
	d.rewrite(p)
	return true
}

// replace puts point in the place of old, which has its time.
func (d *Device) replace(p *openPane, old, point *valuePoint) bool {
	if point.implausible || point.partition < old.partition {
		return false
	}
	changes := point.text != old.text || point.correlation != old.correlation
	if changes || point.partition != old.partition {
		*old = *point
		d.rewrite(p)
	}
	return changes
}

func (p *openPane) count(point *valuePoint) {
	if point.implausible {
		p.implausible++
	} else {
		p.plausible++
	}
}

// rewrite encodes d.points as those of p.
func (d *Device) rewrite(p *openPane) {
	from, last := len(d.arena), p.start
	for i := range d.points {
		d.arena = p.appendPoint(d.arena, last, &d.points[i])
		last = d.points[i].t
	}
	p.raw, p.tail, p.last = nil, d.arena[from:len(d.arena):len(d.arena)], last
}

// schedule works out when the clock next has something to do in s.
func (d *Device) schedule(s *paneSeries) {
	s.due = schemas.MaxTicks
	grace := d.Spec.Grace(s.typ, s.name)
	for i := range s.panes {
		p := &s.panes[i]
		if due := p.start + d.pane; !p.final {
			s.due = min(s.due, due)
		} else {
			s.due = min(s.due, due+grace)
		}
	}
}

// closePanes emits the panes whose end the clock has passed, and forgets those
// whose grace is over.
func (d *Device) closePanes() {
	emptied := false
	for i := range d.series {
		s := &d.series[i]
		if s.due > d.clock {
			continue
		}
		d.load(s)
		grace, kept := d.Spec.Grace(s.typ, s.name), 0
		for k := range s.panes {
			p := &s.panes[k]
			end := p.start + d.pane
			if !p.final && end <= d.clock {
				d.emitPane(s, p, schemas.TriggerWatermark, true)
			}
			if end+grace > d.clock {
				s.panes[kept] = *p
				kept++
			}
		}
		s.panes = s.panes[:kept]
		emptied = emptied || kept == 0
		d.schedule(s)
	}
	if emptied {
		d.dropEmptySeries()
	}
}

// dropEmptySeries keeps the order of the others, and the room of all.
func (d *Device) dropEmptySeries() {
	kept := 0
	for i := range d.series {
		if d.series[i].loaded && len(d.series[i].panes) == 0 {
			continue
		}
		d.series[kept], d.series[i] = d.series[i], d.series[kept]
		kept++
	}
	d.series = d.series[:kept]
}

// closeAll emits every pane that is not final; false when there is none.
func (d *Device) closeAll(trigger schemas.Trigger) bool {
	return d.closeFor(func(string) bool { return true }, trigger)
}

// closeFor does so for some patients.
func (d *Device) closeFor(which func(patient string) bool, trigger schemas.Trigger) bool {
	closed := false
	for i := range d.series {
		s := &d.series[i]
		if !which(s.who.patient) {
			continue
		}
		d.load(s)
		for k := range s.panes {
			if p := &s.panes[k]; !p.final {
				d.emitPane(s, p, trigger, true)
				closed = true
			}
		}
		d.schedule(s)
	}
	return closed
}

// changePane ends the panes of another length than the configuration asks for.
func (d *Device) changePane(l schemas.Lineage, out Emitter) {
	if d.pane != d.Spec.Pane && d.pane != 0 {
		d.closeAll(schemas.TriggerSize)
		d.flush(l, out)
		d.series = d.series[:0]
	}
	d.pane = d.Spec.Pane
}

// emitPane queues what p holds as its next revision.
func (d *Device) emitPane(s *paneSeries, p *openPane, trigger schemas.Trigger, final bool) {
	p.revision++
	p.final = final
	if final {
		d.Counts.Panes++
	}
	w := d.push()
	w.Kind, w.Patient, w.Encounter = schemas.WindowPane, s.who.patient, s.who.encounter
	w.Type, w.Name, w.Start, w.End = s.typ, s.name, p.start, p.start+d.pane
	w.Revision, w.Trigger, w.Final = p.revision, trigger, final
	w.N, w.Implausible = int64(p.plausible), int64(p.implausible)
	d.points = d.appendPoints(d.points[:0], p)
	d.aggregate(w, s)
}

// aggregate fills w from d.points. The points are in order of time and of each
// time there is one plausible one, so that nothing depends on how they came; of
// equal numbers the earliest one's text is the extreme.
func (d *Device) aggregate(w *schemas.Window, s *paneSeries) {
	var sum, least, most decimal
	numbers := 0
	first, last := -1, -1
	for i := range d.points {
		p := &d.points[i]
		if p.implausible {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		if w.N <= schemas.MaxPanePoints {
			w.Points = append(w.Points, schemas.PanePoint{Time: p.t, Text: p.text})
		}
		v, ok := parseDecimal(p.text)
		if !ok {
			continue
		}
		sum = sum.plus(v)
		if numbers == 0 || v.compare(least) < 0 {
			least, w.Min = v, p.text
		}
		if numbers == 0 || v.compare(most) > 0 {
			most, w.Max = v, p.text
		}
		numbers++
	}
	if numbers > 0 {
		w.Sum = sum.String()
	}
	if first >= 0 {
		w.First, w.FirstObservation = d.endPoint(s, first)
		w.Last, w.LastObservation = w.First, w.FirstObservation
	}
	if last != first {
		w.Last, w.LastObservation = d.endPoint(s, last)
	}
}

// endPoint returns the i-th point and the identifier of its Observation.
func (d *Device) endPoint(s *paneSeries, i int) (schemas.PanePoint, string) {
	p := &d.points[i]
	point := schemas.PanePoint{Time: p.t, Text: p.text}
	span, known, err := d.Spec.Segment(s.typ, p.t, p.correlation)
	if !known || err != nil {
		return point, ""
	}
	return point, d.Spec.Observation(s.who.patient, d.identity.Resource, s.typ, span.Text)
}

// sealBytes is how much a full row gives up at once: closing pane by pane would
// write the large row as often.
const sealBytes = MaxRowBytes / 4

// Shrink closes the oldest panes of a full row and forgets their points, then
// the segments that are being filled; false when nothing is left (G8).
func (d *Device) Shrink(out Emitter) bool {
	freed := 0
	for freed < sealBytes {
		s, p := d.oldestPane()
		if p == nil {
			break
		}
		if !p.final {
			d.emitPane(s, p, schemas.TriggerSize, true)
		}
		freed += len(p.raw) + len(p.tail)
		p.sealed, p.raw, p.tail = true, nil, nil
		d.schedule(s)
	}
	d.flush(d.tickLineage(), out)
	if freed > 0 {
		return true
	}
	return d.flushSegments(d.tickLineage(), out)
}

func (d *Device) oldestPane() (series *paneSeries, oldest *openPane) {
	for i := range d.series {
		s := &d.series[i]
		d.load(s)
		for k := range s.panes {
			if p := &s.panes[k]; !p.sealed && (oldest == nil || p.start < oldest.start) {
				series, oldest = s, p
			}
		}
	}
	return series, oldest
}
