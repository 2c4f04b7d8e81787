package mapping

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxTemplates is how many templates a mapping may have.
const MaxTemplates = 10_000

// maxExpression is how long one expression may be.
const maxExpression = 64 << 10

// LoadError is one fault of a mapping file and where it stands.
type LoadError struct {
	Line, Column int    // from 1; columns count characters
	Pointer      string // JSON pointer of the element
	Message      string // what is wrong
	Fix          string // what to change
	Unsupported  bool   // valid for the connector, but not evaluated here yet
}

// Error says where and what, on one line.
func (e *LoadError) Error() string {
	s := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// LoadErrors returns the faults that err, an answer of LoadDevice, joins.
func LoadErrors(err error) []*LoadError {
	var found []*LoadError
	var one *LoadError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			found = append(found, LoadErrors(e)...)
		}
	} else if errors.As(err, &one) {
		found = append(found, one)
	}
	return found
}

// LoadDevice compiles the text of a device mapping file. Its error joins one
// *LoadError for each fault; a mapping with any fault is refused.
func LoadDevice(file []byte) (*Device, error) {
	l := &loader{file: string(file), compiler: newCompiler()}
	if strings.TrimSpace(l.file) == "" { // as the connector does: no templates
		return newDevice(file, l.compiler, nil), nil
	}
	root, fault := parseFile(l.file)
	if fault != nil {
		l.add(fault.at, "", "correct the JSON", "%s", fault.message)
		return nil, errors.Join(l.errs...)
	}
	templates := l.collection(root)
	if len(l.compiler.names.list) > maxNames {
		l.add(0, "", "split the mapping", "more than %d different member names", maxNames)
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return newDevice(file, l.compiler, templates), nil
}

// loader walks the parsed file and collects faults.
type loader struct {
	file     string
	compiler *compiler
	errs     []error
}

func (l *loader) add(at int, pointer, fix, format string, args ...any) {
	l.report(at, &LoadError{Pointer: pointer, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (l *loader) report(at int, e *LoadError) {
	e.Line, e.Column = place(l.file, at)
	l.errs = append(l.errs, e)
}

// named reports whether a template type is the wanted one: without case, with
// or without the word Template.
func named(typ, want string) bool {
	return strings.EqualFold(typ, want) || strings.EqualFold(typ, want+"Template")
}

// templateType reads the templateType of a container.
func templateType(v *fileValue) string {
	t := v.member("templateType")
	if t.null() {
		return ""
	}
	s, _ := t.asText()
	return s
}

// collection reads the root of the file.
func (l *loader) collection(root *fileValue) []template {
	if root.kind != kindObject {
		l.add(root.at, "", `write {"templateType": "CollectionContent", "template": [...]}`, "the mapping is not an object")
		return nil
	}
	if typ := templateType(root); !named(typ, "CollectionContent") {
		at := root.at
		if t := root.member("templateType"); t != nil {
			at = t.at
		}
		l.add(at, "/templateType", "write CollectionContent", "the template type of the mapping is %q", typ)
		return nil
	}
	list := root.member("template")
	if list == nil || list.kind != kindArray {
		at := root.at
		if list != nil {
			at = list.at
		}
		l.add(at, "/template", "write a list of templates", "template is not an array")
		return nil
	}
	if len(list.items) > MaxTemplates {
		l.add(list.at, "/template", "split the mapping", "more than %d templates", MaxTemplates)
		return nil
	}
	templates := make([]template, 0, len(list.items))
	for i, item := range list.items {
		templates = append(templates, l.template(item, "/template/"+strconv.Itoa(i)))
	}
	return templates
}

// dialect says what one type of template expects.
type dialect struct {
	typ     string
	whole   bool // expressions see the whole message and matchedToken
	objects bool // expressions may be {value, language}
	device  string
	times   []string // fixed expressions; else the file gives them
}

// dialects are the types of device templates.
var dialects = []dialect{
	{typ: "CalculatedContent", whole: true, objects: true},
	{typ: "JsonPathContent"},
	{typ: "IotJsonPathContent", device: "$.SystemProperties.iothub-connection-device-id",
		times: []string{"$.Properties.iothub-creation-time-utc", "$.SystemProperties.iothub-enqueuedtime"}},
	{typ: "IotCentralJsonPathContent", device: "$.deviceId", times: []string{"$.enqueuedTime"}},
}

// template reads one element of the collection.
func (l *loader) template(item *fileValue, pointer string) template {
	if item.kind != kindObject {
		l.add(item.at, pointer, `write {"templateType": ..., "template": {...}}`, "a template is not an object")
		return template{}
	}
	typ := templateType(item)
	for i := range dialects {
		if named(typ, dialects[i].typ) {
			inner := item.member("template")
			if inner == nil || inner.kind != kindObject {
				at := item.at
				if inner != nil {
					at = inner.at
				}
				l.add(at, pointer+"/template", "write {...}", "the template of a %s is not an object", typ)
				return template{}
			}
			b := &templateBuilder{l: l, d: &dialects[i], at: inner, pointer: pointer + "/template"}
			return b.build()
		}
	}
	at := item.at
	if t := item.member("templateType"); t != nil {
		at = t.at
	}
	l.add(at, pointer+"/templateType", "write CalculatedContent, JsonPathContent, IotJsonPathContent or IotCentralJsonPathContent", "no such template type: %q", typ)
	return template{}
}

// Languages of expressions.
const (
	languagePath = iota
	languageJmes
)

// templateBuilder reads the inside of one template.
type templateBuilder struct {
	l        *loader
	d        *dialect
	at       *fileValue
	pointer  string
	t        template
	language int // of expressions that name none
}

// build reads the template; faults go to the loader.
func (b *templateBuilder) build() template {
	known := []string{"typeName", "typeMatchExpression", "deviceIdExpression", "timestampExpression",
		"patientIdExpression", "encounterIdExpression", "correlationIdExpression", "values"}
	if b.d.objects {
		known = append(known, "defaultExpressionLanguage")
		b.language = b.languageOf(b.at.member("defaultExpressionLanguage"), b.pointer+"/defaultExpressionLanguage", languagePath)
	}
	b.unknown(b.at, b.pointer, known)
	b.t.typeName = b.name(b.at, b.pointer, "typeName")
	b.match()
	if b.d.device != "" {
		b.t.device = b.fixed("deviceIdExpression", b.d.device)
		b.t.time = b.fixed("timestampExpression", b.d.times...)
	} else {
		b.t.device = b.field(b.at, b.pointer, "deviceIdExpression", true)
		b.t.time = b.field(b.at, b.pointer, "timestampExpression", true)
	}
	b.t.patient = b.field(b.at, b.pointer, "patientIdExpression", false)
	b.t.encounter = b.field(b.at, b.pointer, "encounterIdExpression", false)
	b.t.correlation = b.field(b.at, b.pointer, "correlationIdExpression", false)
	b.values()
	return b.t
}

func (b *templateBuilder) add(at int, pointer, fix, format string, args ...any) {
	b.l.add(at, pointer, fix, "template %q: "+format, append([]any{b.title()}, args...)...)
}

// title is what the template calls itself, as far as that is known.
func (b *templateBuilder) title() string {
	if b.t.typeName != "" {
		return b.t.typeName
	}
	name, _ := textOf(b.at.member("typeName"))
	return name
}

// textOf is asText of a value that may be absent.
func textOf(v *fileValue) (string, bool) {
	if v.null() {
		return "", false
	}
	return v.asText()
}

// unknown refuses members that the connector would refuse.
func (b *templateBuilder) unknown(v *fileValue, pointer string, known []string) {
	for _, m := range v.members {
		found := false
		for _, k := range known {
			found = found || strings.EqualFold(k, m.name)
		}
		if !found {
			b.add(m.at, pointer+"/"+m.name, "remove it; known are "+strings.Join(known, ", "), "unknown member %q", m.name)
		}
	}
}

// wanted returns a member that must be there and not be null.
func (b *templateBuilder) wanted(v *fileValue, pointer, name string) *fileValue {
	m := v.member(name)
	if m.null() {
		at, state := v.at, "missing"
		if m != nil {
			at, state = m.at, "null"
		}
		b.add(at, pointer+"/"+name, "add it", "%s is %s", name, state)
		return nil
	}
	return m
}

// name reads a required name.
func (b *templateBuilder) name(v *fileValue, pointer, name string) string {
	m := b.wanted(v, pointer, name)
	if m == nil {
		return ""
	}
	s, ok := m.asText()
	if !ok {
		b.add(m.at, pointer+"/"+name, "write a text", "%s is not a text", name)
	}
	if in, ok := dateToken([]byte(s)); ok && m.kind == kindText { // as the connector's reader does
		s = string(appendDateText(nil, in.ticks))
	}
	return s
}

// languageOf reads the name or number of an expression language.
func (b *templateBuilder) languageOf(v *fileValue, pointer string, otherwise int) int {
	if v.null() {
		return otherwise
	}
	s, ok := v.asText()
	switch s = strings.TrimSpace(s); {
	case ok && (strings.EqualFold(s, "JsonPath") || s == "0"):
		return languagePath
	case ok && (strings.EqualFold(s, "JmesPath") || s == "1"):
		return languageJmes
	}
	b.add(v.at, pointer, "write JsonPath or JmesPath", "no such expression language: %q", s)
	return -1
}

// source is an expression's text and where it begins.
type source struct {
	text     string
	at       int
	plain    bool
	language int
	pointer  string
}

// sourceOf reads an expression: a text or, where allowed, {value, language}. In
// the older types a blank one is none, unless it is required.
func (b *templateBuilder) sourceOf(v *fileValue, pointer, name string, required bool) (source, bool) {
	s := source{at: v.at, plain: v.plain, language: b.language, pointer: pointer}
	if v.kind == kindObject && b.d.objects {
		s.language = b.languageOf(v.member("language"), pointer+"/language", b.language)
		inner := v.member("value")
		if inner.null() {
			b.add(v.at, pointer+"/value", `write {"value": "<expression>"}`, "%s has no value", name)
			return s, false
		}
		s.at, s.plain, s.pointer = inner.at, inner.plain, pointer+"/value"
		v = inner
	}
	ok := false
	if b.d.objects {
		s.text, ok = v.text, v.kind == kindText
	} else {
		s.text, ok = v.asText()
	}
	switch {
	case !ok:
		b.add(v.at, s.pointer, "write the expression as a text", "%s is not an expression", name)
	case strings.TrimSpace(s.text) == "" && !required && !b.d.objects:
		ok = false
	case strings.TrimSpace(s.text) == "":
		b.add(v.at, s.pointer, "write an expression or leave the member out", "%s is blank", name)
		ok = false
	case len(s.text) > maxExpression:
		b.add(v.at, s.pointer, "shorten it", "%s is longer than %d bytes", name, maxExpression)
		ok = false
	case s.language == languagePath && looksLikeDate([]byte(s.text)):
		b.add(v.at, s.pointer, "write a path such as $.Body.time", "%s is a date, not an expression", name)
		ok = false
	}
	return s, ok && s.language >= 0
}

// check reports the fault of an expression at its own column.
func (b *templateBuilder) check(s source, name string, fault *pathError) bool {
	if fault == nil {
		return true
	}
	at := s.at
	if s.plain {
		at += 1 + fault.at
	}
	if fault.unsupported {
		b.l.report(at, &LoadError{
			Pointer: s.pointer, Unsupported: true,
			Message: fmt.Sprintf("template %q: %s: not supported yet: %s", b.title(), name, fault.message),
		})
		return false
	}
	b.add(at, s.pointer, "correct the expression", "%s: %s", name, fault.message)
	return false
}

// errJmesPath is the fault of every JMESPath expression for now.
var errJmesPath = unsupported(0, "JMESPath")

// field reads an expression that yields one value.
func (b *templateBuilder) field(v *fileValue, pointer, name string, required bool) field {
	f := field{name: name}
	m := v.member(name)
	if required && m.null() {
		m = b.wanted(v, pointer, name)
	}
	if m.null() {
		return f
	}
	s, ok := b.sourceOf(m, pointer+"/"+name, name, required)
	if !ok {
		return f
	}
	f.source = s.text
	fault := errJmesPath
	var e expression
	if s.language == languagePath {
		e, fault = b.l.compiler.expression(s.text, b.d.whole)
	}
	if b.check(s, name, fault) {
		f.expressions = []expression{e}
	}
	return f
}

// fixed compiles the expressions that a type of template brings along.
func (b *templateBuilder) fixed(name string, paths ...string) field {
	f := field{name: name, source: strings.Join(paths, ",")}
	for _, p := range paths {
		e, fault := b.l.compiler.expression(p, b.d.whole)
		if b.check(source{text: p, at: b.at.at, pointer: b.pointer}, name, fault) {
			f.expressions = append(f.expressions, e)
		}
	}
	return f
}

// match reads the typeMatchExpression.
func (b *templateBuilder) match() {
	const name = "typeMatchExpression"
	b.t.match = field{name: name}
	m := b.wanted(b.at, b.pointer, name)
	if m == nil {
		return
	}
	s, ok := b.sourceOf(m, b.pointer+"/"+name, name, true)
	if !ok {
		return
	}
	b.t.match.source = s.text
	fault := errJmesPath
	if s.language == languagePath {
		b.t.scan, b.t.matcher, fault = b.l.compiler.match(s.text)
	}
	b.check(s, name, fault)
}

// values reads the values of the template; absent and null are none.
func (b *templateBuilder) values() {
	list := b.at.member("values")
	if list.null() {
		return
	}
	if list.kind != kindArray {
		b.add(list.at, b.pointer+"/values", "write a list", "values is not an array")
		return
	}
	for i, item := range list.items {
		pointer := b.pointer + "/values/" + strconv.Itoa(i)
		if item.kind != kindObject {
			b.add(item.at, pointer, `write {"valueName": ..., "valueExpression": ...}`, "a value is not an object")
			continue
		}
		b.t.values = append(b.t.values, b.value(item, pointer))
	}
}

// value reads one value.
func (b *templateBuilder) value(item *fileValue, pointer string) value {
	const expr = "valueExpression"
	b.unknown(item, pointer, []string{"valueName", expr, "required"})
	v := value{name: b.name(item, pointer, "valueName")}
	if r := item.member("required"); r != nil {
		is, ok := r.asBool()
		if !ok {
			b.add(r.at, pointer+"/required", "write true or false", "required is not a truth value")
		}
		v.required = is
	}
	if b.wanted(item, pointer, expr) != nil {
		v.field = b.field(item, pointer, expr, v.required)
	}
	v.field.name = "value " + v.name
	return v
}
