package check

import (
	"strings"

	"auscult/internal/mapfile"
)

// Kind says what a mapping file is for.
type Kind string

// The kinds.
const (
	KindDevice Kind = "device"
	KindFHIR   Kind = "fhir"
)

// File is a mapping file to be checked.
type File struct {
	Name string
	Kind Kind // empty: as its templateType says
	Text []byte
}

// KindOf tells the kind of a mapping by its templateType, or where that cannot
// be read by the templates that it names.
func KindOf(text []byte) Kind {
	root, _ := mapfile.Parse(mapfile.NewReport(string(text)))
	typ, _ := root.Member("templateType").AsText()
	typ = strings.TrimSuffix(strings.ToLower(typ), "template")
	switch whole := strings.ToLower(string(text)); {
	case typ == "collectionfhir":
		return KindFHIR
	case typ == "collectioncontent":
		return KindDevice
	case strings.Contains(whole, "codevaluefhir"), strings.Contains(whole, "collectionfhir"):
		return KindFHIR
	}
	return KindDevice
}

// Files checks files, each by itself and those that belong together with each
// other. compared is false when it cannot be told which do.
func Files(files []File) (all []Finding, compared bool) {
	read := map[Kind][]*shape{}
	for _, f := range files {
		if f.Kind == "" {
			f.Kind = KindOf(f.Text)
		}
		found, s := single(f)
		all = append(all, found...)
		read[f.Kind] = append(read[f.Kind], s)
	}
	pairs, compared := pair(read[KindDevice], read[KindFHIR])
	for _, p := range pairs {
		all = append(all, p.compare()...)
	}
	return all, compared
}

// single checks one file. The shape is nil when the file is refused: what else
// there would be to say follows from that.
func single(f File) (found []Finding, s *shape) {
	if f.Kind == KindFHIR {
		m, findings := FHIR(f.Name, f.Text)
		if m == nil {
			return findings, nil
		}
		return warnings(f.Name, m.Lints()), shapeOfFHIR(f, m)
	}
	d, findings := Device(f.Name, f.Text)
	if d == nil {
		return findings, nil
	}
	return warnings(f.Name, d.Lints()), shapeOfDevice(f, d)
}

// couple is device mappings and the FHIR mapping that reads what they emit.
type couple struct {
	devices []*shape
	fhir    *shape
}

// pair tells which files belong together: the first device mapping and the
// first FHIR mapping and so on, or all of one kind with the one of the other.
func pair(devices, fhirs []*shape) (pairs []couple, ok bool) {
	switch {
	case len(devices) == 0 || len(fhirs) == 0:
		return nil, true
	case len(devices) == len(fhirs):
		for i := range devices {
			pairs = append(pairs, couple{devices[i : i+1], fhirs[i]})
		}
	case len(fhirs) == 1:
		pairs = append(pairs, couple{devices, fhirs[0]})
	case len(devices) == 1:
		for _, f := range fhirs {
			pairs = append(pairs, couple{devices, f})
		}
	default:
		return nil, false
	}
	return pairs, true
}
