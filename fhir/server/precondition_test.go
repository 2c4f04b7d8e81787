package server

import (
	"strings"
	"testing"
	"time"
)

func TestPreconditions(t *testing.T) {
	c := start(t)
	body := func(number string) string { return observation("o1", "p1", "x", "2024", number) }
	for _, step := range []struct {
		name, method, body, header, tag string
		status                          int
		version                         string
	}{
		{"If-Match on what never was", "PUT", body("1"), "If-Match", `W/"1"`, 412, ""},
		{"any version of what never was", "PUT", body("1"), "If-Match", `*`, 412, ""},
		{"delete over what never was", "DELETE", "", "If-Match", `W/"1"`, 412, ""},
		{"create only", "PUT", body("1"), "If-None-Match", `*`, 201, `W/"1"`},
		{"create only, again", "PUT", body("2"), "If-None-Match", `*`, 412, ""},
		{"create only, the same again", "PUT", body("1"), "If-None-Match", `*`, 412, ""},
		{"not over version 1", "PUT", body("2"), "If-None-Match", `W/"1"`, 412, ""},
		{"not over version 7", "PUT", body("2"), "If-None-Match", `W/"7"`, 200, `W/"2"`},
		{"stale", "PUT", body("3"), "If-Match", `W/"1"`, 412, ""},
		{"stale and unchanged", "PUT", body("2"), "If-Match", `W/"1"`, 412, ""},
		{"current and unchanged", "PUT", body("2"), "If-Match", `W/"2"`, 200, `W/"2"`},
		{"one of several", "PUT", body("3"), "If-Match", `W/"1", W/"2"`, 200, `W/"3"`},
		{"any version", "PUT", body("4"), "If-Match", `*`, 200, `W/"4"`},
		{"without W/", "PUT", body("5"), "If-Match", `"4"`, 200, `W/"5"`},
		{"read what is known", "GET", "", "If-None-Match", `W/"5"`, 304, `W/"5"`},
		{"read what is known, among others", "GET", "", "If-None-Match", `W/"4", W/"5"`, 304, `W/"5"`},
		{"read any", "GET", "", "If-None-Match", `*`, 304, `W/"5"`},
		{"read what is new", "GET", "", "If-None-Match", `W/"4"`, 200, `W/"5"`},
		{"read since long ago", "GET", "", "If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 200, `W/"5"`},
		{"read since soon", "GET", "", "If-Modified-Since", time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), 304, `W/"5"`},
		{"read since no time", "GET", "", "If-Modified-Since", "soon", 200, `W/"5"`},
		{"delete a stale version", "DELETE", "", "If-Match", `W/"4"`, 412, ""},
		{"delete the current one", "DELETE", "", "If-Match", `W/"5"`, 204, `W/"6"`},
		{"read what is gone", "GET", "", "If-None-Match", `*`, 410, ""},
		{"update what is gone", "PUT", body("6"), "If-Match", `W/"6"`, 412, ""},
		{"create again what is gone", "PUT", body("6"), "If-None-Match", `*`, 201, `W/"7"`},
	} {
		r := c.send(step.method, "/Observation/o1", step.body, step.header, step.tag)
		if r.status != step.status || r.header.Get("ETag") != step.version {
			t.Errorf("%s: %d %q, want %d %q: %.200s", step.name, r.status, r.header.Get("ETag"), step.status, step.version, r.body)
		}
	}
	// Every version stays readable, the deleted one says that it is deleted.
	for version, status := range map[string]int{"1": 200, "5": 200, "6": 410, "7": 200, "8": 404} {
		c.send("GET", "/Observation/o1/_history/"+version, "").wants(t, status, "")
	}
	c.send("GET", "/Observation/o1/_history/5", "").wants(t, 200, `"versionId":"5"`)
}

func TestPreconditionsOfEntries(t *testing.T) {
	c := start(t)
	patient := `{"resourceType":"Patient","id":"p1"}`
	c.send("PUT", "/Patient/p1", patient).wants(t, 201, "")
	r := c.send("POST", "", bundleOf("batch",
		entry("PUT", "Patient/p1", patient, "ifNoneMatch", "*"),
		entry("PUT", "Patient/p2", strings.Replace(patient, "p1", "p2", 1), "ifNoneMatch", "*"),
		entry("GET", "Patient/p1", "", "ifNoneMatch", `W/"1"`),
		entry("GET", "Patient/p1", "", "ifModifiedSince", "2999-01-01T00:00:00Z"),
		entry("GET", "Patient/p1/_history/1", ""),
		entry("DELETE", "Patient/p2", "", "ifMatch", `W/"2"`),
		entry("DELETE", "Patient/p2", "", "ifMatch", `W/"1"`),
		entry("GET", "Patient/p2", ""),
		entry("GET", "Patient/p2/_history/1", "")))
	if got := statusesOf(r); got != "412 201 304 304 200 412 204 410 200" {
		t.Errorf("statuses %s", got)
	}
}

// TestConditionalUpdate has the table of R4 3.1.0.4.3, and the one case that
// it leaves open.
func TestConditionalUpdate(t *testing.T) {
	c := start(t)
	patient := func(id, value, more string) string {
		if id != "" {
			id = `"id":"` + id + `",`
		}
		return `{"resourceType":"Patient",` + id + `"identifier":[{"system":"urn:mrn","value":"` + value + `"}]` + more + `}`
	}
	put := func(value, body string, headers ...string) response {
		return c.send("PUT", "/Patient?identifier=urn:mrn%7C"+value, body, headers...)
	}
	r := put("m1", patient("", "m1", ""))
	r.wants(t, 201, "")
	id := r.member("id")
	put("m2", patient("mine", "m2", "")).wants(t, 201, `"id":"mine"`)
	put("m1", patient("", "m1", `,"gender":"female"`)).wants(t, 200, `"id":"`+id+`"`)
	put("m1", patient("", "m1", `,"gender":"female"`)).wants(t, 200, `"versionId":"2"`)
	put("m1", patient(id, "m1", "")).wants(t, 200, `"versionId":"3"`)
	put("m1", patient("mine", "m1", "")).wants(t, 400, "not that of the match")
	put("m3", patient("mine", "m3", "")).wants(t, 409, "another Patient")
	c.send("GET", "/Patient/mine", "").wants(t, 200, `"m2"`)
	put("m1", patient("", "m1", `,"gender":"male"`), "If-Match", `W/"2"`).wants(t, 412, "current version is 3")
	put("m4", patient("", "m4", ""), "If-Match", `W/"1"`).wants(t, 412, "no current version")
	put("m1", patient("", "m1", `,"gender":"male"`), "If-None-Match", `*`).wants(t, 412, "excludes")
	c.send("POST", "/Patient", patient("", "m1", "")).wants(t, 201, "")
	put("m1", patient("", "m1", "")).wants(t, 412, "several")
	c.send("DELETE", "/Patient/mine", "").wants(t, 204, "")
	put("m2", patient("mine", "m2", "")).wants(t, 201, `"versionId":"3"`)

	// Chains work in conditions too, and what is not understood is refused.
	c.send("PUT", "/Observation/o1", observation("o1", "mine", "x", "2024", "1")).wants(t, 201, "")
	c.send("PUT", "/Observation?patient.identifier=m2", strings.Replace(observation("o1", "mine", "x", "2024", "2"), `"id":"o1",`, ``, 1)).wants(t, 200, `"id":"o1"`)
	c.send("PUT", "/Observation?patient.bogus=m2", observation("o1", "mine", "x", "2024", "3")).wants(t, 400, "patient.bogus")
}
