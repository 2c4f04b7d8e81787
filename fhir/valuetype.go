package fhir

import "auscult/internal/mapfile"

// valueKind is a value type of the mapping.
type valueKind uint8

const (
	quantityValue valueKind = iota
	stringValue
	conceptValue
	sampledValue
	booleanValue
	integerValue
	dateTimeValue
	ratioValue
	rangeValue
)

// valueType is a type that a value can have.
type valueType struct {
	word    mapfile.Word
	element string          // the name of Observation.value[x]
	fields  []mapfile.Field // what only this type has
	// read fills in what fields say. It is nil when there are none.
	read func(l *templateLoader, f *mapfile.Fields, v *valueTemplate)
	// write makes the FHIR value of one text, or says what is wrong with the
	// text. It is nil for types that are not made of one text.
	write func(v *valueTemplate, s string) (n *node, fault string)
}

// valueTypes are all of them, by kind: definition, loader and writer know no
// others.
var valueTypes = [...]valueType{
	quantityValue: {
		word:    mapfile.Word{Name: "Quantity", Doc: "One decimal number with a unit."},
		element: "valueQuantity",
		fields:  unitFields,
		read:    (*templateLoader).quantity,
		write:   (*valueTemplate).quantity,
	},
	stringValue: {
		word:    mapfile.Word{Name: "String", Doc: "One text."},
		element: "valueString",
		write:   func(_ *valueTemplate, s string) (*node, string) { return text(s), "" },
	},
	conceptValue: {
		word: mapfile.Word{
			Name: "CodeableConcept",
			Doc:  "A concept: a fixed one, which says that there is such a value, whatever the value is; or, with choices, the one that the value stands for.",
		},
		element: "valueCodeableConcept",
		fields: []mapfile.Field{
			{Name: textField, Type: mapfile.TextType{}, Examples: []string{`"Alarm"`}, Doc: "The concept in words."},
			{
				Name: codesField, Required: true, Type: mapfile.ListType{Of: codingDefinition}, Examples: []string{`[{"code": "alarm", "system": "urn:events"}]`},
				Doc: "The codes of the concept; the list may be empty if there is a text, or if there are choices.",
			},
			{
				Name: choicesField, Type: mapfile.ListType{Of: choiceDefinition}, Examples: []string{`[{"values": ["AF"], "text": "Atrial fibrillation", "codes": []}]`},
				Doc: "Which value stands for which concept. The text and codes beside are for all other values; without them another value is refused.",
			},
		},
		read:  (*templateLoader).conceptOrChoices,
		write: (*valueTemplate).chosen,
	},
	sampledValue: {
		word:    mapfile.Word{Name: "SampledData", Doc: "A series of values at equal distances in time."},
		element: "valueSampledData",
		fields: []mapfile.Field{
			{
				Name: defaultPeriodField, Required: true, Examples: []string{"1000"},
				Type: mapfile.NumberType{Noun: "the milliseconds between two samples", Texts: periodTexts},
				Doc:  "The milliseconds between two samples. Of several values in that time the last counts.",
			},
			unitFields[0],
		},
		read: (*templateLoader).series,
	},
	booleanValue: {
		word:    mapfile.Word{Name: "Boolean", Doc: "True or false: the texts true, false, 1 and 0, and those that the mapping adds; case does not tell them apart."},
		element: "valueBoolean",
		fields: []mapfile.Field{
			{Name: trueTextsField, Type: textList, Examples: []string{`["on", "yes"]`}, Doc: "Further texts that mean true."},
			{Name: falseTextsField, Type: textList, Examples: []string{`["off", "no"]`}, Doc: "Further texts that mean false."},
		},
		read:  (*templateLoader).truths,
		write: (*valueTemplate).boolean,
	},
	integerValue: {
		word:    mapfile.Word{Name: "Integer", Doc: "One whole number of 32 bits, without a unit."},
		element: "valueInteger",
		write:   func(_ *valueTemplate, s string) (*node, string) { return integer(s) },
	},
	dateTimeValue: {
		word:    mapfile.Word{Name: "DateTime", Doc: "A year, a month, a day, or a time with its zone; a time without a zone is UTC."},
		element: "valueDateTime",
		write:   func(_ *valueTemplate, s string) (*node, string) { return dateTimeNode(s) },
	},
	ratioValue: {
		word:    mapfile.Word{Name: "Ratio", Doc: "Two values, one over the other. Both must be there."},
		element: "valueRatio",
		fields: []mapfile.Field{
			{Name: numeratorField, Required: true, Type: partDefinition, Examples: []string{partExample}, Doc: "The value above."},
			{Name: denominatorField, Required: true, Type: partDefinition, Examples: []string{partExample}, Doc: "The value below."},
		},
		read: (*templateLoader).ratio,
	},
	rangeValue: {
		word:    mapfile.Word{Name: "Range", Doc: "Two values, the ends of a range. Both must be there."},
		element: "valueRange",
		fields: append([]mapfile.Field{
			{Name: lowNameField, Required: true, Type: mapfile.TextType{Noun: "the name of a value"}, Examples: []string{`"min"`}, Doc: "Which value is the lower end."},
			{Name: highNameField, Required: true, Type: mapfile.TextType{Noun: "the name of a value"}, Examples: []string{`"max"`}, Doc: "Which value is the upper end."},
		}, unitFields...),
		read: (*templateLoader).ends,
	},
}

// periodTexts rules out most of the texts that are no defaultPeriod: they have
// a digit, and no letter but that of an exponent.
const periodTexts = `^[^A-DF-Za-df-z]*[0-9][^A-DF-Za-df-z]*$`

const partExample = `{"valueName": "inspiration", "unit": "s", "system": "http://unitsofmeasure.org", "code": "s"}`

var textList = mapfile.ListType{Of: mapfile.TextType{}}

// unitFields say the unit of a number; the first is the unit in words.
var unitFields = []mapfile.Field{
	{Name: unitField, Type: mapfile.TextType{}, Examples: []string{`"beats/minute"`}, Doc: "The unit as people read it."},
	{
		Name: systemField, Type: mapfile.TextType{}, Examples: []string{`"http://unitsofmeasure.org"`},
		Doc: "The code system of the unit, as an absolute URI.",
	},
	{Name: codeField, Type: mapfile.TextType{}, Examples: []string{`"/min"`}, Doc: "The unit as a code of that system."},
}

// choiceDefinition is a line of the table from values to concepts.
var choiceDefinition = &mapfile.Definition{
	Name: "choice",
	Doc:  "A concept and the values that stand for it.",
	Fields: []mapfile.Field{
		{
			Name: valuesField, Required: true, Type: textList, Examples: []string{`["AF", "afib"]`},
			Doc: "The values that stand for the concept; case counts.",
		},
		{Name: textField, Type: mapfile.TextType{}, Doc: "The concept in words."},
		{Name: codesField, Type: mapfile.ListType{Of: codingDefinition}, Doc: "The codes of the concept."},
	},
}

// partDefinition is one of the two values of a Ratio.
var partDefinition = &mapfile.Definition{
	Name: "part",
	Doc:  "One of the two values of a Ratio: a number with a unit.",
	Fields: append([]mapfile.Field{{
		Name: valueNameField, Required: true, Type: mapfile.TextType{Noun: "the name of a value"}, Examples: []string{`"inspiration"`},
		Doc: "Which value of the measurement it is, as the device mapping names it; case counts.",
	}}, unitFields...),
}

// valueDefinition is the value of an Observation or a component. It is open, as
// in the connector.
var valueDefinition = defineValue()

func defineValue() *mapfile.Definition {
	types := &mapfile.Enum{Noun: "value type"}
	d := &mapfile.Definition{
		Name: "value", Open: true, By: valueTypeField,
		Doc: "Which value of a measurement is written, and as what.",
		Fields: []mapfile.Field{
			{
				Name: valueTypeField, Required: true, Spellings: []string{"ValueType", valueTypeField}, Type: types, Examples: []string{`"Quantity"`},
				Doc: "The FHIR data type of the value.",
			},
			{
				Name: valueNameField, Type: mapfile.TextType{Noun: "the name of a value"}, Examples: []string{`"hr"`},
				Doc: "Which value of the measurement it is, as the device mapping names it; case counts. Without a name it is never written. " +
					"A Ratio or Range names its values elsewhere; this one then names the component.",
			},
		},
	}
	for i := range valueTypes {
		types.Words = append(types.Words, valueTypes[i].word)
		d.Variants = append(d.Variants, valueTypes[i].fields)
	}
	return d
}
