package fhir

import "auscult/internal/mapfile"

// Schema returns the JSON Schema of FHIR mapping files. It is made from the
// definitions by which LoadMapping reads them.
func Schema() []byte { return mapfile.Schema(collectionFhir) }

// Names of members that are read in more than one place.
const (
	templateTypeField  = "templateType"
	templateField      = "template"
	typeNameField      = "typeName"
	codesField         = "codes"
	textField          = "text"
	systemField        = "system"
	codeField          = "code"
	unitField          = "unit"
	valueField         = "value"
	componentsField    = "components"
	valueTypeField     = "valueType"
	valueNameField     = "valueName"
	defaultPeriodField = "defaultPeriod"
	choicesField       = "choices"
	valuesField        = "values"
	trueTextsField     = "trueTexts"
	falseTextsField    = "falseTexts"
	numeratorField     = "numerator"
	denominatorField   = "denominator"
	lowNameField       = "lowName"
	highNameField      = "highName"
	categoryField      = "category"
	limitsField        = "limits"
	metaProfileField   = "metaProfile"
	methodField        = "method"
	bodySiteField      = "bodySite"
	performerField     = "performer"
)

// collectionFhir is the root of a FHIR mapping file.
var collectionFhir = &mapfile.Definition{
	Name: "FHIR mapping", Open: true,
	Doc: "Says how measurements become FHIR Observations.",
	Fields: []mapfile.Field{
		templateType("CollectionFhir", "A list of templates."),
		{
			Name: templateField, Required: true, Type: mapfile.ListType{Of: codeValueContainer},
			Doc: "The templates, one for each type of measurement.",
		},
	},
}

// codeValueContainer is one element of the collection.
var codeValueContainer = &mapfile.Definition{
	Name: "template", Open: true,
	Doc: "One template and what kind of template it is.",
	Fields: []mapfile.Field{
		templateType("CodeValueFhir", "An Observation with codes, a value and components."),
		{Name: templateField, Required: true, Type: codeValueFhir, Doc: "The template."},
	},
}

// templateType is the field that says what an object holds. Only one word is
// possible in each place.
func templateType(word, doc string) mapfile.Field {
	return mapfile.Field{
		Name: templateTypeField, Required: true, Examples: []string{`"` + word + `"`}, Doc: word + ": " + doc,
		Type: &mapfile.Enum{
			Noun: "template type for a FHIR mapping", Suffix: "Template",
			Words: []mapfile.Word{{Name: word, Doc: doc}},
		},
	}
}

// codeValueFhir is the inside of a template.
var codeValueFhir = &mapfile.Definition{
	Name: "codeValueFhir",
	Doc:  "How the measurements of one type become Observations.",
	Fields: []mapfile.Field{
		{
			Name: typeNameField, Required: true, Type: mapfile.TextType{Noun: "the name of a type"}, Examples: []string{`"heartRate"`},
			Doc: "The type of measurement, as the device mapping names it; case does not tell types apart.",
		},
		{
			Name: codesField, Required: true, Type: mapfile.ListType{Of: codingDefinition}, Examples: []string{codesExample},
			Doc: "What was observed: the codes of the Observation. The type name is added behind them.",
		},
		{
			Name: "periodInterval", NotNull: true, Default: "0", Type: periodEnum,
			Doc: "Which measurements share one Observation.",
		},
		{
			Name: categoryField, Type: mapfile.ListType{Of: categoryDefinition}, Examples: []string{categoryExample},
			Doc: "The categories of the Observation, for example vital-signs.",
		},
		{
			Name: valueField, NotNull: true, Type: valueDefinition,
			Doc: "The value of the Observation.",
		},
		{
			Name: componentsField, Type: mapfile.ListType{Of: componentDefinition},
			Doc: "Further values of the Observation, each with codes of its own: systolic and diastolic, for example.",
		},
		limitsOf("the value of the Observation"),
		{
			Name: metaProfileField, Type: mapfile.ListType{Of: mapfile.TextType{Noun: "the address of a profile"}}, Examples: []string{profileExample},
			Doc: "The profiles that the Observation claims to follow. A template that names a vital-sign profile of R4 is checked against its rules.",
		},
		{
			Name: methodField, Type: conceptDefinition, Examples: []string{`{"text": "Photoplethysmography"}`},
			Doc: "How it was measured.",
		},
		{
			Name: bodySiteField, Type: conceptDefinition, Examples: []string{`{"codes": [{"code": "368209003", "system": "http://snomed.info/sct", "display": "Right upper arm"}]}`},
			Doc: "Where on the body it was measured.",
		},
		{
			Name: performerField, Type: mapfile.ListType{Of: mapfile.TextType{Noun: "a reference"}}, Examples: []string{`["Organization/ward-3"]`},
			Doc: "Who is responsible for the Observation: references, written as they are given.",
		},
	},
}

const (
	profileExample  = `["http://hl7.org/fhir/StructureDefinition/heartrate"]`
	codesExample    = `[{"code": "8867-4", "system": "http://loinc.org", "display": "Heart rate"}]`
	categoryExample = `[{"codes": [{"code": "vital-signs", "system": "http://terminology.hl7.org/CodeSystem/observation-category", "display": "Vital Signs"}]}]`
)

// periodEnum has its words in the order of periods.
var periodEnum = &mapfile.Enum{Noun: "period interval", Words: []mapfile.Word{
	{Name: "Single", Number: "0", Doc: "Each instant has an Observation of its own."},
	{Name: "Hourly", Number: "60", Doc: "All measurements of an hour (UTC) share one Observation."},
	{Name: "Daily", Number: "1440", Doc: "All measurements of a day (UTC) share one Observation."},
	{Name: "CorrelationId", Number: "-1", Doc: "All measurements with one correlation id share one Observation."},
}}

var periods = [...]Period{Single, Hourly, Daily, Correlation}

// codingDefinition is a code of a code system.
var codingDefinition = &mapfile.Definition{
	Name: "coding",
	Doc:  "A code of a code system.",
	Fields: []mapfile.Field{
		{Name: codeField, Type: mapfile.TextType{}, Examples: []string{`"8867-4"`}, Doc: "The code."},
		{Name: systemField, Type: mapfile.TextType{}, Examples: []string{`"http://loinc.org"`}, Doc: "The code system, as a URI."},
		{Name: "display", Type: mapfile.TextType{}, Examples: []string{`"Heart rate"`}, Doc: "What the code means, as the code system words it."},
	},
}

// categoryDefinition is a category of an Observation.
var categoryDefinition = &mapfile.Definition{
	Name: "category",
	Doc:  "A category: codes, a text, or both.",
	Fields: []mapfile.Field{
		{Name: textField, Type: mapfile.TextType{}, Doc: "The category in words."},
		{Name: codesField, Type: mapfile.ListType{Of: codingDefinition}, Doc: "The codes of the category."},
	},
}

// conceptDefinition is a concept that the mapping alone decides.
var conceptDefinition = &mapfile.Definition{
	Name: "concept",
	Doc:  "A concept: codes, a text, or both.",
	Fields: []mapfile.Field{
		{Name: textField, Type: mapfile.TextType{}, Doc: "The concept in words."},
		{Name: codesField, Type: mapfile.ListType{Of: codingDefinition}, Doc: "The codes of the concept."},
	},
}

// limitsOf is the field that judges a value.
func limitsOf(what string) mapfile.Field {
	return mapfile.Field{
		Name: limitsField, Type: limitsDefinition, Examples: []string{`{"low": 60, "high": 100, "criticalLow": 40, "criticalHigh": 140}`},
		Doc: "What is normal for " + what + ": makes interpretation and referenceRange.",
	}
}

// limitsDefinition has its numbers in the order of bounds.
var limitsDefinition = &mapfile.Definition{
	Name: "limits",
	Doc:  "Limits of a Quantity or Integer, in the unit of the value. A value at a limit is within it.",
	Fields: []mapfile.Field{
		limit("criticalLow", "A value below is critically low (LL)."),
		limit("low", "A value below is low (L). It is the low of the reference range."),
		limit("high", "A value above is high (H). It is the high of the reference range."),
		limit("criticalHigh", "A value above is critically high (HH)."),
		{Name: textField, Type: mapfile.TextType{}, Examples: []string{`"adults at rest"`}, Doc: "The text of the reference range."},
	},
}

func limit(name, doc string) mapfile.Field {
	return mapfile.Field{Name: name, Type: mapfile.NumberType{Noun: "a decimal number"}, Examples: []string{"60"}, Doc: doc}
}

// componentDefinition is a component of an Observation.
var componentDefinition = &mapfile.Definition{
	Name: "component",
	Doc:  "One component of the Observation: a value and its codes. It is left out when there is no such value.",
	Fields: []mapfile.Field{
		{
			Name: codesField, Required: true, Type: mapfile.ListType{Of: codingDefinition}, Examples: []string{`[{"code": "8480-6", "system": "http://loinc.org"}]`},
			Doc: "The codes of the component. The value's name is added behind them.",
		},
		{Name: valueField, Required: true, Type: valueDefinition, Doc: "The value of the component."},
		limitsOf("the value of the component"),
	},
}
