package fhir

import (
	"fmt"
	"strconv"
	"strings"

	"auscult/internal/mapfile"
	"auscult/schemas"
)

// quantity keeps what FHIR accepts: a code needs a system (qty-3), and a system
// is an absolute URI.
func (l *templateLoader) quantity(f *mapfile.Fields, v *valueTemplate) {
	v.unit, v.system, v.code = textOf(f, unitField), textOf(f, systemField), textOf(f, codeField)
	if v.system != nil {
		if !absolute(v.system.text) {
			system, pointer := f.Get(systemField)
			l.Add(system.At, pointer, fmt.Sprintf("system %.60q is no absolute URI", v.system.text), "write for example http://unitsofmeasure.org")
		}
		return
	}
	if v.code != nil {
		l.lintCode(f)
	}
	if v.unit == nil {
		v.unit = v.code
	}
	v.code = nil
}

// conceptOrChoices reads the concept that stands for whatever the value is, or
// for each value that no choice has.
func (l *templateLoader) conceptOrChoices(f *mapfile.Fields, v *valueTemplate) {
	before := l.Len()
	v.fixed = l.concept(f)
	if items, pointer := f.Items(choicesField); len(items) > 0 {
		v.choices = map[string]*node{}
		for i, item := range items {
			l.choice(l.Object(choiceDefinition, item, mapfile.JoinIndex(pointer, i)), v)
		}
		return
	}
	if codes, _ := f.Get(codesField); codes != nil && v.fixed == nil && l.Len() == before {
		l.Add(f.Value.At, f.Pointer, "the concept has neither text nor codes", "give it a text or a code")
	}
}

// choice reads one concept and the values that stand for it.
func (l *templateLoader) choice(f *mapfile.Fields, v *valueTemplate) {
	if f == nil {
		return
	}
	before := l.Len()
	n := l.concept(f)
	if n == nil && l.Len() == before {
		l.Add(f.Value.At, f.Pointer, "the choice has neither text nor codes", "give it a text or a code")
	}
	values := l.texts(f, valuesField, "write a value as the device mapping gives it")
	if list, pointer := f.Get(valuesField); list != nil && len(list.Items) == 0 {
		l.Add(list.At, pointer, "no value stands for the choice", "write the values that stand for it")
	}
	for _, it := range values {
		if _, taken := v.choices[it.text]; taken {
			l.Add(it.at, it.pointer, fmt.Sprintf("%.60q stands for two concepts", it.text), "keep it in one of the choices")
		}
		v.choices[it.text] = n
	}
}

// truths reads the texts that mean true or false.
func (l *templateLoader) truths(f *mapfile.Fields, v *valueTemplate) {
	v.truths = map[string]bool{}
	for _, field := range []string{trueTextsField, falseTextsField} {
		for _, it := range l.texts(f, field, "write a value as the device mapping gives it") {
			folded := strings.ToLower(it.text)
			if is, taken := v.truths[folded]; taken && is {
				l.Add(it.at, it.pointer, fmt.Sprintf("%.60q means true already", it.text), "keep it in one of the lists; case does not tell texts apart")
			}
			v.truths[folded] = field == trueTextsField
		}
	}
}

// ratio reads numerator and denominator.
func (l *templateLoader) ratio(f *mapfile.Fields, v *valueTemplate) {
	for _, field := range []string{numeratorField, denominatorField} {
		p := &valueTemplate{kind: quantityValue}
		if in := f.Object(l.Report, partDefinition, field); in != nil {
			p.name, p.place = l.partName(in, valueNameField)
			l.quantity(in, p)
		}
		v.addPart(p)
	}
}

// ends reads the two ends of a Range, which have one unit.
func (l *templateLoader) ends(f *mapfile.Fields, v *valueTemplate) {
	unit := &valueTemplate{}
	l.quantity(f, unit)
	for _, field := range []string{lowNameField, highNameField} {
		p := &valueTemplate{kind: quantityValue, unit: unit.unit, system: unit.system, code: unit.code}
		p.name, p.place = l.partName(f, field)
		v.addPart(p)
	}
}

// addPart adds one of two values. Without a name of its own a component is
// called as the first of them.
func (v *valueTemplate) addPart(p *valueTemplate) {
	v.parts = append(v.parts, p)
	if trim(v.name) == "" {
		v.name, v.place = p.name, p.place
	}
}

// partName reads the name of a value that must be there.
func (l *templateLoader) partName(f *mapfile.Fields, field string) (string, mapfile.Place) {
	name, place := nameOf(f, field)
	if n, pointer := f.Get(field); n != nil && trim(name) == "" {
		l.Add(n.At, pointer, field+" is blank", "write the name of a value that the device mapping gives")
	}
	return name, place
}

// Bounds of a SampledData period: below, a series would never end; above, one
// step would leave the years that a time can have.
const (
	minStep = schemas.Ticks(1)
	maxStep = 1000 * 365 * schemas.TicksPerDay
)

// series reads defaultPeriod, milliseconds as a number or a text, and the unit.
func (l *templateLoader) series(f *mapfile.Fields, v *valueTemplate) {
	v.unit = textOf(f, unitField)
	n, pointer := f.Get(defaultPeriodField)
	if n == nil {
		return
	}
	literal, ok := periodLiteral(n)
	if ok {
		v.period = literal
		v.step, ok = stepOf(literal)
	}
	if !ok {
		l.Add(n.At, pointer, fmt.Sprintf("defaultPeriod %.60q is no usable period", n.Text), "write the milliseconds between two samples, for example 1000")
	}
}

// periodLiteral returns the period as it is written: a whole number as it is,
// a float in its shortest form with a decimal, a text with its own digits.
func periodLiteral(n *mapfile.Value) (string, bool) {
	switch n.Kind {
	case mapfile.Text:
		s := trim(n.Text)
		if strings.ContainsAny(s, "eE") {
			f, err := strconv.ParseFloat(s, 64)
			return strconv.FormatFloat(f, 'f', -1, 64), err == nil && strings.Trim(s, "+-.0123456789eE") == ""
		}
		return decimal(s)
	case mapfile.Float:
		f, err := strconv.ParseFloat(n.Text, 64)
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s, err == nil && len(s) <= maxNumberBytes
	}
	return decimal(n.Text)
}

// stepOf converts milliseconds to ticks, cutting off what is finer.
func stepOf(literal string) (schemas.Ticks, bool) {
	whole, fraction, _ := strings.Cut(literal, ".")
	ms, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || whole[0] == '-' || ms > int64(maxStep/schemas.TicksPerMillisecond) {
		return 0, false
	}
	part, err := strconv.ParseInt((fraction + "0000")[:4], 10, 64)
	step := schemas.Ticks(ms)*schemas.TicksPerMillisecond + schemas.Ticks(part)
	return step, err == nil && step >= minStep && step <= maxStep
}
