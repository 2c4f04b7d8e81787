package dryrun

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	const device = `{\"templateType\":\"CollectionContent\",\"template\":[{\"templateType\":\"CalculatedContent\",\"template\":{` +
		`\"typeName\":\"hr\",\"typeMatchExpression\":\"$..[?(@hr)]\",\"deviceIdExpression\":\"$.SystemProperties.dev\",` +
		`\"timestampExpression\":\"$.matchedToken.t\",\"values\":[{\"valueName\":\"hr\",\"valueExpression\":\"$.matchedToken.hr\",\"required\":true}]}}]}`
	const body = `\"t\":\"2026-01-31T10:00:00Z\"}`
	for name, test := range map[string]struct{ line, want string }{
		"a measurement": {
			`{"id":"a","in":{"device":"` + device + `","body":"{\"hr\":22.40,` + body + `","system":{"dev":"<d&1>"}}}`,
			`{"id":"a","measurements":[{"Type":"hr","OccurrenceTimeUtc":"2026-01-31T10:00:00Z","DeviceId":"<d&1>","Properties":[{"Name":"hr","Value":"22.4"}]}],"errors":[]}`,
		},
		"an id keeps its text": {
			`{"in":{"device":"` + device + `"},"id":22.40}`,
			`{"id":22.40,"measurements":[],"errors":[]}`,
		},
		"an envelope": {
			`{"id":"e","op":"normalize","in":{"device":"` + device + `","envelope":"{\"Body\":{\"hr\":1,` + body + `,\"SystemProperties\":{\"dev\":7}}"}}`,
			`{"id":"e","measurements":[{"Type":"hr","OccurrenceTimeUtc":"2026-01-31T10:00:00Z","DeviceId":"7","Properties":[{"Name":"hr","Value":"1"}]}],"errors":[]}`,
		},
		"a failure": {
			`{"id":"f","in":{"device":"` + device + `","body":"{\"hr\":1,` + body + `"}}`,
			`{"id":"f","measurements":[],"errors":[{"message":"template 1 (hr): ANY","template":1,"expression":"$.SystemProperties.dev"}]}`,
		},
		"no op":              {`{"id":1,"op":"nomalize","in":{}}`, `{"id":1,"error":"no such op: \"nomalize\": write normalize, e2e, load-fhir, load-device"}`},
		"no in":              {`{"id":1}`, `{"id":1,"error":"the line has no \"in\""}`},
		"no mapping":         {`{"id":1,"in":{}}`, `{"id":1,"error":"in.device is missing: the text of a device mapping"}`},
		"a good mapping":     {`{"id":1,"op":"load-device","in":{"device":"` + device + `"}}`, `{"id":1,"load":{"errors":[]}}`},
		"no JSON":            {`{"id":"x","in":{`, `{"id":"x","error":"reading the line: unexpected end of JSON input"}`},
		"nothing":            {``, `{"id":null,"error":"reading the line: unexpected end of JSON input"}`},
		"not UTF-8":          {"{\"id\":\"x\",\"in\":{\"body\":\"\xff\"}}", `{"id":"x","error":"the line is not valid UTF-8"}`},
		"two bodies":         {`{"id":1,"in":{"device":"` + device + `","body":"{}","envelope":"{}"}}`, `{"id":1,"error":"give body or envelope, not both"}`},
		"an odd property":    {`{"id":1,"in":{"device":"` + device + `","system":{"dev":[]}}}`, `{"id":1,"error":"system: \"dev\" is an object or an array: a property is a text, a number, true, false or null"}`},
		"a mode":             {`{"id":1,"op":"e2e","in":{"fhir":"{\"templateType\":\"CollectionFhir\",\"template\":[]}","mode":"x"}}`, `{"id":1,"error":"no such mode: \"x\": write Lookup, LookupWithEncounter or Create"}`},
		"messages unmapped":  {`{"id":1,"op":"e2e","in":{"fhir":"{\"templateType\":\"CollectionFhir\",\"template\":[]}","batches":[[{"body":"1"}]]}}`, `{"id":1,"error":"a batch holds messages, but in.device is missing"}`},
		"a FHIR mapping":     {`{"id":1,"op":"load-fhir","in":{"fhir":"{\"templateType\":\"CollectionFhir\",\"template\":[]}"}}`, `{"id":1,"load":{"errors":[]}}`},
		"a bad FHIR mapping": {`{"id":1,"op":"load-fhir","in":{"fhir":"{}"}}`, `{"id":1,"load":{"errors":[{"message":"ANY","line":1,"column":1,"pointer":"/template","file":"fhir"}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(new(Answerer).Answer([]byte(test.line)))
			begin, end, _ := strings.Cut(test.want, "ANY") // text of package mapping
			if !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) || end == "" && got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A line's answer may not depend on its neighbours.
func TestAnswersDoNotDependOnNeighbours(t *testing.T) {
	var lines []string
	for _, c := range readCases(t, "testdata/e2e.jsonl") {
		lines = append(lines, c.line)
	}
	alone := make([]string, len(lines))
	for i, l := range lines {
		alone[i] = string(new(Answerer).Answer([]byte(l)))
	}
	a := new(Answerer)
	for range 2 {
		for i, l := range lines {
			if got := string(a.Answer([]byte(l))); got != alone[i] {
				t.Errorf("%s\nalone %s", got, alone[i])
			}
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, file := range []string{"testdata/normalize.jsonl", "testdata/e2e.jsonl"} {
		for _, c := range readCases(f, file) {
			f.Add([]byte(c.line))
		}
	}
	f.Add([]byte(`{"id":"a","in":{"device":"","body":"{}"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		answer := new(Answerer).Answer(line)
		if !json.Valid(answer) || strings.Contains(string(answer), "\n") {
			t.Errorf("%q gives %q", line, answer)
		}
	})
}
