package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"auscult/internal/mapfile"
)

// byteOrderMark is refused, as the connector does: other tools that read the
// same file would stumble over it.
const byteOrderMark = "\ufeff"

// LoadMapping compiles the text of a FHIR mapping file. Its error joins one
// *LoadError for each fault; a mapping with any fault is refused.
func LoadMapping(file []byte) (*Mapping, error) {
	l := &loader{Report: mapfile.NewReport(string(file))}
	if strings.HasPrefix(string(file), byteOrderMark) {
		l.Add(0, "", "the file begins with a byte order mark", "save it as UTF-8 without one")
	}
	if root, ok := mapfile.Parse(l.Report); ok {
		l.collection(root)
	}
	if l.Len() > 0 {
		return nil, l.Err()
	}
	sum := sha256.Sum256(file)
	m := &Mapping{
		version:   hex.EncodeToString(sum[:8]),
		ordered:   l.templates,
		templates: map[string]*template{},
		lints:     l.Lints(),
	}
	for _, t := range l.templates {
		m.templates[foldName(t.name)] = t
	}
	return m, nil
}

// loader turns a parsed mapping file into templates; faults and lints go to the
// report.
type loader struct {
	*mapfile.Report
	templates []*template // in the order of the file
}

// collection reads the root of the file.
func (l *loader) collection(root *mapfile.Value) {
	c := l.Object(collectionFhir, root, "")
	if c.Refused(templateTypeField) { // another kind of file
		return
	}
	items, pointer := c.Items(templateField)
	for i, item := range items {
		l.container(item, mapfile.JoinIndex(pointer, i))
	}
	l.locate()
	l.oneOfEach()
	for _, t := range l.templates {
		l.lintNames(t)
	}
}

// container reads one element of the collection.
func (l *loader) container(item *mapfile.Value, pointer string) {
	c := l.Object(codeValueContainer, item, pointer)
	if c.Refused(templateTypeField) { // another kind of template
		return
	}
	if in := c.Object(l.Report, codeValueFhir, templateField); in != nil {
		b := &templateLoader{loader: l, in: in, t: &template{}}
		b.read()
		l.templates = append(l.templates, b.t)
	}
}

// locate finds the lines of what Types tells.
func (l *loader) locate() {
	var places []*mapfile.Place
	for _, t := range l.templates {
		places = append(places, &t.place)
		for _, v := range t.values() {
			places = append(places, &v.place)
			for _, p := range v.parts {
				places = append(places, &p.place)
			}
		}
	}
	l.Locate(places)
}

// oneOfEach reports types that have several templates.
func (l *loader) oneOfEach() {
	first := map[string]*template{}
	for _, t := range l.templates {
		folded := foldName(t.name)
		switch other := first[folded]; {
		case t.name == "": // reported where it was read
		case other == nil:
			first[folded] = t
		default:
			l.Add(t.place.At, t.place.Pointer,
				fmt.Sprintf("a second template for type %.60q: the first is that of line %d, column %d", t.name, other.place.Line, other.place.Column),
				"keep one template for each type name; case does not tell them apart")
		}
	}
}

// templateLoader reads the inside of one template.
type templateLoader struct {
	*loader
	in *mapfile.Fields
	t  *template
	// What was read of the values, for rules that look at several members: that
	// of the Observation, and those of its components.
	valueIn      *mapfile.Fields
	componentsIn []*mapfile.Fields
}

func (l *templateLoader) read() {
	before := l.Len()
	if word, ok := l.in.Word("periodInterval"); ok {
		l.t.period = periods[word]
	}
	l.t.name = l.typeName()
	l.t.codes = l.codes(l.in, codesField)
	l.t.code = concept(l.t.codes, l.t.name, true)
	l.t.category = l.categories()
	if v, pointer := l.in.Get(valueField); v != nil {
		l.t.value, l.valueIn = l.readValue(v, pointer)
	}
	l.readLimits(l.in, l.t.value)
	l.readComponents()
	l.t.method, l.t.bodySite = l.conceptOf(methodField), l.conceptOf(bodySiteField)
	l.t.performer = l.performers()
	profiles := l.profiles()
	if l.Len() == before {
		l.vitalSigns(profiles)
	}
}

func (l *templateLoader) typeName() string {
	v, pointer := l.in.Get(typeNameField)
	if v == nil {
		return ""
	}
	l.t.place = mapfile.Place{At: v.At, Pointer: pointer}
	if trim(v.Text) == "" {
		l.Add(v.At, pointer, "typeName is blank", "write the name of a type that the device mapping emits")
		return ""
	}
	return v.Text
}

// textOf returns a member as a text, nil for a blank one or none. Numbers and
// truth values stay as they are written.
func textOf(f *mapfile.Fields, name string) *node {
	v, _ := f.Get(name)
	if v == nil {
		return nil
	}
	return text(v.Text)
}

// codes reads a list of codings. Blank members and codings vanish: FHIR has no
// empty texts.
func (l *loader) codes(f *mapfile.Fields, name string) (codings []*node) {
	items, pointer := f.Items(name)
	for i, item := range items {
		c := l.Object(codingDefinition, item, mapfile.JoinIndex(pointer, i))
		coding := object(member{"system", textOf(c, systemField)}, member{"code", textOf(c, codeField)},
			member{"display", textOf(c, "display")})
		if coding != nil {
			codings = append(codings, coding)
		}
	}
	return codings
}

// categories reads a list of {text, codes}.
func (l *templateLoader) categories() *node {
	var concepts []*node
	items, pointer := l.in.Items(categoryField)
	for i, item := range items {
		c := l.Object(categoryDefinition, item, mapfile.JoinIndex(pointer, i))
		concepts = append(concepts, l.concept(c))
	}
	return list(concepts...)
}

// concept reads the members text and codes.
func (l *loader) concept(f *mapfile.Fields) *node {
	return object(member{"coding", list(l.codes(f, codesField)...)}, member{"text", textOf(f, textField)})
}

func (l *templateLoader) readComponents() {
	items, pointer := l.in.Items(componentsField)
	for i, item := range items {
		f := l.Object(componentDefinition, item, mapfile.JoinIndex(pointer, i))
		codings := l.codes(f, codesField)
		v, valuePointer := f.Get(valueField)
		if v == nil {
			continue
		}
		value, in := l.readValue(v, valuePointer)
		if value == nil {
			continue
		}
		l.readLimits(f, value)
		c := component{value: value, unmarked: l.t.value != nil && trim(value.name) == trim(l.t.name)}
		c.code = concept(codings, value.name, !c.unmarked)
		l.distinct(f, codings)
		l.t.components = append(l.t.components, c)
		l.componentsIn = append(l.componentsIn, in)
	}
}

// distinct checks that a component beside a value has no code of the
// Observation itself.
func (l *templateLoader) distinct(f *mapfile.Fields, codings []*node) {
	if l.t.value == nil {
		return
	}
	own := map[string]bool{}
	for _, c := range l.t.codes {
		own[string(c.bytes())] = true
	}
	for _, c := range codings {
		if own[string(c.bytes())] {
			v, pointer := f.Get(codesField)
			l.Add(v.At, pointer, "the component has a code of the Observation itself, which FHIR forbids beside a value (obs-7)", "give the component a code of its own")
			return
		}
	}
}

// readValue reads the value of the Observation or of a component; nil when it
// has no type.
func (l *templateLoader) readValue(n *mapfile.Value, pointer string) (*valueTemplate, *mapfile.Fields) {
	f := l.Object(valueDefinition, n, pointer)
	kind, ok := f.Word(valueTypeField)
	if !ok {
		return nil, nil
	}
	v := &valueTemplate{kind: valueKind(kind)}
	v.name, v.place = nameOf(f, valueNameField)
	if read := valueTypes[kind].read; read != nil {
		read(l, f, v)
	}
	l.lintValue(f, v)
	return v, f
}

// nameOf reads the name of a value.
func nameOf(f *mapfile.Fields, field string) (string, mapfile.Place) {
	n, pointer := f.Get(field)
	if n == nil {
		return "", mapfile.Place{}
	}
	return n.Text, mapfile.Place{At: n.At, Pointer: pointer}
}

// conceptOf reads a concept beside the values.
func (l *templateLoader) conceptOf(name string) *node {
	before := l.Len()
	f := l.in.Object(l.Report, conceptDefinition, name)
	if f == nil {
		return nil
	}
	n := l.concept(f)
	if n == nil && l.Len() == before {
		l.Add(f.Value.At, f.Pointer, "the concept has neither text nor codes", "give it a text or a code")
	}
	return n
}

// textItem is an element of a list of texts.
type textItem struct {
	text    string
	at      int
	pointer string
}

// texts reads a list of texts. Blank ones are faults.
func (l *loader) texts(f *mapfile.Fields, name, fix string) (texts []textItem) {
	items, pointer := f.Items(name)
	for i, item := range items {
		s, ok := item.AsText()
		at := mapfile.JoinIndex(pointer, i)
		switch {
		case !ok:
			l.Add(item.At, at, fmt.Sprintf("%s stands where a text must be", item.Kind), fix)
		case trim(s) == "":
			l.Add(item.At, at, "the text is blank", fix)
		default:
			texts = append(texts, textItem{trim(s), item.At, at})
		}
	}
	return texts
}

// referenceForm is a reference to a resource that may perform an Observation.
var referenceForm = regexp.MustCompile(`^(Practitioner|PractitionerRole|Organization|CareTeam|Patient|RelatedPerson)/[A-Za-z0-9.-]{1,64}$`)

// performers reads a list of references.
func (l *templateLoader) performers() *node {
	const fix = "write for example Organization/ward-3; possible are Practitioner, PractitionerRole, Organization, CareTeam, Patient and RelatedPerson"
	var references []*node
	for _, it := range l.texts(l.in, performerField, fix) {
		if !referenceForm.MatchString(it.text) && !absolute(it.text) {
			l.Add(it.at, it.pointer, fmt.Sprintf("%.60q is no reference to who may perform an Observation", it.text), fix)
		}
		references = append(references, object(member{"reference", text(it.text)}))
	}
	return list(references...)
}

// profiles reads the addresses of profiles.
func (l *templateLoader) profiles() []textItem {
	const fix = "write an address, for example http://hl7.org/fhir/StructureDefinition/heartrate"
	items := l.texts(l.in, metaProfileField, fix)
	var all []*node
	for _, it := range items {
		if !absolute(it.text) {
			l.Add(it.at, it.pointer, fmt.Sprintf("%.60q is no absolute URI", it.text), fix)
		}
		all = append(all, text(it.text))
	}
	l.t.meta = object(member{"profile", list(all...)})
	return items
}

// absolute reports whether s is an absolute URI.
func absolute(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.ContainsFunc(s, unicode.IsSpace)
}
