package mapping

import "auscult/internal/mapfile"

// EmittedTemplate is a template as a FHIR mapping sees it: what it gives to
// Observations. Its place is that of the type name.
type EmittedTemplate struct {
	Type       string
	Correlated bool // its measurements have a correlation id
	mapfile.Place
	Values []EmittedValue
}

// EmittedValue is a value that a template gives. Its place is that of the name.
type EmittedValue struct {
	Name string
	mapfile.Place
}

// Templates returns what each template gives, in the order of the file.
func (d *Device) Templates() []EmittedTemplate { return d.emitted }

// emittedOf reads what templates give. Their names are there, or the file would
// not have loaded.
func emittedOf(report *mapfile.Report, drafts []*draft) []EmittedTemplate {
	all := make([]EmittedTemplate, len(drafts))
	var places []*mapfile.Place
	for i, d := range drafts {
		t := &all[i]
		*t = EmittedTemplate{Type: d.name, Correlated: d.source(correlationField) != nil, Place: placeOf(d.in, typeNameField)}
		places = append(places, &t.Place)
		t.Values = make([]EmittedValue, len(d.values))
		for k, f := range d.values {
			t.Values[k] = EmittedValue{Name: nameOf(f, "valueName"), Place: placeOf(f, "valueName")}
			places = append(places, &t.Values[k].Place)
		}
	}
	report.Locate(places)
	return all
}

func placeOf(f *mapfile.Fields, field string) mapfile.Place {
	v, pointer := f.Get(field)
	return mapfile.Place{At: v.At, Pointer: pointer}
}
