package server

import (
	"fmt"
	"strings"
	"testing"
)

const (
	urn1 = "urn:uuid:1d8b5a9e-0000-4000-8000-000000000001"
	urn2 = "urn:uuid:1d8b5a9e-0000-4000-8000-000000000002"
	urn3 = "urn:uuid:1d8b5a9e-0000-4000-8000-000000000003"
)

// TestTransactionOfAll has every kind of entry at once, in an order that R4
// does not run them in: DELETE, POST, PUT, GET.
func TestTransactionOfAll(t *testing.T) {
	c := start(t)
	patient := func(value string) string {
		return `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"` + value + `"}]}`
	}
	c.send("POST", "/Patient", patient("m1")).wants(t, 201, "")
	c.send("PUT", "/Device/old", `{"resourceType":"Device","id":"old"}`).wants(t, 201, "")
	about := func(id, subject, device string) string {
		return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"text":"x"},"subject":{"reference":"` + subject + `"},"device":{"reference":"` + device + `"}}`
	}
	body := bundleOf("transaction",
		entry("GET", "Observation?device.identifier=x", ""),
		entry("PUT", "Observation/o1", about("o1", urn1, urn3)),
		entry("PUT", "Observation/o2", about("o2", urn2, "Device?identifier=urn:none%7Cx")),
		entry("PUT", "Patient?identifier=urn:mrn%7Cm2", patient("m2"), "fullUrl", urn2),
		entry("POST", "Patient", patient("m1"), "fullUrl", urn1, "ifNoneExist", "identifier=urn:mrn|m1"),
		entry("POST", "Device", `{"resourceType":"Device","identifier":[{"value":"x"}]}`, "fullUrl", urn3),
		entry("DELETE", "Device/old", ""))
	c.send("POST", "", body).wants(t, 412, "matches nothing")
	c.send("GET", "/Device/old", "").wants(t, 200, "")
	body = strings.Replace(body, "Device?identifier=urn:none%7Cx", urn3, 1)
	r := c.send("POST", "", body)
	r.wants(t, 200, "transaction-response")
	if got := statusesOf(r); got != "200 201 201 201 200 201 204" {
		t.Fatalf("statuses %s: %s", got, r.body)
	}
	if got := r.member("entry", "0", "resource", "total"); got != "2" {
		t.Errorf("the search inside found %s", got)
	}
	for i, patient := range map[string]string{"1": "4", "2": "3"} {
		want := "Patient/" + r.member("entry", patient, "resource", "id")
		if got := r.member("entry", i, "resource", "subject", "reference"); got != want {
			t.Errorf("entry %s refers to %s, want %s", i, got, want)
		}
	}
	c.send("GET", "/Device/old", "").wants(t, 410, "")
	c.send("GET", "/Observation?patient.identifier=m2", "").wants(t, 200, `"total":1`)
}

// TestTransactionRefusals: what is wrong with one entry undoes all, and the
// answer says where.
func TestTransactionRefusals(t *testing.T) {
	c := start(t)
	patient := `{"resourceType":"Patient","identifier":[{"value":"m1"}]}`
	named := `{"resourceType":"Patient","id":"p1"}`
	about := func(reference string) string {
		return `{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"x"},"subject":{"reference":"` + reference + `"}}`
	}
	for _, bad := range []struct {
		name, text, place string
		status            int
		entries           []string
	}{
		{"fault in a resource", "entry 1: Observation.subject.reference means type Practitioner", "Bundle.entry[1].resource.subject.reference", 400,
			[]string{entry("PUT", "Patient/p1", named), entry("PUT", "Observation/o1", about("Practitioner/x"))}},
		{"fault that the fullUrl makes", "entry 1: Observation.subject.reference means type Flag", "Bundle.entry[1].resource.subject.reference", 400,
			[]string{entry("POST", "Flag", `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`, "fullUrl", urn1), entry("PUT", "Observation/o1", about(urn1))}},
		{"deleted and written", "one resource", "", 400, []string{entry("DELETE", "Patient/p1", ""), entry("PUT", "Patient/p1", named)}},
		{"created twice on one condition", "one resource", "", 400,
			[]string{entry("POST", "Patient", patient, "ifNoneExist", "identifier=m1"), entry("PUT", "Patient?identifier=m1", patient)}},
		{"one fullUrl twice", "one fullUrl", "", 400, []string{entry("POST", "Patient", patient, "fullUrl", urn1), entry("POST", "Patient", patient, "fullUrl", urn1)}},
		{"exists already", "excludes", "", 412, []string{entry("POST", "Patient", patient), entry("PUT", "Device/there", `{"resourceType":"Device","id":"there"}`, "ifNoneMatch", "*")}},
		{"stale", "the current version is 1", "", 412, []string{entry("POST", "Patient", patient), entry("PUT", "Device/there", `{"resourceType":"Device","id":"there"}`, "ifMatch", `W/"2"`)}},
		{"no method", "is not supported", "", 405, []string{entry("POST", "Patient", patient), entry("PATCH", "Patient/p1", "")}},
		{"no address", "request.url", "", 400, []string{entry("POST", "Patient", patient), entry("GET", "?x=1", "")}},
		{"address too long", "at most 16384 bytes", "", 414, []string{entry("POST", "Patient", patient), entry("GET", "Patient?identifier="+strings.Repeat("x", maxAddressBytes), "")}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			c.send("PUT", "/Device/there", `{"resourceType":"Device","id":"there"}`)
			r := c.send("POST", "", bundleOf("transaction", bad.entries...))
			r.wants(t, bad.status, bad.text)
			if got := r.member("issue", "0", "expression", "0"); got != "Bundle.entry[1]" {
				t.Errorf("the outcome points at %q", got)
			}
			if got := r.member("issue", "0", "expression", "1"); got != bad.place && bad.place != "" {
				t.Errorf("the outcome points at %q, want %q", got, bad.place)
			}
			c.send("GET", "/Patient", "").wants(t, 200, `"total":0`)
		})
	}
}

// TestBatchOfConditions: in a batch each entry sees what those before it did.
func TestBatchOfConditions(t *testing.T) {
	c := start(t)
	patient := `{"resourceType":"Patient","identifier":[{"value":"m1"}]}`
	r := c.send("POST", "", bundleOf("batch",
		entry("POST", "Patient", patient, "ifNoneExist", "identifier=m1"),
		entry("POST", "Patient", patient, "ifNoneExist", "identifier=m1"),
		entry("PUT", "Patient?identifier=m1", strings.Replace(patient, "{", `{"active":true,`, 1)),
		entry("PUT", "Patient?identifier=m1", strings.Replace(patient, "{", `{"activ":true,`, 1)),
		entry("GET", "Patient?identifier=m1&bogus=1", ""),
		entry("POST", "Patient", patient),
		entry("PUT", "Patient?identifier=m1", patient)))
	if got := statusesOf(r); got != "201 200 200 400 200 201 412" {
		t.Errorf("statuses %s", got)
	}
	if got := r.member("entry", "3", "response", "outcome", "issue", "0", "expression", "0"); got != "Patient.activ" {
		t.Errorf("the outcome points at %q", got)
	}
}

// TestReadLimit: a Bundle of searches cannot make an answer of any size.
func TestReadLimit(t *testing.T) {
	c := start(t)
	binary := `{"resourceType":"Binary","id":"b","contentType":"x","data":"` + strings.Repeat("QUJD", 1<<20) + `"}`
	c.send("PUT", "/Binary/b", binary).wants(t, 201, "")
	var reads []string
	for range 12 {
		reads = append(reads, entry("GET", "Binary/b", ""))
	}
	r := c.send("POST", "", bundleOf("batch", reads...))
	done, refused := strings.Count(r.body, `"status":"200 OK"`), strings.Count(r.body, `"status":"413 `)
	if done < 8 || refused < 2 || done+refused != 12 || len(r.body) > 2*maxPageBytes {
		t.Errorf("%d bytes, %d read, %d refused", len(r.body), done, refused)
	}
	c.send("POST", "", bundleOf("transaction", reads...)).wants(t, 413, "entry")

	// So it is with the versions of one resource.
	for i := range 11 {
		c.send("PUT", "/Binary/b", strings.Replace(binary, `"x"`, `"`+fmt.Sprint(i)+`"`, 1)).wants(t, 200, "")
	}
	versions := 0
	for next := c.base + "/Binary/b/_history?_count=100"; next != ""; {
		h := c.send("GET", next, "")
		if len(h.body) > 2*maxPageBytes {
			t.Fatalf("a page of %d bytes", len(h.body))
		}
		versions += strings.Count(h.body, `"fullUrl"`)
		_, next, _ = strings.Cut(h.body[:1000], `"next","url":"`)
		next, _, _ = strings.Cut(strings.ReplaceAll(next, `\u0026`, "&"), `"`)
	}
	if versions != 12 {
		t.Errorf("%d versions", versions)
	}
}
