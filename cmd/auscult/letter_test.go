package main

import (
	"strings"
	"testing"

	"auscult/schemas"
)

// TestPrintLetter: what is printed tells every byte, also of what is no text,
// and null from empty.
func TestPrintLetter(t *testing.T) {
	var out strings.Builder
	err := printLetter(&out, &schemas.DeadLetter{
		Stage: "normalize", Value: []byte{0xff, 0}, Key: []byte{},
		Headers: []schemas.Header{{Key: "h", Value: []byte("<1>")}, {Key: "h", Value: []byte{0x80}}, {Key: "n"}, {Key: "\xfd", Value: []byte{}}},
		Lineage: schemas.Lineage{Run: "live", Offset: 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		`"key": "", "headers": [`,
		`{ "key": "h", "value": "<1>" }, { "key": "h", "value": "gA==", "encoding": "base64" }, { "key": "n", "value": null }, { "key": "/Q==", "keyEncoding": "base64", "value": "" } ]`,
		`"value": "/wA=", "valueEncoding": "base64"`,
		`"lineage": { "run": "live", "generation": "", "partition": 0, "offset": 7, "index": 0, "mapping": "" }`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	out.Reset()
	if err := printLetter(&out, &schemas.DeadLetter{Key: []byte{0xfe}}); err != nil {
		t.Fatal(err)
	}
	got = strings.Join(strings.Fields(out.String()), " ")
	if !strings.Contains(got, `"key": "/g==", "keyEncoding": "base64", "headers": [], "value": null, "sha256"`) {
		t.Errorf("got %s", got)
	}
}
