package mapfile_test

import (
	"testing"

	"auscult/internal/mapfile"
	"auscult/internal/mapfile/mapfiletest"
)

// TestLocate: places are found in whatever order they are given.
func TestLocate(t *testing.T) {
	r := mapfile.NewReport("\uFEFFa\n\u00e9\u00e9b\r\n\nc")
	places := []mapfile.Place{{At: 99}, {At: 3}, {At: 9}, {At: 0}, {At: 9}}
	want := [][2]int{{4, 2}, {1, 1}, {2, 3}, {1, 1}, {2, 3}}
	to := make([]*mapfile.Place, len(places))
	for i := range places {
		to[i] = &places[i]
	}
	r.Locate(to)
	for i, p := range places {
		if p.Line != want[i][0] || p.Column != want[i][1] {
			t.Errorf("byte %d is at %d:%d, want %v", p.At, p.Line, p.Column, want[i])
		}
	}
}

// pot has a field with two spellings that decides, and a number with texts of
// its own.
var pot = &mapfile.Definition{
	Name: "pot", Doc: "A pot.", Open: true, By: "lid",
	Fields: []mapfile.Field{
		{Name: "lid", Doc: "Its lid.", Required: true, Spellings: []string{"Lid", "lid"}, Type: &mapfile.Enum{Noun: "lid", Words: []mapfile.Word{
			{Name: "None", Doc: "It has none."}, {Name: "Glass", Doc: "One can look in."},
		}}},
		{Name: "litres", Doc: "What it holds.", Type: mapfile.NumberType{Noun: "litres", Texts: "^[0-9,]+$"}},
	},
	Variants: [][]mapfile.Field{{}, {{Name: "tinted", Doc: "Whether it is dark.", Required: true, Type: mapfile.BoolType{}}}},
}

// TestSpellings: of two spellings the first of the list counts, for the loader
// and for the schema, wherever it stands.
func TestSpellings(t *testing.T) {
	schema := mapfile.Schema(pot)
	for text, valid := range map[string]bool{
		`{"lid": "none"}`:                                      true,
		`{"Lid": "None"}`:                                      true,
		`{"lid": "wood", "Lid": "None"}`:                       true,
		`{"Lid": "None", "lid": "wood"}`:                       true,
		`{"Lid": "None", "lid": "Glass"}`:                      true,
		`{"lid": "Glass", "tinted": true, "litres": "1,000"}`:  true,
		`{"Lid": "Wood", "lid": "None"}`:                       false,
		`{"Lid": null, "lid": "None"}`:                         false,
		`{"LID": "None"}`:                                      false,
		`{"lid": "wood"}`:                                      false,
		`{"Lid": "Glass", "lid": "None"}`:                      false,
		`{"lid": "None", "litres": true}`:                      false,
		`{"lid": "None", "Lid": "Glass", "tinted": "perhaps"}`: false,
	} {
		r := mapfile.NewReport(text)
		root, _ := mapfile.Parse(r)
		r.Object(pot, root, "")
		if err := r.Err(); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
		if against, err := mapfiletest.Validate(schema, []byte(text)); err != nil || (len(against) == 0) != valid {
			t.Errorf("%s: schema: %v %v", text, err, against)
		}
	}
}
