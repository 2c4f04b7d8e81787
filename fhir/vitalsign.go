package fhir

import (
	"fmt"
	"slices"
	"strings"

	"auscult/internal/mapfile"
)

// Systems that the vital-sign profiles of R4 demand.
const (
	loincSystem    = "http://loinc.org"
	unitsSystem    = "http://unitsofmeasure.org"
	categorySystem = "http://terminology.hl7.org/CodeSystem/observation-category"
	vitalSignsCode = "vital-signs"
)

// profileBase begins the addresses of R4's own profiles.
const profileBase = "http://hl7.org/fhir/StructureDefinition/"

// vitalSign is what a vital-sign profile of R4 demands beyond the category.
type vitalSign struct {
	profile string   // the end of its address
	code    string   // the LOINC code that must be there; empty for any
	units   []string // UCUM codes that its Quantity may have; nil when any value may stand there
	value   presence
	parts   []vitalPart // components that must be there
	members bool        // it is a panel of other Observations
}

// presence says whether an Observation has a value of its own.
type presence uint8

const (
	valueOrComponents presence = iota
	valueNeeded
	valueForbidden
)

// vitalPart is a component that a profile demands.
type vitalPart struct {
	noun  string
	code  string // LOINC
	units []string
}

var (
	perMinute    = []string{"/min"}
	lengthUnits  = []string{"cm", "[in_i]"}
	pressureUnit = []string{"mm[Hg]"}

	// commonUnits are the units that a component of any vital sign may have
	// (value set ucum-vitals-common).
	commonUnits = []string{"%", "cm", "[in_i]", "kg", "g", "[lb_av]", "Cel", "[degF]", "mm[Hg]", "/min", "kg/m2", "m2"}
)

// vitalSigns are the profiles.
var vitalSigns = []vitalSign{
	{profile: "vitalsigns"},
	{profile: "vitalspanel", code: "85353-1", value: valueForbidden, members: true},
	{profile: "resprate", code: "9279-1", units: perMinute},
	{profile: "heartrate", code: "8867-4", units: perMinute},
	{profile: "oxygensat", code: "2708-6", units: []string{"%"}},
	{profile: "bodytemp", code: "8310-5", units: []string{"Cel", "[degF]"}},
	{profile: "bodyheight", code: "8302-2", units: lengthUnits}, //nolint:misspell // as the profile is called
	{profile: "headcircum", code: "9843-4", units: lengthUnits},
	{profile: "bodyweight", code: "29463-7", units: []string{"g", "kg", "[lb_av]"}},
	{profile: "bmi", code: "39156-5", units: []string{"kg/m2"}, value: valueNeeded},
	{profile: "bp", code: "85354-9", value: valueForbidden, parts: []vitalPart{
		{"systolic pressure", "8480-6", pressureUnit},
		{"diastolic pressure", "8462-4", pressureUnit},
	}},
}

// vitalSigns checks a template against the profiles that it names. It runs on
// templates without other faults: what is missing because it was refused would
// be told twice.
func (l *templateLoader) vitalSigns(profiles []textItem) {
	for _, p := range profiles {
		address, _, _ := strings.Cut(p.text, "|")
		name, ours := strings.CutPrefix(address, profileBase)
		i := slices.IndexFunc(vitalSigns, func(s vitalSign) bool { return s.profile == name })
		if !ours || i < 0 {
			continue
		}
		s := vitalSigns[i]
		l.t.vital = true
		if s.members {
			l.Add(p.at, p.pointer, "profile "+name+" is a panel of other Observations (hasMember), which a FHIR mapping does not make", "remove it")
			continue
		}
		l.lintVitalPeriod(s)
		l.vitalCategory(s)
		l.vitalCode(s)
		l.vitalValue(s)
		l.vitalComponents(s)
	}
}

// violation reports what a profile demands of a member, at the member or, when
// there is none, at the object that lacks it.
func (l *templateLoader) violation(s vitalSign, f *mapfile.Fields, name, message, fix string) {
	v, pointer := f.Get(name)
	at := f.Value.At
	if v != nil {
		at = v.At
	}
	l.Add(at, pointer, fmt.Sprintf("profile %s: %s", s.profile, message), fix)
}

func (l *templateLoader) vitalCategory(s vitalSign) {
	var categories []*node
	if l.t.category != nil {
		categories = l.t.category.items
	}
	switch count(categories, func(c *node) int { return min(1, countCoding(c, categorySystem, vitalSignsCode)) }) {
	case 0:
		l.violation(s, l.in, categoryField, "the category vital-signs is missing",
			`add {"codes": [{"code": "vital-signs", "system": "`+categorySystem+`", "display": "Vital Signs"}]} to "category"`)
	case 1:
	default:
		l.violation(s, l.in, categoryField, "the category vital-signs is there more than once", "keep one")
	}
}

func (l *templateLoader) vitalCode(s vitalSign) {
	if s.code == "" {
		return
	}
	switch countCoding(l.t.code, loincSystem, s.code) {
	case 0:
		l.violation(s, l.in, codesField, "the LOINC code "+s.code+" is missing", addCode(s.code))
	case 1:
	default:
		l.violation(s, l.in, codesField, "the LOINC code "+s.code+" is there more than once", "keep one")
	}
}

func addCode(code string) string {
	return fmt.Sprintf(`add {"code": %q, "system": %q} to "codes"`, code, loincSystem)
}

func (l *templateLoader) vitalValue(s vitalSign) {
	switch {
	case l.t.value == nil && (s.value == valueNeeded || s.value == valueOrComponents && len(l.t.components) == 0):
		l.violation(s, l.in, valueField, "the Observation has no value", `write "value" with a Quantity`)
	case l.t.value != nil && s.value == valueForbidden:
		l.violation(s, l.in, valueField, "the Observation may have no value of its own", "remove it, and write components")
	case l.t.value != nil && s.units != nil:
		l.vitalQuantity(s, l.t.value, l.valueIn, s.units)
	}
}

// vitalQuantity checks that a value is a Quantity with one of some units.
func (l *templateLoader) vitalQuantity(s vitalSign, v *valueTemplate, f *mapfile.Fields, units []string) {
	if v.kind != quantityValue {
		l.violation(s, f, valueTypeField, "the value is a "+valueTypes[v.kind].word.Name, "write Quantity")
		return
	}
	if textOf(f, unitField) == nil {
		l.violation(s, f, unitField, "the Quantity has no unit in words", fmt.Sprintf(`write "unit", for example %q`, units[0]))
	}
	if textOf(f, systemField).str() != unitsSystem {
		l.violation(s, f, systemField, "the unit is no UCUM code", fmt.Sprintf(`write "system": %q`, unitsSystem))
	}
	if code := textOf(f, codeField).str(); !slices.Contains(units, code) {
		l.violation(s, f, codeField, fmt.Sprintf("the unit's code is %.20q", code), "write "+strings.Join(units, " or "))
	}
}

func (l *templateLoader) vitalComponents(s vitalSign) {
	for _, p := range s.parts {
		has := func(c component) int { return min(1, countCoding(c.code, loincSystem, p.code)) }
		if n := count(l.t.components, has); n != 1 {
			l.violation(s, l.in, componentsField, fmt.Sprintf("there must be one component with the LOINC code %s (%s), there are %d", p.code, p.noun, n),
				"write one, with a Quantity in "+p.units[0])
		}
	}
	for i, c := range l.t.components {
		l.vitalComponent(s, c, l.componentsIn[i])
	}
}

// vitalComponent checks the value of a component: those that the profile
// demands, and those that can carry a code. The others are bound to nothing.
func (l *templateLoader) vitalComponent(s vitalSign, c component, f *mapfile.Fields) {
	for _, p := range s.parts {
		if countCoding(c.code, loincSystem, p.code) > 0 {
			l.vitalQuantity(s, c.value, f, p.units)
			return
		}
	}
	switch c.value.kind {
	case quantityValue:
		l.vitalQuantity(s, c.value, f, commonUnits)
	case stringValue, conceptValue:
		l.violation(s, f, valueTypeField,
			"a component of a vital sign is bound to units and cannot be a "+valueTypes[c.value.kind].word.Name, "write it as an Observation of its own")
	}
}

// countCoding counts a code in a concept.
func countCoding(concept *node, system, code string) int {
	codings := concept.get("coding")
	if codings == nil {
		return 0
	}
	return count(codings.items, func(c *node) int {
		if c.get("system").str() == system && c.get("code").str() == code {
			return 1
		}
		return 0
	})
}

// count adds up what n says of each item.
func count[T any](items []T, n func(T) int) (sum int) {
	for _, it := range items {
		sum += n(it)
	}
	return sum
}
