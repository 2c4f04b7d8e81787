package mapfile_test

import (
	"fmt"
	"strings"
	"testing"

	"auscult/internal/mapfile"
	"auscult/internal/mapfile/mapfiletest"
)

var circle = &mapfile.Definition{Name: "circle", Doc: "A circle.", Fields: []mapfile.Field{
	{Name: "radius", Doc: "Half its width.", Type: mapfile.NumberType{}, Required: true, Examples: []string{"2.5"}},
}}

var expression = &mapfile.Definition{Name: "expression", Doc: "An expression.", Open: true, Fields: []mapfile.Field{
	{Name: "value", Doc: "Its text.", Type: mapfile.TextType{Strict: true, Noun: `a text such as "$.a"`}, Required: true},
}}

// drawing has one field of every type.
var drawing = &mapfile.Definition{
	Name: "drawing", Doc: "A drawing.",
	Fields: []mapfile.Field{
		{Name: "title", Doc: "What it is called.", Type: mapfile.TextType{}, Required: true, Examples: []string{`"Sunrise"`}},
		{Name: "framed", Doc: "Whether it has a frame.", Type: mapfile.BoolType{}, NotNull: true, Default: "false"},
		{Name: "layers", Doc: "How many layers.", Type: mapfile.NumberType{Integer: true, Noun: "a whole number"}},
		{Name: "mood", Doc: "Its mood.", Type: &mapfile.Enum{Noun: "mood", Words: []mapfile.Word{
			{Name: "Calm", Number: "0", Doc: "Quiet."}, {Name: "Wild", Number: "-1", Doc: "Loud."},
		}}},
		{Name: "source", Doc: "Where it comes from.", Type: mapfile.Either{Plain: mapfile.TextType{Strict: true}, Object: expression}},
		{Name: "notes", Doc: "Not read.", Type: mapfile.AnyType{}},
		{Name: "shapes", Doc: "What is on it.", Type: mapfile.ListType{Of: shape}, EmptyIsNull: true},
	},
}

var shape = &mapfile.Definition{
	Name: "shape", Doc: "A shape.", Open: true, By: "kind",
	Fields: []mapfile.Field{
		{Name: "kind", Doc: "What shape it is.", Required: true, Spellings: []string{"kind", "Kind"}, Type: &mapfile.Enum{Noun: "shape", Suffix: "Shape", Words: []mapfile.Word{
			{Name: "Circle", Doc: "Round."}, {Name: "Point", Tolerated: "Dot", Doc: "Small."},
		}}},
	},
	Variants: [][]mapfile.Field{{{Name: "form", Doc: "Its form.", Type: circle, Required: true}}, {}},
}

// draw reads a drawing as a loader does and says what it holds.
func draw(text string) (string, error) {
	r := mapfile.NewReport(text)
	root, ok := mapfile.Parse(r)
	if !ok {
		return "", r.Err()
	}
	d := r.Object(drawing, root, "")
	var b strings.Builder
	title, _ := d.Text("title")
	mood, hasMood := d.Word("mood")
	fmt.Fprint(&b, title, " ", d.Bool("framed"), " ", mood, hasMood)
	if v, pointer := d.Get("source"); v != nil && v.Kind == mapfile.Object {
		s, _ := r.Object(expression, v, pointer).Text("value")
		fmt.Fprint(&b, " ", s)
	}
	items, pointer := d.Items("shapes")
	for i, item := range items {
		s := r.Object(shape, item, mapfile.JoinIndex(pointer, i))
		if kind, ok := s.Word("kind"); ok && kind == 0 {
			radius, _ := s.Object(r, circle, "form").Text("radius")
			fmt.Fprint(&b, " circle ", radius)
		}
	}
	return b.String(), r.Err()
}

// TestObjectReads: what the loader takes is also valid for the schema.
func TestObjectReads(t *testing.T) {
	schema := mapfile.Schema(drawing)
	for text, want := range map[string]string{
		`{"title": "a"}`:               "a false 0 false",
		`{'TITLE': 5, Framed: "True"}`: "5 true 0 false",
		`{"title": true, "framed": 1, "mood": "wILD", "layers": "12"}`:                                               "True true 1 true",
		`{"title": "a", "mood": " -1 ", "layers": 3, "source": {"value": "$.a", "x": 1}}`:                            "a false 1 true $.a",
		`{"title": "a", "mood": null, "shapes": [{"kind": "CIRCLESHAPE", "form": {"radius": .5}}, {"Kind": "dot"}]}`: "a false 0 false circle .5",
		`{"title": "a", "notes": [{}]}`:                           "a false 0 false",
		`{"title": "", "shapes": ""}`:                             " false 0 false",
		`{"title": "a", "title": "b", "shapes": null, "mood": 0}`: "b false 0 true",
	} {
		if got, err := draw(text); got != want || err != nil {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
		if against, err := mapfiletest.Validate(schema, []byte(text)); err != nil || len(against) > 0 {
			t.Errorf("%s: schema: %v %v", text, err, against)
		}
	}
}

// TestObjectRefuses: what is wrong is told once, at its place, and is invalid for
// the schema too.
func TestObjectRefuses(t *testing.T) {
	schema := mapfile.Schema(drawing)
	for text, want := range map[string]string{
		`[]`:                                               `1:1  a list stands where an object must be: write {...}`,
		`{}`:                                               `1:1 /title title is missing: write "title": and a text, for example "Sunrise"`,
		`{"titel": "a"}`:                                   `1:1 /title title is missing: write it instead of "titel"|1:2 /titel unknown member "titel": write title`,
		`{"title": null}`:                                  `1:11 /title title is null: write "title": and a text, for example "Sunrise"`,
		`{"title": {}}`:                                    `1:11 /title title is an object: write a text`,
		`{"title": "a", "titel": 1}`:                       `1:16 /titel unknown member "titel": remove it; known are title, framed, layers, mood, source, notes, shapes`,
		`{"title": "a", "a/b~": 1}`:                        `1:16 /a~1b~0 unknown member "a/b~": remove it; known are title, framed, layers, mood, source, notes, shapes`,
		`{"title": "a", "framed": null}`:                   `1:26 /framed framed is null: write "framed": and true or false`,
		`{"title": "a", "framed": "yes"}`:                  `1:26 /framed framed is "yes": write true or false`,
		`{"title": "a", "framed": []}`:                     `1:26 /framed framed is a list: write true or false`,
		`{"title": "a", "layers": 1.5}`:                    `1:26 /layers layers is 1.5: write a whole number`,
		`{"title": "a", "mood": "clam"}`:                   `1:24 /mood no such mood: "clam": write Calm`,
		`{"title": "a", "mood": 7}`:                        `1:24 /mood mood is 7: write Calm or Wild`,
		`{"title": "a", "mood": {}}`:                       `1:24 /mood mood is an object: write Calm or Wild`,
		`{"title": "a", "source": 5}`:                      `1:26 /source source is 5: write a text`,
		`{"title": "a", "source": {}}`:                     `1:26 /source/value value is missing: write "value": and a text such as "$.a"`,
		`{"title": "a", "shapes": {}}`:                     `1:26 /shapes shapes is an object: write a list, [...]`,
		`{"title": "a", "shapes": " "}`:                    `1:26 /shapes shapes is " ": write a list, [...]`,
		`{"title": "a", "mood": ""}`:                       `1:24 /mood no such mood: "": write Calm or Wild`,
		`{"title": "a", "shapes": [7]}`:                    `1:27 /shapes/0 a number stands where an object must be: write {...}`,
		`{"title": "a", "shapes": [{"KIND": "Dot"}]}`:      `1:27 /shapes/0/kind kind is missing: write it instead of "KIND"`,
		`{"title": "a", "shapes": [{"kind": "DotShape"}]}`: `1:36 /shapes/0/kind no such shape: "DotShape": write Circle or Point`,
		`{"title": "a", "shapes": [{"kind": "Circle"}]}`:   `1:27 /shapes/0/form form is missing: write "form": and an object, {...}`,
		`{"title": "a", "shapes": [{"kind": "Circle", "form": {"radius":""}}]}`: `1:64 /shapes/0/form/radius radius is "": write a number`,
	} {
		_, err := draw(text)
		var got []string
		for _, e := range mapfile.Errors(err) {
			got = append(got, fmt.Sprintf("%d:%d %s %s: %s", e.Line, e.Column, e.Pointer, e.Message, e.Fix))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s:\n got %s\nwant %s", text, strings.Join(got, "|"), want)
		}
		if against, err := mapfiletest.Validate(schema, []byte(text)); err != nil || len(against) == 0 {
			t.Errorf("%s: valid for the schema, %v", text, err)
		}
	}
}

func TestWhatIsIgnoredCanBeFound(t *testing.T) {
	r := mapfile.NewReport(`{"kind": "dot", "colour": 1, "form": 2}`)
	root, _ := mapfile.Parse(r)
	f := r.Object(shape, root, "")
	var names []string
	for _, m := range f.Undescribed() {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "colour form" {
		t.Errorf("ignored: %s", got)
	}
	if instead, ok := f.Tolerated("kind"); !ok || instead != "Point" {
		t.Errorf("%s, %v", instead, ok)
	}
	if _, ok := f.Tolerated("form"); ok || f.Refused("kind") {
		t.Error("form has no words, and kind is fine")
	}
}
