package main

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"auscult/console"
	"auscult/scoring"
	"auscult/sinks/warehouse"
)

// fill gives every field of v a value of its own.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(time.Duration(*n).String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n))
	default:
		v.SetInt(*n)
	}
}

// TestNothingIsLostOnTheWayToTheConsole: both packages call the same facts by
// the same names, so both encode to the same text, if no field was forgotten.
func TestNothingIsLostOnTheWayToTheConsole(t *testing.T) {
	var c warehouse.Course
	n := int64(0)
	fill(reflect.ValueOf(&c).Elem(), &n)
	want, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(course(c))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the console gets\n%s\nof\n%s", got, want)
	}
}

func TestConsoleCallsSignalsByName(t *testing.T) {
	vital := consoleVitals(scoring.Config{Signals: map[string]scoring.Signal{
		"sbp":     {Unit: "mm[Hg]", From: []scoring.Source{{Type: "SysABP", Value: "v"}, {Type: "NISysABP", Value: "v"}}},
		"lactate": {From: []scoring.Source{{Type: "Lactate", Value: "v"}}},
	}})
	for _, c := range []struct {
		typ  string
		want console.Vital
	}{
		{"SysABP", console.Vital{Label: "Systolic blood pressure", Unit: "mm[Hg]", Rank: 3}},
		{"NISysABP", console.Vital{Label: "Systolic blood pressure, NISysABP", Unit: "mm[Hg]", Rank: 3}},
		{"Lactate", console.Vital{Label: "lactate", Rank: 7}},
		{"Albumin", console.Vital{}},
	} {
		if got := vital(c.typ, "v"); got != c.want {
			t.Errorf("%s is %+v, want %+v", c.typ, got, c.want)
		}
	}
	models := consoleModels(scoring.Config{Scoring: scoring.Scoring{Models: []scoring.ModelConfig{
		{ID: "news2", Flag: &scoring.FlagConfig{Open: 7, Close: 4}}, {ID: "quiet"}}}})
	if len(models) != 1 || models["news2"] != (console.Model{Open: 7, Close: 4}) {
		t.Errorf("models %+v", models)
	}
}
