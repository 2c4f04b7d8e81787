package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client talks to a server as any HTTP client would.
type client struct {
	t    testing.TB
	base string
	http *http.Client
}

func start(t testing.TB, options ...Option) client {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), FileName), options...)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return client{t, h.URL + Base, &http.Client{Transport: transport}}
}

// response is an answer, read whole.
type response struct {
	status int
	header http.Header
	body   string
}

func (c client) send(method, path, body string, headers ...string) response {
	c.t.Helper()
	r, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c client) try(method, path, body string, headers ...string) (response, error) {
	address := path
	if !strings.HasPrefix(path, "http") {
		address = c.base + path
	}
	q, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	a, err := c.http.Do(q)
	if err != nil {
		return response{}, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return response{a.StatusCode, a.Header, string(text)}, err
}

func observation(id, patient, code, at, number string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"identifier":[{"system":"urn:auscult","value":"seg-%s"}],"status":"final",`+
		`"code":{"coding":[{"system":"http://loinc.org","code":%q}]},"subject":{"reference":"Patient/%s"},"device":{"reference":"Device/d-%s"},`+
		`"effectiveDateTime":%q,"valueQuantity":{"value":%s,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}}`,
		id, id, code, patient, patient, at, number)
}

// wants checks a status, and that every error explains itself.
func (r response) wants(t *testing.T, status int, text string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.body, text) {
		t.Errorf("got %d %.300s\nwant %d with %q", r.status, r.body, status, text)
	}
	if r.status >= 400 && (r.member("resourceType") != "OperationOutcome" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/fhir+json")) {
		t.Errorf("an error without OperationOutcome: %d %.200s", r.status, r.body)
	}
}

// member returns a member of the body by its path, as text.
func (r response) member(path ...string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(r.body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return ""
	}
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(x) {
				return ""
			}
			v = x[i]
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// ids returns the ids of a Bundle's resources, in order.
func (r response) ids() []string {
	var b struct {
		Entry []struct{ Resource struct{ ID string } }
	}
	_ = json.Unmarshal([]byte(r.body), &b) // no Bundle, no ids
	ids := []string{}
	for _, e := range b.Entry {
		ids = append(ids, e.Resource.ID)
	}
	return ids
}

func TestCreateReadUpdateDelete(t *testing.T) {
	c := start(t)
	body := observation("o1", "p1", "8867-4", "2024-05-06T10:00:00Z", "70.10")
	r := c.send("PUT", "/Observation/o1", body)
	r.wants(t, 201, `"value":70.10,`)
	if r.header.Get("ETag") != `W/"1"` || r.header.Get("Location") != c.base+"/Observation/o1/_history/1" || r.header.Get("Last-Modified") == "" {
		t.Errorf("headers %v", r.header)
	}
	if r.member("meta", "versionId") != "1" || !strings.HasPrefix(r.member("meta", "lastUpdated"), "20") {
		t.Errorf("meta %s", r.member("meta"))
	}
	c.send("GET", "/Observation/o1", "").wants(t, 200, `"value":70.10,`)
	c.send("HEAD", "/Observation/o1", "").wants(t, 200, "")
	c.send("GET", "/Observation/o1", "", "If-None-Match", `W/"1"`).wants(t, 304, "")
	c.send("GET", "/Observation/none", "").wants(t, 404, "no such Observation")

	// An unchanged PUT keeps its version, whatever the order of the members.
	r = c.send("PUT", "/Observation/o1", body)
	r.wants(t, 200, `"versionId":"1"`)
	swapped := strings.Replace(body, `"value":70.10,"unit":"/min",`, `"unit":"\u002fmin","value":70.10,`, 1)
	c.send("PUT", "/Observation/o1", swapped).wants(t, 200, `"versionId":"1"`)
	c.send("PUT", "/Observation/o1", strings.Replace(body, "{", `{"meta":{"versionId":"77","lastUpdated":"2001-01-01T00:00:00Z"},`, 1)).wants(t, 200, `"versionId":"1"`)
	// The digits of a number are content, and so is a profile.
	c.send("PUT", "/Observation/o1", strings.Replace(body, "70.10", "70.1", 1)).wants(t, 200, `"versionId":"2"`)
	r = c.send("PUT", "/Observation/o1", strings.Replace(body, "{", `{"meta":{"profile":["urn:p"]},`, 1))
	r.wants(t, 200, `"profile":["urn:p"]`)
	if r.header.Get("ETag") != `W/"3"` {
		t.Errorf("ETag %s", r.header.Get("ETag"))
	}

	c.send("PUT", "/Observation/o1", body, "If-Match", `W/"2"`).wants(t, 412, "the current version is 3")
	c.send("PUT", "/Observation/o1", body, "If-Match", `W/"3"`).wants(t, 200, `"versionId":"4"`)
	c.send("PUT", "/Observation/o1", body, "If-Match", `W/"3"`).wants(t, 412, "current version is 4") // unchanged, yet stale
	c.send("PUT", "/Observation/none", observation("none", "p1", "x", "2024", "1"), "If-Match", `W/"1"`).wants(t, 412, "no current version")

	c.send("GET", "/Observation/o1/_history/2", "").wants(t, 200, `"value":70.1,`)
	c.send("GET", "/Observation/o1/_history/9", "").wants(t, 404, "")
	c.send("DELETE", "/Observation/o1", "", "If-Match", `W/"1"`).wants(t, 412, "")
	c.send("DELETE", "/Observation/o1", "").wants(t, 204, "")
	c.send("DELETE", "/Observation/o1", "").wants(t, 204, "")
	c.send("DELETE", "/Observation/never", "").wants(t, 204, "")
	c.send("GET", "/Observation/o1", "").wants(t, 410, "deleted")
	c.send("GET", "/Observation/o1/_history/5", "").wants(t, 410, "")
	c.send("GET", "/Observation?_id=o1", "").wants(t, 200, `"total":0`)
	c.send("GET", "/Observation?patient=p1", "").wants(t, 200, `"total":0`)
	c.send("PUT", "/Observation/o1", body, "If-Match", `W/"5"`).wants(t, 412, "")
	c.send("PUT", "/Observation/o1", body).wants(t, 201, `"versionId":"6"`)
	c.send("GET", "/Observation?patient=p1", "").wants(t, 200, `"total":1`)

	h := c.send("GET", "/Observation/o1/_history?_count=4", "")
	h.wants(t, 200, `"type":"history","total":6`)
	if !strings.Contains(h.body, `"method":"DELETE"`) || len(h.ids()) != 4 {
		t.Errorf("history %s", h.body)
	}
	next := regexp.MustCompile(`"next","url":"([^"]+)"`).FindStringSubmatch(h.body)
	if next == nil {
		t.Fatalf("no next link in %s", h.body)
	}
	if rest := c.send("GET", strings.ReplaceAll(next[1], `\u0026`, "&"), ""); len(rest.ids()) != 2 || strings.Contains(rest.body, `"next"`) {
		t.Errorf("the last page of the history: %s", rest.body)
	}
	c.send("GET", "/Observation/never/_history", "").wants(t, 404, "")
}

func TestUpdateMovesTheIndex(t *testing.T) {
	c := start(t)
	c.send("PUT", "/Observation/o1", observation("o1", "p1", "8867-4", "2024-05-06", "70")).wants(t, 201, "")
	c.send("PUT", "/Observation/o1", observation("o1", "p2", "8867-4", "2024-05-07", "70")).wants(t, 200, "")
	for query, total := range map[string]string{"patient=p1": "0", "patient=p2": "1", "code=8867-4": "1", "date=2024-05-06": "0", "date=2024-05-07": "1"} {
		if got := c.send("GET", "/Observation?"+query, "").member("total"); got != total {
			t.Errorf("%s: total %s, want %s", query, got, total)
		}
	}
}

func TestCreate(t *testing.T) {
	c := start(t)
	patient := `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"m1"}]}`
	r := c.send("POST", "/Patient", patient)
	r.wants(t, 201, "")
	id := r.member("id")
	if id == "" || r.header.Get("Location") != c.base+"/Patient/"+id+"/_history/1" {
		t.Errorf("id %q, location %s", id, r.header.Get("Location"))
	}
	r = c.send("POST", "/Patient", patient, "If-None-Exist", "identifier=urn:mrn|m1")
	r.wants(t, 200, id)
	r = c.send("POST", "/Patient", strings.Replace(patient, "m1", "m2", 1), "If-None-Exist", "identifier=urn:mrn|m2", "Prefer", "return=minimal")
	r.wants(t, 201, "")
	if r.body != "" {
		t.Errorf("return=minimal gave %s", r.body)
	}
	c.send("POST", "/Patient", patient).wants(t, 201, "")
	c.send("POST", "/Patient", patient, "If-None-Exist", "identifier=urn:mrn|m1").wants(t, 412, "several")
	c.send("POST", "/Patient", patient, "If-None-Exist", "bogus=1").wants(t, 400, "bogus")
	c.send("POST", "/Patient", patient, "If-None-Exist", "_count=1").wants(t, 400, "criterion")
	// Conditional update: none, one, several.
	c.send("PUT", "/Patient?identifier=urn:mrn%7Cm3", strings.Replace(patient, "m1", "m3", 1)).wants(t, 201, "")
	c.send("PUT", "/Patient?identifier=urn:mrn%7Cm3", strings.Replace(patient, `"m1"}]`, `"m3"}],"gender":"female"`, 1)).wants(t, 200, `"versionId":"2"`)
	c.send("PUT", "/Patient?identifier=urn:mrn%7Cm1", patient).wants(t, 412, "several")
	c.send("PUT", "/Patient", patient).wants(t, 400, "search parameters")
}

func TestRefusals(t *testing.T) {
	c := start(t)
	ok := observation("o1", "p1", "x", "2024-05-06", "70")
	without := func(member string) string {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(ok), &m); err != nil {
			t.Fatal(err)
		}
		delete(m, member)
		b, _ := json.Marshal(m)
		return string(b)
	}
	for _, r := range []struct {
		name, method, path, body string
		status                   int
		text                     string
	}{
		{"broken JSON", "PUT", "/Observation/o1", `{"resourceType":"Obs`, 400, "no FHIR JSON"},
		{"not an object", "PUT", "/Observation/o1", `[1]`, 400, "JSON object"},
		{"not UTF-8", "PUT", "/Observation/o1", "{\"resourceType\":\"\xff\"}", 400, "UTF-8"},
		{"member twice", "PUT", "/Observation/o1", strings.Replace(ok, "{", `{"status":"final",`, 1), 400, "twice"},
		{"empty string", "PUT", "/Observation/o1", strings.Replace(ok, `"/min"`, `""`, 1), 400, "empty string"},
		{"empty object", "PUT", "/Observation/o1", strings.Replace(ok, "{", `{"text":{},`, 1), 400, "empty object"},
		{"empty array", "PUT", "/Observation/o1", strings.Replace(ok, "{", `{"note":[],`, 1), 400, "empty array"},
		{"too deep", "PUT", "/Observation/o1", strings.Replace(ok, "{", `{"note":`+strings.Repeat("[", 80)+"1"+strings.Repeat("]", 80)+",", 1), 400, "levels"},
		{"wrong type", "POST", "/Patient", ok, 400, "resourceType"},
		{"no type", "POST", "/Patient", `{"id":"x"}`, 400, "resourceType"},
		{"other id", "PUT", "/Observation/o2", ok, 400, "not that of the address"},
		{"no id", "PUT", "/Observation/o1", without("id"), 400, "not that of the address"},
		{"bad id", "POST", "/Observation", strings.Replace(ok, `"o1"`, `"a_b"`, 1), 400, "1 to 64"},
		{"no status", "PUT", "/Observation/o1", without("status"), 400, "Observation.status"},
		{"no code", "PUT", "/Observation/o1", without("code"), 400, "Observation.code"},
		{"bad status", "PUT", "/Observation/o1", strings.Replace(ok, "final", "nonsense", 1), 400, "Observation.status"},
		{"bad date", "PUT", "/Observation/o1", strings.Replace(ok, "2024-05-06", "2024-13-06", 1), 400, "2024-13-06"},
		{"code is no object", "PUT", "/Observation/o1", regexp.MustCompile(`"code":\{.*?\]\}`).ReplaceAllString(ok, `"code":"x"`), 400, "is an object"},
		{"Flag without subject", "POST", "/Flag", `{"resourceType":"Flag","status":"active","code":{"text":"x"}}`, 400, "Flag.subject"},
		{"RiskAssessment without subject", "POST", "/RiskAssessment", `{"resourceType":"RiskAssessment","status":"final"}`, 400, "RiskAssessment.subject"},
		{"Provenance without target", "POST", "/Provenance", `{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`, 400, "Provenance.target"},
		{"Device with a bad status", "POST", "/Device", `{"resourceType":"Device","status":"on"}`, 400, "Device.status"},
		{"unknown type", "GET", "/Observations", "", 404, "no resource type"},
		{"bad address", "GET", "/Observation/o1/x", "", 404, "nothing at this address"},
		{"operation", "POST", "/Observation/$validate", ok, 404, "operations"},
		{"method", "PATCH", "/Observation/o1", "", 405, "PATCH"},
		{"post to an id", "POST", "/Observation/o1", ok, 405, "create"},
		{"delete a type", "DELETE", "/Observation", "", 405, "one resource"},
		{"system search", "GET", "", "", 405, "Bundle by POST"},
		{"no Bundle", "POST", "", ok, 400, "takes a Bundle"},
		{"strict", "GET", "/Observation?bogus=1", "", 400, "bogus"},
		{"modifier", "GET", "/Observation?code:not=x", "", 400, "modifier"},
		{"date prefix", "GET", "/Observation?date=zz2024", "", 400, "prefix"},
		{"no date", "GET", "/Observation?date=soon", "", 400, "soon"},
		{"count", "GET", "/Observation?_count=x", "", 400, "_count"},
		{"cursor", "GET", "/Observation?_cursor=1", "", 400, "_cursor"},
		{"no value", "GET", "/Observation?code=", "", 400, "no value"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c.send(r.method, r.path, r.body, "Prefer", "handling=strict").wants(t, r.status, r.text)
		})
	}
	c.send("PUT", "/Observation/o1", ok, "Content-Type", "text/plain").wants(t, 415, "")
	c.send("GET", strings.TrimSuffix(c.base, Base)+"/other", "").wants(t, 404, Base)
	c.send("GET", "/Observation", "").wants(t, 200, `"total":0`)
	c.send("POST", "/Observation", `{"resourceType":"Observation","a":"`+strings.Repeat("x", maxBodyBytes)+`"}`).wants(t, 413, "bytes")
}

func TestNumbersKeepTheirText(t *testing.T) {
	c := start(t)
	for i, number := range []string{"1.00", "1E-22", "-1.000000000000000000E+245", "0.0", "70.10", "0.1234567890123456789", "123456789012345678901234567890"} {
		id := fmt.Sprintf("n%d", i)
		c.send("PUT", "/Observation/"+id, observation(id, "p", "x", "2024", number)).wants(t, 201, "")
		c.send("GET", "/Observation/"+id, "").wants(t, 200, `"value":`+number+`,`)
	}
}

// TestExamples stores every official R4 example and reads it back unchanged.
func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir-r4-examples/*.json")
	if len(files) == 0 {
		t.Skip("the official examples are not here (../shared/data/fhir-r4-examples)")
	}
	c := start(t)
	for _, file := range files {
		if filepath.Base(file) == "package.json" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		path := "/" + want.get("resourceType").text() + "/" + want.get("id").text()
		c.send("PUT", path, string(text)).wants(t, 201, "")
		got, err := parse([]byte(c.send("GET", path, "").body))
		if err != nil || !sameContent(want, got) {
			t.Errorf("%s came back changed (%v)", file, err)
		}
	}
}

func TestSynthea(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/synthea/*.json")
	if len(files) == 0 {
		t.Skip("the Synthea bundles are not here (../shared/data/synthea)")
	}
	c := start(t, EnforceReferences())
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := c.send("POST", "", string(text))
		r.wants(t, 200, "transaction-response")
		if strings.Contains(r.body, "urn:uuid") {
			t.Errorf("%s: a reference was not rewritten", file)
		}
	}
	c.send("GET", "/Observation?_summary=count", "").wants(t, 200, `"total":256`)
	c.send("GET", "/Patient?_count=0", "").wants(t, 200, `"total":5`)
}

func TestSearch(t *testing.T) {
	c := start(t)
	put := func(path, body string) { c.send("PUT", path, body).wants(t, 201, "") }
	for i, at := range []string{"2024-05-06T10:30:00+02:00", "2024-05-06T09:30:00Z", "2024-05-07"} {
		id := fmt.Sprintf("s%d", i)
		put("/Observation/"+id, observation(id, "p1", []string{"8867-4", "9279-1", "8867-4"}[i], at, "70"))
	}
	put("/Observation/other", strings.Replace(observation("other", "p2", "8867-4", "2024-05-06T08:30:00Z", "70"), `"final"`, `"amended","encounter":{"reference":"Encounter/e1"},"category":[{"coding":[{"system":"urn:c","code":"vital-signs"}]}]`, 1))
	put("/Observation/long", strings.Replace(observation("long", "p3", "x", "2024", "1"), `"effectiveDateTime":"2024"`, `"effectivePeriod":{"start":"2024-05-01T00:00:00Z","end":"2024-05-03T00:00:00Z"}`, 1))
	put("/Observation/since", strings.Replace(observation("since", "p3", "x", "2024", "1"), `"effectiveDateTime":"2024"`, `"effectivePeriod":{"start":"2024-06-01T00:00:00Z"}`, 1))
	put("/Observation/never", strings.Replace(observation("never", "p4", "x", "2024", "1"), `"effectiveDateTime":"2024",`, ``, 1))
	put("/Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"value":"bare"},{"system":"urn:a","value":"a|b,c"}]}`)
	put("/Device/d1", `{"resourceType":"Device","id":"d1","identifier":[{"system":"urn:d","value":"bare"}],"patient":{"reference":"Patient/p1/_history/1"}}`)
	put("/Flag/f1", `{"resourceType":"Flag","id":"f1","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"period":{"start":"2024-05-06T10:00:00Z"}}`)
	put("/Provenance/v1", `{"resourceType":"Provenance","id":"v1","target":[{"reference":"Flag/f1"}],"recorded":"2024-05-06T10:00:00Z","agent":[{"who":{"display":"x"}}]}`)
	put("/DeviceUseStatement/u1", `{"resourceType":"DeviceUseStatement","id":"u1","status":"active","subject":{"reference":"Patient/p1"},"device":{"reference":"Device/d1"}}`)
	for _, q := range []struct{ query, want string }{
		{"Observation?_id=s1", "s1"},
		{"Observation?_id=s1,s0,none", "s0 s1"},
		{"Observation?identifier=urn:auscult%7Cseg-s1", "s1"},
		{"Observation?identifier=urn:auscult|seg-s1", "s1"},
		{"Observation?identifier=seg-s1", "s1"},
		{"Observation?identifier=%7Cseg-s1", ""},
		{"Observation?identifier=urn:x%7Cseg-s1,seg-s2", "s2"},
		{"Patient?identifier=%7Cbare", "p1"},
		{"Patient?identifier=a%5C%7Cb%5C,c", "p1"},
		{"Patient?identifier=urn:a%7Ca%5C%7Cb%5C,c", "p1"},
		{"Observation?patient=p1", "s0 s1 s2"},
		{"Observation?patient=Patient/p1&code=9279-1", "s1"},
		{"Observation?subject=Patient/p1&code=http://loinc.org%7C8867-4", "s0 s2"},
		{"Observation?subject=p1&code=8867-4&date=2024-05-06", "s0"},
		{"Observation?subject:Patient=p1", "s0 s1 s2"},
		{"Observation?subject=" + url.QueryEscape(c.base+"/Patient/p2"), "other"},
		{"Observation?patient=p1,p2&code=8867-4,9279-1", "s0 s1 s2 other"},
		{"Observation?device=Device/d-p1", "s0 s1 s2"},
		{"Observation?device=d-p2", "other"},
		{"Observation?encounter=e1", "other"},
		{"Observation?status=amended", "other"},
		{"Observation?status=http://hl7.org/fhir/observation-status%7Camended", "other"},
		{"Observation?category=vital-signs", "other"},
		{"Observation?patient=p1&date=ge2024-05-06T09:00:00Z", "s1 s2"},
		{"Observation?patient=p1&date=ge2024-05-06T08:30:00Z&date=lt2024-05-06T09:30:00Z", "s0"},
		{"Observation?patient=p1&date=gt2024-05-06T09:30:00Z", "s2"},
		{"Observation?patient=p1&date=le2024-05-06T09:30:00Z", "s0 s1"},
		{"Observation?patient=p1&date=eq2024-05", "s0 s1 s2"},
		{"Observation?patient=p1&date=ne2024-05-07", "s0 s1"},
		{"Observation?patient=p1&date=sa2024-05-06", "s2"},
		{"Observation?patient=p1&date=eb2024-05-07", "s0 s1"},
		{"Observation?patient=p1&date=2024-05-06T10:30:00%2B02:00", "s0"},
		{"Observation?patient=p1&date=2024-05-06T10:30:00+02:00", "s0"},
		{"Observation?patient=p3&date=2024-05-02", ""},
		{"Observation?patient=p3&date=ap2024-05-02", "long"},
		{"Observation?patient=p3&date=ge2024-05-02", "long since"},
		{"Observation?patient=p3&date=gt2024-05-03", "since"},
		{"Observation?patient=p3&date=2024-05", "long"},
		{"Observation?patient=p4&date=lt2030", ""},
		{"Observation?patient=p1&_sort=-date", "s2 s1 s0"},
		{"Observation?patient=p1,p2,p3,p4&_sort=date", "never long s0 other s1 s2 since"},
		{"Observation?patient=p1&_sort=-_lastUpdated&_lastUpdated=ge2020-01-01", "s2 s1 s0"},
		{"Observation?_lastUpdated=gt2999", ""},
		{"Observation?bogus=1&patient=p2", "other"},
		{"Flag?status=active", "f1"}, // R4 has no such parameter: ignored
		{"Flag?patient=p1&date=ge2024-05-06", "f1"},
		{"Flag?patient=p1&date=2024-05-06", ""}, // it has no end: the day does not hold it
		{"Device?patient=p1", "d1"},
		{"DeviceUseStatement?device=d1", "u1"},
		{"Provenance?target=Flag/f1", "v1"},
		{"Provenance?patient=p1", ""},
	} {
		r := c.send("GET", "/"+q.query, "")
		if got := strings.Join(r.ids(), " "); r.status != 200 || !sameOrSorted(q.query, got, q.want) || r.member("total") != fmt.Sprint(len(r.ids())) {
			t.Errorf("%s: %d, total %s, %q, want %q", q.query, r.status, r.member("total"), got, q.want)
		}
	}
	c.send("GET", "/Observation?patient=p1&_summary=count", "").wants(t, 200, `"total":3`)
	if r := c.send("GET", "/Observation?bogus=1&patient=p2", ""); strings.Contains(r.member("link"), "bogus") {
		t.Errorf("the self link names what was ignored: %s", r.member("link"))
	}
	c.send("POST", "/Observation/_search", "identifier=urn:auscult|seg-s1", "Content-Type", "application/x-www-form-urlencoded").wants(t, 200, `"total":1`)
}

// sameOrSorted compares ids: in order when the query asks for one.
func sameOrSorted(query, got, want string) bool {
	if strings.Contains(query, "_sort") {
		return got == want
	}
	a, b := strings.Fields(got), strings.Fields(want)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// TestPaging reads every page of every kind of search, while others write.
func TestPaging(t *testing.T) {
	c := start(t)
	const total = 23
	for i := range total {
		id := fmt.Sprintf("o%02d", i)
		at := fmt.Sprintf("2024-05-%02d", 1+(i*7)%5) // equal dates: the number breaks ties
		c.send("PUT", "/Observation/"+id, observation(id, fmt.Sprintf("p%d", i%2), "x", at, "1")).wants(t, 201, "")
	}
	for _, query := range []string{"", "code=x", "patient=p0,p1", "code=x&_sort=date", "_sort=-date", "patient=p0,p1&_sort=-_lastUpdated", "code=x&device=d-p0,d-p1&date=ge2024", "_id=" + strings.Join(numbered(total), ",")} {
		seen := map[string]bool{}
		pages := 0
		for next := c.base + "/Observation?_count=5&" + query; next != ""; pages++ {
			r := c.send("GET", next, "")
			if r.member("total") != fmt.Sprint(total) {
				t.Fatalf("%s: total %s", query, r.member("total"))
			}
			for _, id := range r.ids() {
				if seen[id] {
					t.Errorf("%s: %s twice", query, id)
				}
				seen[id] = true
			}
			next = ""
			if r.member("link", "1", "relation") == "next" {
				next = r.member("link", "1", "url")
			}
			if pages == 1 { // a newer resource shifts no page
				c.send("PUT", "/Observation/new", observation("new", "p9", "y", "2024-05-03", "1"))
			}
		}
		c.send("DELETE", "/Observation/new", "")
		delete(seen, "new")
		if len(seen) != total || pages != 5 {
			t.Errorf("%s: %d resources on %d pages", query, len(seen), pages)
		}
	}
	if n := len(c.send("GET", "/Observation?_count=5000", "").ids()); n != total {
		t.Errorf("_count=5000 gave %d", n)
	}
}

func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("o%02d", i))
	}
	return ids
}

func bundleOf(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func entry(method, address, resource string, more ...string) string {
	e := `{"request":{"method":"` + method + `","url":"` + address + `"`
	for i := 0; i < len(more); i += 2 {
		if more[i] != "fullUrl" {
			e += `,"` + more[i] + `":` + string(quoted(more[i+1]))
		}
	}
	e += "}"
	for i := 0; i < len(more); i += 2 {
		if more[i] == "fullUrl" {
			e += `,"fullUrl":"` + more[i+1] + `"`
		}
	}
	if resource != "" {
		e += `,"resource":` + resource
	}
	return e + "}"
}

func statusesOf(r response) string {
	var all []string
	for i := 0; r.member("entry", fmt.Sprint(i)) != ""; i++ {
		all = append(all, r.member("entry", fmt.Sprint(i), "response", "status")[:3])
	}
	return strings.Join(all, " ")
}

func TestBatch(t *testing.T) {
	c := start(t)
	c.send("PUT", "/Observation/old", observation("old", "p", "x", "2024", "1")).wants(t, 201, "")
	r := c.send("POST", "", bundleOf("batch",
		entry("PUT", "Observation/b1", observation("b1", "p", "x", "2024", "1")),
		entry("PUT", "Observation/b2", strings.Replace(observation("b2", "p", "x", "2024", "1"), "final", "nonsense", 1)),
		entry("PUT", "Observation/old", observation("old", "p", "x", "2024", "2"), "ifMatch", `W/"7"`),
		entry("PUT", "Observation/old", observation("old", "p", "x", "2024", "2"), "ifMatch", `W/"1"`),
		entry("GET", "Observation/old", ""),
		entry("GET", "Observation?patient=p", ""),
		entry("GET", "Observation/none", ""),
		entry("DELETE", "Observation/b1", ""),
		entry("POST", "Nonsense", `{"resourceType":"Nonsense"}`),
	))
	r.wants(t, 200, "batch-response")
	if got := statusesOf(r); got != "201 400 412 200 200 200 404 204 404" {
		t.Errorf("statuses %s", got)
	}
	if r.member("entry", "1", "response", "outcome", "resourceType") != "OperationOutcome" || r.member("entry", "3", "response", "etag") != `W/"2"` {
		t.Errorf("%s", r.body)
	}
	many := make([]string, maxEntries+1)
	for i := range many {
		many[i] = entry("GET", "Observation/old", "")
	}
	c.send("POST", "", bundleOf("batch", many...)).wants(t, 413, "500 entries")
	c.send("POST", "", `{"resourceType":"Bundle","type":"collection"}`).wants(t, 400, "batch or transaction")
	c.send("POST", "", `{"resourceType":"Bundle","type":"batch"}`).wants(t, 200, "batch-response")
}

func TestTransaction(t *testing.T) {
	c := start(t)
	const u1, u2 = "urn:uuid:1d8b5a9e-0000-4000-8000-000000000001", "urn:uuid:1d8b5a9e-0000-4000-8000-000000000002"
	c.send("PUT", "/Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:mrn","value":"m1"}]}`).wants(t, 201, "")
	assessment := `{"resourceType":"RiskAssessment","identifier":[{"system":"urn:x","value":"ra1"}],"status":"final","subject":{"reference":"Patient?identifier=urn:mrn|m1"}}`
	flag := `{"resourceType":"Flag","id":"f1","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"extension":[{"url":"urn:d","valueReference":{"reference":"` + u1 + `"}}]}`
	provenance := `{"resourceType":"Provenance","target":[{"reference":"` + u1 + `"},{"reference":"` + u2 + `"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`
	body := bundleOf("transaction",
		entry("PUT", "Flag/f1", flag, "fullUrl", u2),
		entry("POST", "RiskAssessment", assessment, "fullUrl", u1, "ifNoneExist", "identifier=urn:x|ra1"),
		entry("POST", "Provenance", provenance),
		entry("GET", "Flag/f1", ""))
	r := c.send("POST", "", body)
	r.wants(t, 200, "transaction-response")
	if got := statusesOf(r); got != "201 201 201 200" {
		t.Fatalf("statuses %s: %s", got, r.body)
	}
	id := r.member("entry", "1", "resource", "id")
	if got := r.member("entry", "2", "resource", "target", "0", "reference"); got != "RiskAssessment/"+id {
		t.Errorf("the reference became %q", got)
	}
	if got := r.member("entry", "1", "resource", "subject", "reference"); got != "Patient/p1" {
		t.Errorf("the conditional reference became %q", got)
	}
	c.send("GET", "/Provenance?target=Flag/f1", "").wants(t, 200, `"total":1`)
	if got := statusesOf(c.send("POST", "", body)); got != "200 200 201 200" {
		t.Errorf("again: %s", got)
	}

	// All or nothing, whatever fails.
	fresh := entry("PUT", "Observation/t1", observation("t1", "p1", "x", "2024", "1"))
	for _, bad := range []struct {
		entry, text string
		status      int
	}{
		{entry("PUT", "Flag/f1", strings.Replace(flag, u1, "Flag/f0", 1), "ifMatch", `W/"9"`), "entry 1: If-Match", 412},
		{entry("PUT", "Flag/f1", strings.Replace(flag, `"active"`, `"bad"`, 1)), "entry 1: Flag.status", 400},
		{entry("PUT", "Observation/t1", observation("t1", "p1", "x", "2024", "2")), "one resource", 400},
		{entry("PUT", "Flag/f1", strings.Replace(flag, u1, "urn:uuid:none", 1)), "fullUrl of no entry", 400},
		{entry("POST", "RiskAssessment", strings.Replace(assessment, "m1", "m9", 1)), "matches nothing", 412},
		{entry("GET", "Flag/none", ""), "no such Flag", 404},
	} {
		r := c.send("POST", "", bundleOf("transaction", fresh, bad.entry))
		r.wants(t, bad.status, bad.text)
		if got := r.member("issue", "0", "expression", "0"); got != "Bundle.entry[1]" {
			t.Errorf("the outcome points at %q", got)
		}
		c.send("GET", "/Observation/t1", "").wants(t, 404, "")
		c.send("GET", "/Observation?identifier=seg-t1", "").wants(t, 200, `"total":0`)
	}
}

func TestEnforceReferences(t *testing.T) {
	c := start(t, EnforceReferences())
	device := `{"resourceType":"Device","id":"d-p1"}`
	c.send("PUT", "/Observation/o1", observation("o1", "p1", "x", "2024", "1")).wants(t, 400, "Patient/p1 not found")
	c.send("POST", "", bundleOf("transaction",
		entry("PUT", "Observation/o1", observation("o1", "p1", "x", "2024", "1")),
		entry("PUT", "Patient/p1", `{"resourceType":"Patient","id":"p1"}`))).wants(t, 400, "Device/d-p1 not found")
	c.send("GET", "/Patient/p1", "").wants(t, 404, "")
	c.send("POST", "", bundleOf("transaction",
		entry("PUT", "Observation/o1", observation("o1", "p1", "x", "2024", "1")),
		entry("PUT", "Device/d-p1", device),
		entry("PUT", "Patient/p1", `{"resourceType":"Patient","id":"p1"}`))).wants(t, 200, "transaction-response")
	logical := `{"resourceType":"RiskAssessment","id":"r1","status":"final","subject":{"reference":"Patient/p1"},"basis":[{"type":"Observation","identifier":{"system":"urn:x","value":"none"}}]}`
	c.send("PUT", "/RiskAssessment/r1", logical).wants(t, 201, "")
}

func TestGzip(t *testing.T) {
	c := start(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(observation("gz", "p", "x", "2024", "1")))
	_ = z.Close()
	c.send("PUT", "/Observation/gz", b.String(), "Content-Encoding", "gzip").wants(t, 201, "")
	c.send("PUT", "/Observation/gz", "no gzip", "Content-Encoding", "gzip").wants(t, 400, "gzip")
}

func TestCapabilities(t *testing.T) {
	r := start(t).send("GET", "/metadata", "")
	r.wants(t, 200, "for trying it, for tests and for one-box sites")
	if r.member("fhirVersion") != "4.0.1" || strings.Contains(r.body, "null") {
		t.Errorf("%.300s", r.body)
	}
	accepts(t, "the CapabilityStatement", []byte(r.body))
	var stated struct {
		Rest []struct {
			Resource []struct{ Type, Documentation, Versioning, ConditionalRead, ConditionalDelete string }
		}
	}
	if err := json.Unmarshal([]byte(r.body), &stated); err != nil || len(stated.Rest) != 1 || len(stated.Rest[0].Resource) < 140 {
		t.Fatalf("%v: %+v", err, stated)
	}
	for _, one := range stated.Rest[0].Resource {
		want := storedDoc
		if _, known := searchable[one.Type]; known {
			want = checkedDoc
		}
		if one.Documentation != want || one.ConditionalRead != "full-support" || one.ConditionalDelete != "not-supported" || one.Versioning != "versioned-update" {
			t.Errorf("%+v", one)
		}
	}
	for kind, params := range searchable {
		dates := 0
		for _, p := range params {
			if p.kind == dateParam {
				dates++
			}
		}
		if dates > 1 {
			t.Errorf("%s has %d date parameters, the store keeps one", kind, dates)
		}
	}
}

// TestConcurrency: many clients write the same resources with If-Match; no write
// is lost and none is doubled.
func TestConcurrency(t *testing.T) {
	c := start(t)
	const clients, rounds = 16, 20
	c.send("PUT", "/Observation/shared", observation("shared", "p", "x", "2024", "0")).wants(t, 201, "")
	var wins atomic.Int64
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for k := range rounds {
				id := fmt.Sprintf("c%d-%d", i, k)
				if r, err := c.try("PUT", "/Observation/"+id, observation(id, "p", "x", "2024", "1")); err != nil || r.status != 201 {
					t.Errorf("%v %d %s", err, r.status, r.body)
				}
				r, err := c.try("GET", "/Observation/shared", "")
				if err != nil {
					t.Error(err)
					continue
				}
				r, err = c.try("PUT", "/Observation/shared", observation("shared", "p", "x", "2024", fmt.Sprintf("%d.%d", i+1, k)), "If-Match", r.header.Get("ETag"))
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 200:
					wins.Add(1)
				case r.status != 412:
					t.Errorf("%d %s", r.status, r.body)
				}
				if r, err := c.try("POST", "/Patient", `{"resourceType":"Patient","identifier":[{"value":"one"}]}`, "If-None-Exist", "identifier=one"); err != nil || r.status > 201 {
					t.Errorf("%v %d", err, r.status)
				}
			}
		})
	}
	group.Wait()
	if v := c.send("GET", "/Observation/shared", "").member("meta", "versionId"); v != fmt.Sprint(wins.Load()+1) {
		t.Errorf("version %s after %d successful writes", v, wins.Load())
	}
	c.send("GET", "/Observation?patient=p&_summary=count", "").wants(t, 200, fmt.Sprintf(`"total":%d`, clients*rounds+1))
	c.send("GET", "/Patient?identifier=one&_summary=count", "").wants(t, 200, `"total":1`)
}

// TestGroupCommit: requests that wait share a transaction; one that breaks it
// takes nobody else down.
func TestGroupCommit(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(id string, then error) func(context.Context, *writer) error {
		return func(ctx context.Context, w *writer) error {
			r, err := parse([]byte(`{"resourceType":"Patient","id":"` + id + `"}`))
			if err != nil {
				return err
			}
			if _, _, err := w.put(ctx, &change{kind: "Patient", id: id, resource: r, index: index{date: noSpan}}); err != nil {
				return err
			}
			return then
		}
	}
	ctx := context.Background()
	held, release := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		_ = s.write(ctx, false, func(context.Context, *writer) error { close(held); <-release; return nil })
	})
	<-held // everybody else waits now
	broken := errors.New("the disk is full")
	refused := problemf(http.StatusConflict, "conflict", "no")
	errs := make([]error, 12)
	for i := range errs {
		then := []error{nil, nil, broken, refused}[i%4]
		group.Go(func() { errs[i] = s.write(ctx, true, put(fmt.Sprint("p", i), then)) })
	}
	close(release)
	group.Wait()
	for i, err := range errs {
		found, readErr := s.reads.current(ctx, "Patient", fmt.Sprint("p", i))
		if readErr != nil {
			t.Fatal(readErr)
		}
		if want := []error{nil, nil, broken, refused}[i%4]; !errors.Is(err, want) || (found != nil) != (want == nil) {
			t.Errorf("p%d: %v, stored %v", i, err, found != nil)
		}
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder #1?", FileName)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPut, Base+"/Patient/p", strings.NewReader(`{"resourceType":"Patient","id":"p"}`)))
		if want := []int{201, 200}[i]; w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		w = httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPut, Base+"/Patient/p", strings.NewReader(`{"resourceType":"Patient","id":"p"}`)))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: %d", w.Code)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(path, "no", "folder")); err == nil || !strings.Contains(err.Error(), "opening FHIR store") {
		t.Errorf("%v", err)
	}
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, t.TempDir(), "127.0.0.1:0", func(base string) { ready <- base }) }()
	base := <-ready
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client{t, base, &http.Client{Transport: transport}}.send("GET", "/metadata", "").wants(t, 200, "CapabilityStatement")
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("stopping took %s", d)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Run(context.Background(), t.TempDir(), l.Addr().String(), nil); err == nil || !strings.Contains(err.Error(), "another address") {
		t.Errorf("a taken address: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(observation("o", "p", "x", "2024", "1.0")))
	f.Add([]byte(`{"a":[{"reference":"\u0041\"/\\"},null,true,-1e9]}`))
	f.Add([]byte(whole))
	f.Add([]byte(`{"resourceType":"Observation","":1,"_":2}`))
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":[null],"_given":[{"id":"x"}]}],"_birthDate":{"extension":[{"url":"u"}]},"deceasedBoolean":null}`))
	f.Add([]byte(`{"resourceType":"Encounter","class":[],"subject":{"reference":"://Patient/"},"contained":[{"contained":[{}]},1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parse(text)
		if err != nil {
			return
		}
		again, err := parse(v.raw)
		if err != nil || !bytes.Equal(v.raw, again.raw) || !same(v, again) {
			t.Errorf("%q reads differently a second time: %v", text, err)
		}
		if _, err := rewriteReferences(v, func(r string) (string, error) { return r + "x", nil }); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		kind := v.get("resourceType").text()
		var p *problem
		if err := validate(v, kind); err != nil && (!errors.As(err, &p) || p.status != http.StatusBadRequest) {
			t.Errorf("%q: %v", text, err)
		} else if err == nil && isResourceType(kind) {
			if _, err := indexOf(kind, v); err != nil {
				t.Errorf("%q is accepted, yet not indexed: %v", text, err)
			}
		}
	})
}

func BenchmarkPut(b *testing.B) {
	c := start(b)
	var n atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			id := fmt.Sprintf("%064x", i*7919)
			r, err := c.try("PUT", "/Observation/"+id, observation(id, fmt.Sprint(i%53), "8867-4", "2024-05-06T10:00:00Z", "70"), "Prefer", "return=minimal")
			if err != nil || r.status != http.StatusCreated {
				b.Errorf("%v %+v", err, r)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "PUT/s")
}

// BenchmarkTransaction writes what one score writes: three resources.
func BenchmarkTransaction(b *testing.B) {
	c := start(b)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			var entries []string
			for k := range 3 {
				id := fmt.Sprintf("t%d-%d", i, k)
				entries = append(entries, entry("PUT", "Observation/"+id, observation(id, fmt.Sprint(i%53), "8867-4", "2024-05-06T10:00:00Z", "70")))
			}
			if r, err := c.try("POST", "", bundleOf("transaction", entries...), "Prefer", "return=minimal"); err != nil || r.status != 200 {
				b.Errorf("%v %+v", err, r)
				return
			}
		}
	})
	b.ReportMetric(3*float64(b.N)/b.Elapsed().Seconds(), "resources/s")
}
