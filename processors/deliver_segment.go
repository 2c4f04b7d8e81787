package processors

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"auscult/fhir"
	"auscult/schemas"
)

// segment creates or merges the Observation of a job's records.
func (d *Deliver) segment(ctx context.Context, j *deliverJob) error {
	if d.mapping == nil {
		d.refuse(j, schemas.ReasonMapping, errNoMapping.Error(), "give the stage a FHIR mapping, then retry")
		return nil
	}
	var cur heldResource
	if !d.blind(j) {
		h, err := d.observation(ctx, j)
		if err != nil || len(j.outs) > 0 {
			return err
		}
		cur = h
	}
	body, changed := d.merged(j, cur)
	if !changed {
		d.counts.unchanged.Add(int64(len(j.items) - len(j.outs)))
		return nil
	}
	id := j.id
	if cur.ID != "" {
		id = cur.ID
	}
	began := d.cfg.Now()
	limited, cancel := d.limited(ctx)
	defer cancel()
	written, err := d.to.Put(limited, "Observation", id, body, cur.Version)
	if err != nil {
		d.known.forget(observationKey(j.id))
		return err
	}
	written.ID = id
	if len(written.JSON) == 0 {
		written.JSON = body
	}
	d.known.put(observationKey(j.id), heldResource{Stored: written})
	d.counts.written.Add(1)
	if cur.Version == "" {
		j.created = began
	}
	return nil
}

func observationKey(id string) string { return "Observation/" + id }

// blind reports whether the Observation may be written without a look at what
// the server holds: it is marked first, and nobody can have sent it before.
func (d *Deliver) blind(j *deliverJob) bool {
	it := j.items[0]
	if j.read || it.again || !it.r.First || it.r.Kind != schemas.ResourceSegment || it.r.Lineage.Run != schemas.RunLive {
		return false
	}
	_, known := d.known.get(observationKey(j.id))
	return !known
}

// merged puts the records into what is stored, one by one, as if each had been
// written (rule G17). A record that the mapping cannot use becomes a dead
// letter; the others go on.
func (d *Deliver) merged(j *deliverJob, cur heldResource) (body []byte, changed bool) {
	if cur.there() {
		body = cur.JSON
	}
	for _, it := range j.items {
		next, differs, err := d.apply(body, it.r)
		if err != nil {
			d.refuseMapping(j, it, err)
			continue
		}
		if differs {
			body, changed = next, true
		}
	}
	return body, changed && (!cur.there() || !fhir.SameContent(cur.JSON, body))
}

func (d *Deliver) apply(body []byte, r *schemas.Resource) (next []byte, changed bool, err error) {
	switch {
	case r.Kind == schemas.ResourceRetract && body == nil:
		return nil, false, nil
	case r.Kind == schemas.ResourceRetract:
		return d.mapping.Retract(body, r)
	case body == nil:
		next, err = d.mapping.Build(r)
		return next, err == nil, err
	}
	return d.mapping.Merge(body, r)
}

// observation finds the Observation of a segment: in the cache, by its id, or
// by its identifier, which finds what older software wrote under another id.
// Several with that identifier make the records dead letters.
func (d *Deliver) observation(ctx context.Context, j *deliverJob) (heldResource, error) {
	key := observationKey(j.id)
	if j.read {
		d.known.forget(key)
	}
	if h, ok := d.known.get(key); ok {
		return h, nil
	}
	r := j.items[0].r
	identifier := fhir.ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)
	byID, err := d.read(ctx, "Observation", j.id)
	if err != nil {
		return heldResource{}, err
	}
	if byID.there() && fhir.CarriesIdentifier(byID.JSON, identifier) {
		d.known.put(key, byID)
		return byID, nil
	}
	found, err := d.search(ctx, identifier)
	switch {
	case err != nil:
		return heldResource{}, err
	case len(found) > 1:
		d.refuse(j, schemas.ReasonServer, fmt.Sprintf("%d Observations carry the identifier of this segment", len(found)),
			"leave one of them, then retry the dead letters of reason server")
		return heldResource{}, nil
	case len(found) == 1:
		h := heldResource{Stored: found[0]}
		d.known.put(key, h)
		return h, nil
	}
	return byID, nil
}

// read reads one resource; one that is not there is no error.
func (d *Deliver) read(ctx context.Context, resourceType, id string) (heldResource, error) {
	ctx, cancel := d.limited(ctx)
	defer cancel()
	s, err := d.to.Read(ctx, resourceType, id)
	if code := serverStatus(err); code == 404 || code == 410 {
		return heldResource{}, nil
	}
	if err != nil || s.Gone || s.ID == "" {
		return heldResource{}, err
	}
	return heldResource{Stored: s}, nil
}

// search finds the Observations with an identifier of ours. Some servers
// compare only the first 128 characters, so each is looked at.
func (d *Deliver) search(ctx context.Context, identifier string) ([]Stored, error) {
	ctx, cancel := d.limited(ctx)
	defer cancel()
	query := url.Values{"identifier": {escapeToken(fhir.ObservationSystem) + "|" + escapeToken(strings.TrimSpace(identifier))}}
	all, err := d.to.Search(ctx, "Observation", query)
	var status *fhir.StatusError
	if errors.As(err, &status) && status.Status == 404 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var exact []Stored
	for _, s := range all {
		if !s.Gone && fhir.CarriesIdentifier(s.JSON, identifier) {
			exact = append(exact, s)
		}
	}
	return exact, nil
}

// escapeToken escapes what has a meaning in a FHIR search value.
func escapeToken(s string) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`, `,`, `\,`, `$`, `\$`).Replace(s)
}
