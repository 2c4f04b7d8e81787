package dryrun

import (
	"fmt"
	"strings"

	"auscult/fhir"
	"auscult/schemas"
)

// groupKey is what measurements of one group have in common.
type groupKey struct{ device, typ, patient, encounter, correlation string }

func keyOf(m *Measurement) groupKey {
	return groupKey{m.DeviceID, m.Type, m.PatientID.Text, m.EncounterID.Text, m.CorrelationID}
}

// latest keeps, of the measurements of one group and instant, the one that was
// taken in last; of equal ones the first.
func latest(ms []Measurement) []*Measurement {
	type instant struct {
		groupKey
		at schemas.Ticks
	}
	kept := make([]*Measurement, 0, len(ms))
	at := make(map[instant]int, len(ms))
	for i := range ms {
		m := &ms[i]
		key := instant{keyOf(m), m.occurrence}
		k, known := at[key]
		switch {
		case !known:
			at[key] = len(kept)
			kept = append(kept, m)
		case m.ingestion > kept[k].ingestion:
			kept[k] = m
		}
	}
	return kept
}

// segmentKey tells Observations of one batch apart. Single ones of the same
// second share an identifier, yet each is written by itself.
type segmentKey struct {
	groupKey
	segment string
	at      schemas.Ticks
}

// grouping collects the measurements of a batch into segments.
type grouping struct {
	mapping  *fhir.Mapping
	ids      Identities
	segments map[segmentKey]*schemas.Resource
	order    []*schemas.Resource
	batch    *Batch
	refused  map[groupKey]string // the problem that is told already
}

// add puts a measurement into its segment.
func (g *grouping) add(m *Measurement) {
	key := keyOf(m)
	period, ok := g.mapping.Period(m.Type)
	if !ok {
		g.refuse(key, fmt.Sprintf("the FHIR mapping has no template for type %q", m.Type))
		return
	}
	ids, written, err := g.ids.Resolve(m.DeviceID, m.PatientID.Text, m.EncounterID.Text)
	for _, body := range written {
		g.batch.write(body)
	}
	if err != nil {
		g.refuse(key, fmt.Sprintf("type %q: %v", m.Type, err))
		return
	}
	segment, start, end, err := fhir.SegmentOf(period, m.occurrence, m.CorrelationID)
	if err != nil {
		g.refuse(key, fmt.Sprintf("type %q: %v", m.Type, err))
		return
	}
	at := segmentKey{groupKey: key, segment: segment}
	if period == fhir.Single {
		at.at = m.occurrence
	}
	r := g.segments[at]
	if r == nil {
		r = &schemas.Resource{Patient: ids.Patient, Device: ids.Device, Encounter: ids.Encounter,
			Type: m.Type, Segment: segment, Start: start, End: end}
		g.segments[at] = r
		g.order = append(g.order, r)
	}
	r.Start, r.End = min(r.Start, start), max(r.End, end)
	for _, v := range m.Properties {
		r.Values = append(r.Values, schemas.SegmentValue{Name: v.Name, Text: strings.Clone(v.Value), Time: m.occurrence})
	}
}

// refuse tells a problem once for all measurements of a group that have it.
func (g *grouping) refuse(key groupKey, problem string) {
	if g.refused[key] == problem {
		return
	}
	g.refused[key] = problem
	g.batch.Problems = append(g.batch.Problems, Problem{Message: problem})
}
