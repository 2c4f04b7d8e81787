package dryrun

import (
	"encoding/json"
	"errors"
	"fmt"

	"auscult/fhir"
	"auscult/schemas"
)

// Observer writes Observations to a Server.
type Observer struct {
	mapping *fhir.Mapping
	server  *Server
	ids     Identities
}

// NewObserver returns an Observer for a FHIR mapping.
func NewObserver(m *fhir.Mapping, s *Server, ids Identities) *Observer {
	return &Observer{mapping: m, server: s, ids: ids}
}

// Batch is what came of a batch of measurements.
type Batch struct {
	// Writes are the resources that were written, each as it was left, in the
	// order of their first write; without meta and issued, which are a server's.
	Writes   []json.RawMessage
	Problems []Problem

	places map[string]int // of resources in Writes, by Type/id
}

// Observe writes what the measurements of one batch become.
func (o *Observer) Observe(ms []Measurement) *Batch {
	b := &Batch{Writes: []json.RawMessage{}, Problems: []Problem{}, places: map[string]int{}}
	g := grouping{mapping: o.mapping, ids: o.ids, segments: map[segmentKey]*schemas.Resource{}, batch: b, refused: map[groupKey]string{}}
	for _, m := range latest(ms) {
		g.add(m)
	}
	for _, r := range g.order {
		if err := o.deliver(r, b); err != nil {
			b.Problems = append(b.Problems, Problem{Message: err.Error()})
		}
	}
	return b
}

// deliver creates the Observation of a segment, or merges it into the one that
// is stored.
func (o *Observer) deliver(r *schemas.Resource, b *Batch) error {
	value := fhir.ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)
	found := o.server.find("Observation", fhir.ObservationSystem, value)
	if len(found) > 1 {
		return fmt.Errorf("type %q: %d Observations have one identifier", r.Type, len(found))
	}
	old := o.server.read("Observation", fhir.ObservationID(value))
	if len(found) == 1 {
		old = found[0]
	}
	var body []byte
	var err error
	changed := true
	if old == nil {
		body, err = o.mapping.Build(r)
	} else {
		body, changed, err = o.mapping.Merge(old.body, r)
	}
	if err != nil || !changed {
		return err
	}
	if _, err := o.server.put(body); err != nil {
		return err
	}
	b.write(body)
	return nil
}

// write notes a resource that was written.
func (b *Batch) write(body []byte) {
	var head resource
	shown, err := without(body, "meta", "issued")
	if err = errors.Join(err, json.Unmarshal(body, &head)); err != nil {
		b.Problems = append(b.Problems, Problem{Message: fmt.Sprintf("reading what was written: %v", err)})
		return
	}
	if at, again := b.places[head.key()]; again {
		b.Writes[at] = shown
		return
	}
	b.places[head.key()] = len(b.Writes)
	b.Writes = append(b.Writes, shown)
}
