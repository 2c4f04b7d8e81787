package processors

import (
	"context"
	"slices"

	"auscult/fhir"
	"auscult/schemas"
)

// whole writes the finished resources of one record in one transaction: those
// that say something new, each with its Provenance.
func (d *Deliver) whole(ctx context.Context, j *deliverJob) error {
	it := j.items[0]
	if j.read {
		for _, w := range it.r.Whole {
			d.known.forget(wholeKey(w.Type, w.ID))
		}
	}
	entries, versions, err := d.entries(ctx, it)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		d.counts.unchanged.Add(1)
		return nil
	}
	began := d.cfg.Now()
	limited, cancel := d.limited(ctx)
	defer cancel()
	written, err := d.to.Transaction(limited, entries, versions)
	if err != nil {
		for _, w := range entries {
			d.known.forget(wholeKey(w.Type, w.ID))
		}
		return err
	}
	for i, w := range entries {
		h := heldResource{Stored: Stored{ID: w.ID, JSON: []byte(w.JSON)}, order: it.liveOrder()}
		if i < len(written) {
			h.Version = written[i].Version
		}
		d.known.put(wholeKey(w.Type, w.ID), h)
	}
	d.counts.written.Add(int64(len(entries)))
	if slices.Contains(versions, "") {
		j.created = began
	}
	return nil
}

func wholeKey(resourceType, id string) string { return resourceType + "/" + id }

// entries chooses what of a record is written, and over which versions.
func (d *Deliver) entries(ctx context.Context, it deliverItem) (entries []schemas.WholeResource, versions []string, err error) {
	provenances := map[string]schemas.WholeResource{}
	for _, w := range it.r.Whole {
		if w.Type == "Provenance" {
			provenances[w.ID] = w
		}
	}
	for _, w := range it.r.Whole {
		if w.Type == "Provenance" {
			continue
		}
		cur, err := d.current(ctx, w.Type, w.ID)
		if err != nil {
			return nil, nil, err
		}
		p, traced := provenances[fhir.ProvenanceID(w.ID)]
		if cur.there() && fhir.SameContent(cur.JSON, []byte(w.JSON)) {
			d.known.brought(wholeKey(w.Type, w.ID), it.liveOrder())
			continue
		}
		var old heldResource
		if cur.there() || it.again {
			if old, err = d.current(ctx, "Provenance", fhir.ProvenanceID(w.ID)); err != nil {
				return nil, nil, err
			}
		}
		if cur.there() && !d.mayReplace(it, w, cur, old) {
			continue
		}
		entries, versions = append(entries, w), append(versions, cur.Version)
		if traced {
			entries, versions = append(entries, p), append(versions, old.Version)
		}
	}
	return entries, versions, nil
}

// current returns a resource from the cache or the server.
func (d *Deliver) current(ctx context.Context, resourceType, id string) (heldResource, error) {
	key := wholeKey(resourceType, id)
	if h, ok := d.known.get(key); ok {
		return h, nil
	}
	h, err := d.read(ctx, resourceType, id)
	if err == nil && h.there() {
		d.known.put(key, h)
	}
	return h, err
}

// mayReplace decides whether w may be written over what the server holds with
// other content (rules G3 and G12).
func (d *Deliver) mayReplace(it deliverItem, w schemas.WholeResource, cur, old heldResource) bool {
	origin, traced := fhir.Origin{}, false
	if old.there() {
		origin, traced = fhir.ReadProvenance(old.JSON)
	}
	if w.Type == "Flag" && closedByOthers(w, cur, origin, traced) {
		d.counts.respected.Add(1)
		return false
	}
	if it.r.Lineage.Run != schemas.RunLive {
		if !traced || newerThanReplay(origin, it.r.Lineage) {
			d.counts.outrun.Add(1)
			return false
		}
		return true
	}
	// The order of fresh records is compared only with what this process has
	// brought: the row versions of a table that was made anew begin again.
	order := it.r.Order
	outrun := cur.order != schemas.Order{} && !order.Above(cur.order)
	if it.again && traced && origin.Run == schemas.RunLive {
		outrun = outrun || !order.Above(origin.Order)
	}
	if outrun {
		d.counts.outrun.Add(1)
	}
	return !outrun
}

// liveOrder is the order of a record of run live; the orders of a replay are of
// other rows.
func (it deliverItem) liveOrder() schemas.Order {
	if it.r.Lineage.Run != schemas.RunLive {
		return schemas.Order{}
	}
	return it.r.Order
}

// closedByOthers reports whether somebody else has ended the Flag: its status is
// not the one that we gave it. It stays so until the next episode, which has an
// id of its own; only withdrawing it goes further.
func closedByOthers(w schemas.WholeResource, cur heldResource, origin fhir.Origin, traced bool) bool {
	status := fhir.Status(cur.JSON)
	if status != "inactive" && status != "entered-in-error" {
		return false
	}
	if traced && origin.FlagStatus == status {
		return false
	}
	return fhir.Status([]byte(w.JSON)) != "entered-in-error"
}

// newerThanReplay reports whether live data behind the replayed ones made what
// is stored.
func newerThanReplay(origin fhir.Origin, l schemas.Lineage) bool {
	return origin.Run == schemas.RunLive &&
		(origin.Generation != l.Generation || origin.Position.Compare(l.Position()) > 0)
}

// putScorer writes the scorer's Device when it is not there as it should be.
func (d *Deliver) putScorer(ctx context.Context) error {
	w := d.cfg.Scorer
	for try := 0; ; try++ {
		err := d.putOnce(ctx, w)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch disposeOf(err) {
		case dispositionStop:
			return explainStop(err)
		case dispositionDead, dispositionReference:
			return err
		case dispositionConflict:
			if serverStatus(err) == 404 && try >= maxNotFound {
				return explainStop(err)
			}
		}
		if err := d.pause(ctx, err, try); err != nil {
			return err
		}
	}
}

// restoreScorer puts the scorer's Device back when it may be what a reference
// misses. How it went shows in the next attempt.
func (d *Deliver) restoreScorer(ctx context.Context) {
	if d.cfg.Hot && d.cfg.Scorer.ID != "" {
		_ = d.putOnce(ctx, d.cfg.Scorer)
	}
}

func (d *Deliver) putOnce(ctx context.Context, w schemas.WholeResource) error {
	cur, err := d.read(ctx, w.Type, w.ID)
	if err != nil {
		return err
	}
	if cur.there() && fhir.SameContent(cur.JSON, []byte(w.JSON)) {
		return nil
	}
	ctx, cancel := d.limited(ctx)
	defer cancel()
	_, err = d.to.Put(ctx, w.Type, w.ID, []byte(w.JSON), cur.Version)
	if err == nil {
		d.counts.written.Add(1)
	}
	return err
}
