package fhir

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"auscult/schemas"
)

// loader turns the tree of a mapping file into templates and collects every
// fault on the way.
type loader struct {
	src    string
	faults []error
}

func (l *loader) failAt(offset int, pointer, message, fix string) {
	line, column := place(l.src, offset)
	l.faults = append(l.faults, &LoadError{Line: line, Column: column, Pointer: pointer, Message: message, Fix: fix})
}

func (l *loader) fail(n *node, pointer, message, fix string) {
	l.failAt(n.offset, pointer, message, fix)
}

// fields reads the members of an object, whatever the case of their names.
// A name that is not wanted is a fault, unless open.
func (l *loader) fields(n *node, pointer string, open bool, wanted map[string]**node) bool {
	if n.kind != objectKind {
		l.fail(n, pointer, "an object is needed here", "write { ... }")
		return false
	}
	for _, m := range n.members {
		if to := wanted[strings.ToLower(m.name)]; to != nil {
			*to = m.value
		} else if !open {
			l.fail(m.value, pointer+"/"+m.name, fmt.Sprintf("unknown member %q", m.name), "remove it, or correct its name")
		}
	}
	return true
}

// collection reads the outer CollectionFhir.
func (l *loader) collection(m *Mapping, root *node) {
	var typ, list *node
	if !l.fields(root, "", true, map[string]**node{"templatetype": &typ, "template": &list}) {
		return
	}
	if !l.templateType(root, typ, "/templateType", "CollectionFhir") {
		return
	}
	if list == nil || list.kind != listKind {
		if list == nil {
			list = root
		}
		l.fail(list, "/template", "template must be an array of templates", `write "template": [ ... ]`)
		return
	}
	for i, it := range list.items {
		l.template(m, it, fmt.Sprintf("/template/%d", i))
	}
}

// templateType checks the discriminator of a container.
func (l *loader) templateType(outer, typ *node, pointer, want string) bool {
	fix := fmt.Sprintf("write \"templateType\": %q", want)
	if typ == nil {
		l.fail(outer, pointer, "templateType is missing", fix)
		return false
	}
	got := scalar(typ)
	if typ.kind != textKind || !strings.EqualFold(strings.TrimSuffix(strings.ToLower(got), "template"), want) {
		l.fail(typ, pointer, fmt.Sprintf("templateType %q is not supported here", got), fix)
		return false
	}
	return true
}

// template reads one CodeValueFhir and adds it.
func (l *loader) template(m *Mapping, n *node, pointer string) {
	var typ, inner *node
	if !l.fields(n, pointer, true, map[string]**node{"templatetype": &typ, "template": &inner}) {
		return
	}
	if !l.templateType(n, typ, pointer+"/templateType", "CodeValueFhir") {
		return
	}
	pointer += "/template"
	if inner == nil {
		l.fail(n, pointer, "template is missing", `write "template": { ... }`)
		return
	}
	var typeName, codes, period, category, value, components *node
	before := len(l.faults)
	ok := l.fields(inner, pointer, false, map[string]**node{"typename": &typeName, "codes": &codes,
		"periodinterval": &period, "category": &category, "value": &value, "components": &components})
	if !ok {
		return
	}
	t := &template{period: l.period(period, pointer+"/periodInterval")}
	if codes == nil {
		l.fail(inner, pointer+"/codes", "codes is missing", "give the codes of the Observation")
	} else {
		t.codes = l.codes(codes, pointer+"/codes")
	}
	t.category = l.categories(category, pointer+"/category")
	if value != nil {
		t.value = l.value(value, pointer+"/value")
	}
	name := l.typeName(inner, typeName, pointer+"/typeName")
	l.components(t, components, name, pointer+"/components")
	if name == "" || len(l.faults) > before {
		return
	}
	if m.templates[foldName(name)] != nil {
		l.fail(typeName, pointer+"/typeName", fmt.Sprintf("a second template for type %q", name), "keep one template for each type name; case does not tell them apart")
		return
	}
	t.name, t.code = name, concept(t.codes, name, true)
	m.templates[foldName(name)] = t
}

func (l *loader) typeName(outer, n *node, pointer string) string {
	const fix = "give the type name that the device mapping emits"
	if n == nil {
		l.fail(outer, pointer, "typeName is missing", fix)
		return ""
	}
	name, ok := l.scalar(n, pointer)
	if ok && trim(name) == "" {
		l.fail(n, pointer, "typeName is empty", fix)
		return ""
	}
	return name
}

// scalar returns a text; numbers and truth values are taken as texts.
func (l *loader) scalar(n *node, pointer string) (string, bool) {
	if n.kind == listKind || n.kind == objectKind {
		l.fail(n, pointer, "a text is needed here", `write "..."`)
		return "", false
	}
	return scalar(n), true
}

func scalar(n *node) string {
	if n.kind == nullKind {
		return ""
	}
	return n.text
}

// periods are the names of the enumeration in mapping files.
var periods = map[string]Period{"correlationid": Correlation, "single": Single, "hourly": Hourly, "daily": Daily,
	"-1": Correlation, "0": Single, "60": Hourly, "1440": Daily}

func (l *loader) period(n *node, pointer string) Period {
	if n == nil {
		return Single
	}
	if n.kind == textKind || n.kind == numberKind {
		if p, ok := periods[strings.ToLower(trim(n.text))]; ok {
			return p
		}
	}
	l.fail(n, pointer, fmt.Sprintf("periodInterval %q is not supported", scalar(n)), "write 0 (Single), 60 (Hourly), 1440 (Daily) or -1 (CorrelationId)")
	return Single
}

// each calls do for every element of a list; null stands for no list when
// mayBeNull.
func (l *loader) each(n *node, pointer string, mayBeNull bool, do func(*node, string)) {
	if n == nil || mayBeNull && n.kind == nullKind {
		return
	}
	if n.kind != listKind {
		l.fail(n, pointer, "an array is needed here", "write [ ... ]")
		return
	}
	for i, it := range n.items {
		do(it, pointer+"/"+strconv.Itoa(i))
	}
}

// codes reads a list of codings. Blank members and codings vanish: FHIR has no
// empty texts.
func (l *loader) codes(n *node, pointer string) (codings []*node) {
	l.each(n, pointer, false, func(it *node, pointer string) {
		var code, system, display *node
		if !l.fields(it, pointer, false, map[string]**node{"code": &code, "system": &system, "display": &display}) {
			return
		}
		coding := object(member{"system", l.text(system, pointer+"/system")}, member{"code", l.text(code, pointer+"/code")},
			member{"display", l.text(display, pointer+"/display")})
		if coding != nil {
			codings = append(codings, coding)
		}
	})
	return codings
}

func (l *loader) text(n *node, pointer string) *node {
	if n == nil {
		return nil
	}
	s, _ := l.scalar(n, pointer)
	return text(s)
}

// categories reads a list of {text, codes}.
func (l *loader) categories(n *node, pointer string) *node {
	var concepts []*node
	l.each(n, pointer, true, func(it *node, pointer string) {
		var txt, codes *node
		if !l.fields(it, pointer, false, map[string]**node{"text": &txt, "codes": &codes}) {
			return
		}
		if codes != nil && codes.kind == nullKind {
			codes = nil
		}
		concepts = append(concepts, l.concept(txt, codes, pointer))
	})
	return list(concepts...)
}

func (l *loader) concept(txt, codes *node, pointer string) *node {
	return object(member{"coding", list(l.codes(codes, pointer+"/codes")...)}, member{"text", l.text(txt, pointer+"/text")})
}

func (l *loader) components(t *template, n *node, typeName, pointer string) {
	l.each(n, pointer, true, func(it *node, pointer string) {
		var codes, value *node
		if !l.fields(it, pointer, false, map[string]**node{"codes": &codes, "value": &value}) {
			return
		}
		var c component
		var codings []*node
		if codes == nil {
			l.fail(it, pointer+"/codes", "codes is missing", `give the codes of the component, or "codes": []`)
		} else {
			codings = l.codes(codes, pointer+"/codes")
		}
		if value == nil {
			l.fail(it, pointer+"/value", "value is missing", "say which value the component holds")
			return
		}
		if c.value = l.value(value, pointer+"/value"); c.value == nil {
			return
		}
		c.unmarked = t.value != nil && trim(c.value.name) == trim(typeName)
		if t.value != nil && sharesCoding(t.codes, codings) {
			l.fail(it, pointer+"/codes", "the component has a code of the Observation itself, which FHIR forbids beside a value (obs-7)", "give the component a code of its own")
		}
		c.code = concept(codings, c.value.name, !c.unmarked)
		t.components = append(t.components, c)
	})
}

func sharesCoding(a, b []*node) bool {
	for _, x := range a {
		for _, y := range b {
			if equal(x, y) {
				return true
			}
		}
	}
	return false
}

// valueKinds are the value types by their folded names.
var valueKinds = map[string]valueKind{"QUANTITY": quantityValue, "STRING": stringValue,
	"CODEABLECONCEPT": conceptValue, "SAMPLEDDATA": sampledValue}

// value reads a value. Unlike elsewhere unknown members are no fault, as the
// connector has it.
func (l *loader) value(n *node, pointer string) *valueTemplate {
	if n.kind != objectKind {
		l.fail(n, pointer, "value must be an object", "write { ... }, or leave value out")
		return nil
	}
	typ := n.get("ValueType")
	if typ == nil {
		typ = n.get("valueType")
	}
	if typ == nil {
		l.fail(n, pointer+"/valueType", "valueType is missing", "write valueType or ValueType: Quantity, String, CodeableConcept or SampledData")
		return nil
	}
	kind, ok := valueKinds[foldName(scalar(typ))]
	if !ok || typ.kind != textKind {
		l.fail(typ, pointer+"/valueType", fmt.Sprintf("valueType %q is not supported", scalar(typ)), "write Quantity, String, CodeableConcept or SampledData")
		return nil
	}
	var name, unit, system, code, txt, codes, period *node
	l.fields(n, pointer, true, map[string]**node{"valuename": &name, "unit": &unit, "system": &system, "code": &code,
		"text": &txt, "codes": &codes, "defaultperiod": &period})
	v := &valueTemplate{kind: kind}
	if name != nil {
		v.name, _ = l.scalar(name, pointer+"/valueName")
	}
	switch kind {
	case quantityValue:
		v.unit, v.system, v.code = l.text(unit, pointer+"/unit"), l.text(system, pointer+"/system"), l.text(code, pointer+"/code")
		l.checkQuantity(v, system, pointer)
	case conceptValue:
		l.fixedConcept(v, n, txt, codes, pointer)
	case sampledValue:
		v.unit = l.text(unit, pointer+"/unit")
		l.samplePeriod(v, n, period, pointer+"/defaultPeriod")
	}
	return v
}

// checkQuantity keeps what FHIR accepts: a code needs a system (qty-3), and a
// system is an absolute URI.
func (l *loader) checkQuantity(v *valueTemplate, system *node, pointer string) {
	if v.system != nil {
		u, err := url.Parse(v.system.text)
		if err != nil || !u.IsAbs() || strings.ContainsFunc(v.system.text, unicode.IsSpace) {
			l.fail(system, pointer+"/system", fmt.Sprintf("system %q is no absolute URI", v.system.text), "write for example http://unitsofmeasure.org")
		}
		return
	}
	if v.unit == nil {
		v.unit = v.code
	}
	v.code = nil
}

func (l *loader) fixedConcept(v *valueTemplate, n, txt, codes *node, pointer string) {
	if codes == nil || codes.kind == nullKind {
		l.fail(n, pointer+"/codes", "codes is missing", `give the codes of the concept, or "codes": []`)
		return
	}
	before := len(l.faults)
	if v.fixed = l.concept(txt, codes, pointer); v.fixed == nil && len(l.faults) == before {
		l.fail(n, pointer, "the concept has neither text nor codes", "give it a text or a code")
	}
}

// Bounds of a SampledData period: below, a series would never end; above, one
// step would leave the years that a time can have.
const (
	minStep = schemas.Ticks(1)
	maxStep = 1000 * 365 * schemas.TicksPerDay
)

// samplePeriod reads defaultPeriod, milliseconds as a number or a text.
func (l *loader) samplePeriod(v *valueTemplate, outer, n *node, pointer string) {
	const fix = "give the milliseconds between two samples, for example 1000"
	if n == nil || n.kind == nullKind || n.kind == textKind && trim(n.text) == "" {
		if n == nil {
			n = outer
		}
		l.fail(n, pointer, "defaultPeriod is missing", fix)
		return
	}
	literal, ok := periodLiteral(n)
	if ok {
		v.period = literal
		v.step, ok = stepOf(literal)
	}
	if !ok {
		l.fail(n, pointer, fmt.Sprintf("defaultPeriod %q is no usable period", scalar(n)), fix)
	}
}

// periodLiteral returns the period as it is written: a whole number as it is,
// a float in its shortest form with a decimal, a text with its own digits.
func periodLiteral(n *node) (string, bool) {
	switch n.kind {
	case textKind:
		s := trim(n.text)
		if strings.ContainsAny(s, "eE") {
			f, err := strconv.ParseFloat(s, 64)
			return strconv.FormatFloat(f, 'f', -1, 64), err == nil
		}
		return decimal(s)
	case numberKind:
		if !strings.ContainsAny(n.text, ".eE") {
			return decimal(n.text)
		}
		f, err := strconv.ParseFloat(n.text, 64)
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s, err == nil && len(s) <= maxNumberBytes
	}
	return "", false
}

// stepOf converts milliseconds to ticks, cutting off what is finer.
func stepOf(literal string) (schemas.Ticks, bool) {
	whole, fraction, _ := strings.Cut(literal, ".")
	ms, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || ms < 0 || ms > int64(maxStep/schemas.TicksPerMillisecond) {
		return 0, false
	}
	part, err := strconv.ParseInt((fraction + "0000")[:4], 10, 64)
	step := schemas.Ticks(ms)*schemas.TicksPerMillisecond + schemas.Ticks(part)
	return step, err == nil && step >= minStep && step <= maxStep
}
