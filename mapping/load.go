package mapping

import (
	"fmt"
	"strconv"
	"strings"

	"auscult/internal/mapfile"
	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
	"auscult/mapping/internal/tape"
)

// MaxTemplates is how many templates a mapping may have.
const MaxTemplates = 10_000

// maxExpression is how long one expression may be.
const maxExpression = 64 << 10

// LoadError is one fault of a mapping file and where it stands.
type LoadError = mapfile.Error

// LoadErrors returns the faults that err, an answer of LoadDevice, joins.
func LoadErrors(err error) []*LoadError { return mapfile.Errors(err) }

// LoadDevice compiles the text of a device mapping file. Its error joins one
// *LoadError for each fault; a mapping with any fault is refused.
func LoadDevice(file []byte) (*Device, error) { return loadDevice(file, newCompiler()) }

func loadDevice(file []byte, c *compiler) (*Device, error) {
	l := &loader{Report: mapfile.NewReport(string(file)), compiler: c}
	if strings.TrimSpace(string(file)) == "" { // as the connector does: no templates
		return l.device(file, nil), nil
	}
	root, ok := mapfile.Parse(l.Report)
	if !ok {
		return nil, l.Err()
	}
	if root.Kind == mapfile.Null { // as an empty file
		return l.device(file, nil), nil
	}
	templates := l.collection(root)
	if l.compiler.names.Len() > tape.MaxNames {
		l.Add(root.At, "", fmt.Sprintf("more than %d different member names", tape.MaxNames), "split the mapping")
	}
	if l.Len() > 0 {
		return nil, l.Err()
	}
	return l.device(file, templates), nil
}

// loader compiles a parsed file; faults go to the report.
type loader struct {
	*mapfile.Report
	compiler *compiler
	drafts   []*draft
}

// device joins what was compiled of a file that has no faults.
func (l *loader) device(file []byte, templates []template) *Device {
	d := newDevice(file, l.compiler, templates)
	d.lints = lint(l.Report, l.drafts)
	d.emitted = emittedOf(l.Report, l.drafts)
	return d
}

// collection reads the root of the file.
func (l *loader) collection(root *mapfile.Value) []template {
	c := l.Object(collection, root, "")
	if _, ok := c.Word("templateType"); !ok { // another kind of file
		return nil
	}
	items, pointer := c.Items("template")
	if len(items) > MaxTemplates {
		l.Add(items[MaxTemplates].At, pointer, fmt.Sprintf("more than %d templates", MaxTemplates), "split the mapping")
		items = items[:MaxTemplates]
	}
	templates := make([]template, 0, len(items))
	for i, item := range items {
		templates = append(templates, l.template(item, mapfile.JoinIndex(pointer, i)))
	}
	return templates
}

// dialect says what one type of template expects.
type dialect struct {
	template *mapfile.Definition
	value    *mapfile.Definition
	whole    bool   // expressions see the whole message and matchedToken
	device   string // fixed expressions; else the file gives them
	times    []string
}

// dialects are the types of device templates, in the order of container's words.
var dialects = []dialect{
	{template: calculatedTemplate, value: calculatedValue, whole: true},
	{template: pathTemplate, value: pathValue},
	{
		template: iotTemplate, value: pathValue, device: "$.SystemProperties.iothub-connection-device-id",
		times: []string{"$.Properties.iothub-creation-time-utc", "$.SystemProperties.iothub-enqueuedtime"},
	},
	{template: iotTemplate, value: pathValue, device: "$.deviceId", times: []string{"$.enqueuedTime"}},
}

// template reads one element of the collection.
func (l *loader) template(item *mapfile.Value, pointer string) template {
	c := l.Object(container, item, pointer)
	kind, ok := c.Word(container.By)
	if !ok {
		return template{}
	}
	d := &dialects[kind]
	inner := c.Object(l.Report, d.template, "template")
	if inner == nil {
		return template{}
	}
	b := &templateBuilder{loader: l, d: d, in: inner}
	b.draft = &draft{d: d, container: c, in: inner}
	l.drafts = append(l.drafts, b.draft)
	return b.build()
}

// Languages of expressions, in the order of languages.
const (
	languagePath = iota
	languageJmes
	languageUnknown // what is written was refused
)

// templateBuilder reads the inside of one template.
type templateBuilder struct {
	*loader
	d        *dialect
	in       *mapfile.Fields
	draft    *draft
	t        template
	language int // of expressions that name none
}

// build reads the template.
func (b *templateBuilder) build() template {
	b.language = languageOf(b.in, languageField, languagePath)
	b.t.typeName = nameOf(b.in, typeNameField)
	b.draft.name = b.t.typeName
	b.match()
	if b.d.device != "" {
		b.t.device = b.fixed(deviceField, b.d.device)
		b.t.time = b.fixed(timeField, b.d.times...)
	} else {
		b.t.device = b.field(b.in, deviceField, true)
		b.t.time = b.field(b.in, timeField, true)
	}
	b.t.patient = b.field(b.in, patientField, false)
	b.t.encounter = b.field(b.in, encounterField, false)
	b.t.correlation = b.field(b.in, correlationField, false)
	items, pointer := b.in.Items(valuesField)
	for i, item := range items {
		b.value(item, mapfile.JoinIndex(pointer, i))
	}
	return b.t
}

// nameOf reads a name. One that looks like a date is written as the connector
// writes dates: its reader takes it for one.
func nameOf(f *mapfile.Fields, field string) string {
	v, _ := f.Get(field)
	s, _ := textOf(v)
	if in, ok := dotnet.DateToken([]byte(s)); ok && v.Kind == mapfile.Text {
		return string(dotnet.AppendDateText(nil, in.Ticks))
	}
	return s
}

// textOf reads a text. Numbers are written as the connector writes them.
func textOf(v *mapfile.Value) (s string, ok bool) {
	s, ok = v.AsText()
	switch {
	case ok && v.Kind == mapfile.Float:
		n, _ := strconv.ParseFloat(s, 64) // infinite when it is out of range
		return string(dotnet.AppendFloat(nil, n)), true
	case ok && v.Kind == mapfile.Int && strings.Trim(s, "-0") == "":
		return "0", true
	}
	return s, ok
}

// languageOf reads the language of expressions.
func languageOf(f *mapfile.Fields, field string, otherwise int) int {
	if language, ok := f.Word(field); ok {
		return language
	}
	if f.Refused(field) {
		return languageUnknown
	}
	return otherwise
}

// source is the text of an expression, and where it stands.
type source struct {
	name     string // of the field
	text     string
	language int
	value    *mapfile.Value
	pointer  string
	optional bool           // the measurement can do without it
	path     *jsonpath.Path // one of both, for the lints
	expr     *jmespath.Expr
}

// source reads an expression: a text or, where allowed, {value, language}. In
// the older types a blank one is none, unless it is required.
func (b *templateBuilder) source(f *mapfile.Fields, name string, required bool) (s *source, ok bool) {
	s = &source{name: name, language: b.language, optional: !required && name != correlationField}
	s.value, s.pointer = f.Get(name)
	if s.value == nil {
		return s, false
	}
	if s.value.Kind == mapfile.Object {
		o := b.Object(expressionObject, s.value, s.pointer)
		b.draft.objects = append(b.draft.objects, o)
		s.language = languageOf(o, "language", b.language)
		s.value, s.pointer = o.Get("value")
	}
	if s.text, ok = textOf(s.value); !ok {
		return s, false
	}
	return s, b.usable(s, required) && s.language != languageUnknown
}

// usable checks what both languages have in common.
func (b *templateBuilder) usable(s *source, required bool) bool {
	switch {
	case strings.TrimSpace(s.text) == "" && !required && !b.d.whole:
		return false
	case strings.TrimSpace(s.text) == "":
		b.Add(s.value.At, s.pointer, s.name+" is blank", "write an expression, or leave the member out")
	case len(s.text) > maxExpression:
		b.Add(s.value.At, s.pointer, fmt.Sprintf("%s is longer than %d bytes", s.name, maxExpression), "shorten it")
	case s.language == languagePath && dotnet.LooksLikeDate([]byte(s.text)):
		b.Add(s.value.At, s.pointer, s.name+" is a date, not an expression", "write a path such as $.Body.time")
	default:
		return true
	}
	return false
}

// check reports the fault of an expression at its own place.
func (b *templateBuilder) check(s *source, f *fault) bool {
	if f == nil {
		return true
	}
	fix := "correct the expression"
	if f.fix != "" {
		fix = "write " + f.fix
	}
	b.AddInside(s.value, f.at, s.pointer, s.name+": "+f.message, fix)
	return false
}

// field reads an expression that yields one value.
func (b *templateBuilder) field(in *mapfile.Fields, name string, required bool) field {
	f := field{name: name}
	s, ok := b.source(in, name, required)
	if !ok {
		return f
	}
	f.source = s.text
	b.draft.sources = append(b.draft.sources, s)
	e, fault := b.compiler.expression(s.text, s.language, b.d.whole)
	if b.check(s, fault) {
		f.expressions = []expression{e}
	}
	return f
}

// fixed compiles the expressions that a type of template brings along.
func (b *templateBuilder) fixed(name string, paths ...string) field {
	f := field{name: name, source: strings.Join(paths, ",")}
	for _, p := range paths {
		e, fault := b.compiler.expression(p, languagePath, b.d.whole)
		if b.check(&source{name: name, value: b.in.Value, pointer: b.in.Pointer}, fault) {
			f.expressions = append(f.expressions, e)
		}
	}
	return f
}

// match reads the typeMatchExpression.
func (b *templateBuilder) match() {
	b.t.match = field{name: matchField}
	s, ok := b.source(b.in, matchField, true)
	if !ok {
		return
	}
	b.t.match.source = s.text
	b.draft.match = s
	var fault *fault
	b.t.scan, b.t.matcher, fault = b.compiler.match(s.text, s.language)
	b.check(s, fault)
}

// value reads one value of the template.
func (b *templateBuilder) value(item *mapfile.Value, pointer string) {
	f := b.Object(b.d.value, item, pointer)
	b.draft.values = append(b.draft.values, f)
	v := value{name: nameOf(f, "valueName"), required: f.Bool("required")}
	v.field = b.field(f, "valueExpression", v.required)
	v.field.name = "value " + v.name
	b.t.values = append(b.t.values, v)
}
