package mapping

import "auscult/internal/mapfile"

// DeviceSchema returns the JSON Schema of device mapping files. It is made from
// the definitions by which LoadDevice reads them.
func DeviceSchema() []byte { return mapfile.Schema(collection) }

// Names of members that are read in more than one place.
const (
	typeNameField    = "typeName"
	matchField       = "typeMatchExpression"
	deviceField      = "deviceIdExpression"
	timeField        = "timestampExpression"
	patientField     = "patientIdExpression"
	encounterField   = "encounterIdExpression"
	correlationField = "correlationIdExpression"
	languageField    = "defaultExpressionLanguage"
	valuesField      = "values"
)

// collection is the root of a device mapping file.
var collection = &mapfile.Definition{
	Name: "device mapping", Open: true,
	Doc: "Says which measurements are made of the messages of devices.",
	Fields: []mapfile.Field{
		{
			Name: "templateType", Required: true, Examples: []string{`"CollectionContent"`},
			Doc: "CollectionContent: a list of templates.",
			Type: &mapfile.Enum{Noun: "template type for a device mapping", Suffix: "Template", Words: []mapfile.Word{
				{Name: "CollectionContent", Doc: "A list of templates."},
			}},
		},
		{
			Name: "template", Required: true,
			Doc:  "The templates. Each is tried on every message, in this order.",
			Type: mapfile.ListType{Of: container},
		},
	},
}

// container is one element of the collection. The words of its type are in the
// order of dialects.
var container = &mapfile.Definition{
	Name: "template", Open: true, By: "templateType",
	Doc: "One template: which messages it matches, and what it makes of them.",
	Fields: []mapfile.Field{{
		Name: "templateType", Required: true, Examples: []string{`"CalculatedContent"`},
		Doc: "What the template's expressions see, and in which languages they are written.",
		Type: &mapfile.Enum{Noun: "template type", Suffix: "Template", Words: []mapfile.Word{
			{
				Name: "CalculatedContent", Tolerated: "CalculatedContentTemplate",
				Doc: "JSONPath or JMESPath. Expressions see the whole message, and the match as matchedToken.",
			},
			{Name: "JsonPathContent", Doc: "JSONPath. Expressions see what was matched, and nothing else."},
			{Name: "IotJsonPathContent", Doc: "JSONPath. As JsonPathContent; device and time are those of Azure IoT Hub."},
			{
				Name: "IotCentralJsonPathContent", Tolerated: "IotCentralJsonPathContentTemplate",
				Doc: "JSONPath. As JsonPathContent; device and time are those of Azure IoT Central.",
			},
		}},
	}},
	Variants: [][]mapfile.Field{
		{{Name: "template", Required: true, Doc: "The template.", Type: calculatedTemplate}},
		{{Name: "template", Required: true, Doc: "The template.", Type: pathTemplate}},
		{{Name: "template", Required: true, Doc: "The template.", Type: iotTemplate}},
		{{Name: "template", Required: true, Doc: "The template.", Type: iotTemplate}},
	},
}

// Types of expressions.
var (
	path     = mapfile.TextType{Noun: "a JSONPath expression as a text"}
	computed = mapfile.Either{Plain: mapfile.TextType{Strict: true, Noun: "an expression as a text"}, Object: expressionObject}
	ignored  = mapfile.AnyType{}
)

// expressionObject is an expression that names its language.
var expressionObject = &mapfile.Definition{
	Name: "expression", Open: true,
	Doc: "An expression and its language.",
	Fields: []mapfile.Field{
		{
			Name: "value", Required: true, Examples: []string{`"matchedToken.heartRate"`},
			Doc: "The expression.", Type: mapfile.TextType{Strict: true, Noun: "an expression as a text"},
		},
		{Name: "language", EmptyIsNull: true, Type: languages, Doc: "Its language; else the template's defaultExpressionLanguage."},
	},
}

// languages are in the order of the constants.
var languages = &mapfile.Enum{Noun: "expression language", Words: []mapfile.Word{
	{Name: "JsonPath", Number: "0", Doc: "JSONPath as Json.NET reads it, for example $.matchedToken.heartRate."},
	{Name: "JmesPath", Number: "1", Doc: "JMESPath, for example to_number(matchedToken.heartRate). It can compute."},
}}

var (
	calculatedValue = valueDefinition("calculatedValue", computed)
	pathValue       = valueDefinition("pathValue", path)

	calculatedTemplate = templateDefinition("calculatedTemplate", calculatedValue, computed, computed, true, mapfile.Field{
		Name: languageField, NotNull: true, Default: `"JsonPath"`, Type: languages,
		Doc: "The language of expressions that are written as a text.",
	})
	pathTemplate = templateDefinition("pathTemplate", pathValue, path, path, true)
	iotTemplate  = templateDefinition("iotTemplate", pathValue, path, ignored, false)
)

// templateDefinition defines the inside of a template. Ids and time of an IoT template
// are fixed: what is written for them is ignored.
func templateDefinition(name string, value *mapfile.Definition, expression, source mapfile.Type, given bool, more ...mapfile.Field) *mapfile.Definition {
	d := &mapfile.Definition{Name: name, Doc: "Which messages match, and what is made of each match."}
	d.Fields = append(d.Fields,
		mapfile.Field{
			Name: typeNameField, Required: true, Type: mapfile.TextType{Noun: "a name"}, Examples: []string{`"heartRate"`},
			Doc: "The type of the measurements. The FHIR mapping has a template for each type.",
		},
		mapfile.Field{
			Name: matchField, Required: true, Type: expression, Examples: []string{`"$..[?(@heartRate)]"`},
			Doc: "What to match in a message. Each match becomes one measurement.",
		},
		mapfile.Field{
			Name: deviceField, Required: given, Type: source, Examples: examples(given, "deviceId"),
			Doc: "Where the device's id is." + fixedNote(given),
		},
		mapfile.Field{
			Name: timeField, Required: given, Type: source, Examples: examples(given, "endDate"),
			Doc: "Where the time of the measurement is." + fixedNote(given),
		},
		mapfile.Field{Name: patientField, Type: expression, Doc: "Where the patient's id is, if messages have one."},
		mapfile.Field{Name: encounterField, Type: expression, Doc: "Where the encounter's id is, if messages have one."},
		mapfile.Field{Name: correlationField, Type: expression, Doc: "Where the id is that joins several messages to one observation. If it is written, every message must have one."},
	)
	d.Fields = append(d.Fields, more...)
	d.Fields = append(d.Fields, mapfile.Field{
		Name: valuesField, Type: mapfile.ListType{Of: value}, EmptyIsNull: value == pathValue, // CalculatedContent fails on it
		Doc: "The values of a measurement.",
	})
	return d
}

func examples(given bool, name string) []string {
	if !given {
		return nil
	}
	return []string{`"$.` + name + `"`}
}

func fixedNote(given bool) string {
	if given {
		return ""
	}
	return " Ignored: it is fixed for this type of template."
}

// valueDefinition defines an element of values.
func valueDefinition(name string, expression mapfile.Type) *mapfile.Definition {
	return &mapfile.Definition{
		Name: name, Doc: "One value of a measurement.",
		Fields: []mapfile.Field{
			{
				Name: "valueName", Required: true, Type: mapfile.TextType{Noun: "a name"}, Examples: []string{`"hr"`},
				Doc: "The value's name. The FHIR mapping says where values of this name go.",
			},
			{
				Name: "valueExpression", Required: true, Type: expression, Examples: []string{`"$.heartRate"`},
				Doc: "Where the value is. An object or a list is no value.",
			},
			{
				Name: "required", Type: mapfile.BoolType{}, NotNull: true, Default: "false",
				Doc: "Whether there is no measurement without this value.",
			},
		},
	}
}
