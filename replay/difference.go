package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"auscult/fhir"
	"auscult/schemas"
)

// Reader reads resources of the FHIR server.
type Reader interface {
	Read(ctx context.Context, resourceType, id string) (fhir.Stored, error)
}

// Difference is what writing a replay would change on the FHIR server.
type Difference struct {
	New, Changed, Same int
	// Examples are the first resources that would be new or change.
	Examples []string
	// Unmapped counts segments that the FHIR mapping cannot use.
	Unmapped int
}

// maxExamples is how many resources a Difference names.
const maxExamples = 20

// Compare reads what is on the server and says what would change.
func Compare(ctx context.Context, server Reader, m *fhir.Mapping, r *Result) (*Difference, error) {
	d := &Difference{}
	for _, s := range r.Segments() {
		if err := d.segment(ctx, server, m, s); err != nil {
			return nil, err
		}
	}
	for _, t := range r.Transactions() {
		w := t.Whole[0] // what the transaction is about; the rest says how it came to be
		stored, err := server.Read(ctx, w.Type, w.ID)
		if err != nil {
			return nil, fmt.Errorf("reading %s/%s: %w", w.Type, w.ID, err)
		}
		d.note(w.Type+"/"+w.ID, stored, fhir.SameContent(stored.JSON, []byte(w.JSON)))
	}
	return d, nil
}

func (d *Difference) segment(ctx context.Context, server Reader, m *fhir.Mapping, s *schemas.Resource) error {
	id := fhir.ObservationID(fhir.ObservationIdentifier(s.Patient, s.Device, s.Type, s.Segment))
	stored, err := server.Read(ctx, "Observation", id)
	if err != nil {
		return fmt.Errorf("reading Observation/%s: %w", id, err)
	}
	var body []byte
	changed := true
	if stored.ID == "" || stored.Gone {
		body, err = m.Build(s)
	} else {
		body, changed, err = m.Merge(stored.JSON, s)
	}
	var refused *fhir.MappingError
	if errors.As(err, &refused) {
		d.Unmapped++
		return nil
	}
	if err != nil {
		return err
	}
	d.note("Observation/"+id, stored, !changed || bytes.Equal(body, stored.JSON))
	return nil
}

func (d *Difference) note(name string, stored fhir.Stored, same bool) {
	what := ""
	switch {
	case stored.ID == "" || stored.Gone:
		d.New++
		what = "new"
	case same:
		d.Same++
		return
	default:
		d.Changed++
		what = "changed"
	}
	if len(d.Examples) < maxExamples {
		d.Examples = append(d.Examples, what+" "+name)
	}
}

// Print writes the difference for a person.
func (d *Difference) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d new, %d changed, %d as they are; %d segments that the FHIR mapping cannot use\n", d.New, d.Changed, d.Same, d.Unmapped)
	for _, e := range d.Examples {
		if err == nil {
			_, err = fmt.Fprintln(w, " ", e)
		}
	}
	return err
}
