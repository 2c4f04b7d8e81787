package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// The probe is an Observation, for that is what is written: rights and
// validation may differ by type. Its status keeps every reader from taking it
// for a finding, its tag tells where it is from.
const (
	probeType = "Observation"
	probeTag  = `{"system":"urn:auscult","code":"doctor-probe","display":"Probe of auscult doctor, may be deleted"}`
	probeWait = 20 * time.Second // for the deletion, whatever was interrupted
)

// probeID is an id that nobody has.
func probeID() string { return "auscult-doctor-" + strings.ToLower(rand.Text()) }

// probe returns the resource; its number makes one content differ from another.
func probe(id string, number int) schemas.WholeResource {
	return schemas.WholeResource{Type: probeType, ID: id, JSON: fmt.Sprintf(`{"resourceType":%q,"id":%q,"meta":{"tag":[%s]},`+
		`"status":"entered-in-error","code":{"text":"Probe of auscult doctor, not a finding"},"valueString":"%d"}`, probeType, id, probeTag, number)}
}

// write writes the probe as Deliver would, and deletes it again.
func (d *fhirDoctor) write(ctx context.Context) {
	switch {
	case d.noWrite:
		d.skipped(checkWrite, "--no-write")
		return
	case d.declared != nil && !slices.Contains(d.declared.Resources[probeType].Interactions, "delete"):
		d.skipped(checkWrite, "the server declares no delete of %s: a probe would stay", probeType)
		return
	}
	id := probeID()
	err := d.writeProbe(ctx, id)
	if err != nil {
		d.failed(checkWrite, "%v", err)
	} else {
		d.ok(checkWrite, "%s/%s created, updated in a transaction, and kept from a stale version", probeType, id)
	}
	var absent notCreated
	if !errors.As(err, &absent) {
		d.delete(ctx, id)
	}
}

// notCreated is an answer after which the probe cannot be there.
type notCreated struct{ error }

// writeProbe creates the probe under an id of ours, updates it in a transaction,
// and tries to write over a version that is no longer there.
func (d *fhirDoctor) writeProbe(ctx context.Context, id string) error {
	first := probe(id, 1)
	created, err := d.client.Put(ctx, probeType, id, []byte(first.JSON), "")
	var status *fhir.StatusError
	switch {
	case errors.As(err, &status) && status.Status < http.StatusInternalServerError:
		return notCreated{errors.New(d.advice(err, "create", probeType))}
	case err != nil:
		return errors.New(d.advice(err, "create", probeType))
	case created.Version == "":
		return errors.New("the server tells no version (ETag) of what it has written: turn versioning on")
	}
	updated, err := d.client.Transaction(ctx, []schemas.WholeResource{probe(id, 2)}, []string{created.Version})
	if err != nil {
		return errors.New(d.advice(err, "update in a transaction", probeType))
	}
	if updated[0].Version == created.Version {
		return errors.New("the server gives an update no version of its own: turn versioning on")
	}
	_, err = d.client.Put(ctx, probeType, id, []byte(probe(id, 3).JSON), created.Version)
	switch {
	case err == nil:
		return errors.New("the server wrote over a newer version in spite of If-Match: turn versioned updates on, or what others write gets lost")
	case errors.As(err, &status) && (status.Status == http.StatusPreconditionFailed || status.Status == http.StatusConflict):
		return nil
	}
	return errors.New(d.advice(err, "update with If-Match", probeType))
}

// delete takes the probe away, also when somebody has interrupted the rest.
func (d *fhirDoctor) delete(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeWait)
	defer cancel()
	if err := d.client.Delete(ctx, probeType, id); err != nil {
		d.failed(checkDelete, "%s; %s/%s stays: delete it, and use --no-write until this account may delete (the river itself never does)",
			d.advice(err, "delete", probeType), probeType, id)
		return
	}
	if left, err := d.client.Read(ctx, probeType, id); err != nil || left.ID != "" {
		d.failed(checkDelete, "%s/%s is still there after its deletion: delete it", probeType, id)
		return
	}
	d.ok(checkDelete, "the probe is gone")
}
