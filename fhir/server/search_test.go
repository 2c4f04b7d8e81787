package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// ward stores two patients with their devices and what was observed on them.
func ward(t *testing.T) client {
	c := start(t)
	put := func(path, body string) {
		t.Helper()
		c.send("PUT", "/"+path, body).wants(t, 201, "")
	}
	for i, p := range []string{"p1", "p2"} {
		put("Patient/"+p, `{"resourceType":"Patient","id":"`+p+`","identifier":[{"system":"urn:mrn","value":"m`+fmt.Sprint(i+1)+`"},{"value":"both"}]}`)
		put("Device/d-"+p, `{"resourceType":"Device","id":"d-`+p+`","identifier":[{"system":"urn:mac","value":"`+p+`"}],"patient":{"reference":"Patient/`+p+`"}}`)
	}
	put("Group/g1", `{"resourceType":"Group","id":"g1","type":"person","actual":true,"identifier":[{"system":"urn:mrn","value":"m1"}]}`)
	put("Encounter/e1", `{"resourceType":"Encounter","id":"e1","identifier":[{"value":"visit"}],"status":"in-progress","class":{"code":"IMP"},"subject":{"reference":"Patient/p1"}}`)
	put("Observation/a", observation("a", "p1", "8867-4", "2024-05-06", "70"))
	put("Observation/b", strings.Replace(observation("b", "p1", "9279-1", "2024-05-07", "70"), `"status"`, `"encounter":{"reference":"Encounter/e1"},"status"`, 1))
	put("Observation/c", observation("c", "p2", "8867-4", "2024-05-08", "70"))
	put("Observation/group", `{"resourceType":"Observation","id":"group","identifier":[{"type":{"coding":[{"system":"urn:type","code":"t"}]},"value":"bare"}],"status":"final",`+
		`"code":{"coding":[{"code":"local"},{"system":"urn:c","code":"x"}]},"subject":{"reference":"Group/g1"},"effectiveTiming":{"event":["2024-06-01","2024-06-03"]}}`)
	put("Observation/alone", `{"resourceType":"Observation","id":"alone","status":"final","code":{"text":"x"},"category":[{"coding":[{"system":"urn:c","code":"x"}]}],`+
		`"subject":{"identifier":{"value":"somebody"}},"effectiveTiming":{"repeat":{"boundsPeriod":{"start":"2024-07-01","end":"2024-07-02"}}}}`)
	return c
}

func TestSearchForms(t *testing.T) {
	c := ward(t)
	for _, q := range []struct{ query, want string }{
		// Tokens.
		{"Observation?code=http://loinc.org|", "a b c"},
		{"Observation?code=urn:c|", "group"},
		{"Observation?code=urn:c|,http://loinc.org|9279-1", "b group"},
		{"Observation?code=urn:none|", ""},
		{"Observation?code=|local", "group"},
		{"Observation?code=|8867-4", ""},
		{"Observation?code=x", "group"},
		{"Observation?category=urn:c|", "alone"},
		{"Observation?identifier=urn:auscult|", "a b c"},
		{"Observation?identifier=urn:type|", ""}, // a type of an identifier is no identifier
		{"Observation?identifier=|bare", "group"},
		{"Patient?identifier=urn:mrn|&identifier=both", "p1 p2"},
		{"Encounter?identifier=visit&status=in-progress,finished", "e1"},
		// Presence.
		{"Observation?encounter:missing=true", "a alone c group"},
		{"Observation?encounter:missing=false", "b"},
		{"Observation?patient:missing=true", "group"}, // whose the identifier of alone is, nobody knows
		{"Observation?subject:missing=false&device:missing=true", "alone group"},
		{"Observation?identifier:missing=true", "alone"},
		{"Observation?code:missing=true", ""},
		{"Observation?date:missing=true", ""},
		{"Observation?patient=p1&encounter:missing=true", "a"},
		{"Device?patient:missing=false", "d-p1 d-p2"},
		// Chains.
		{"Observation?patient.identifier=urn:mrn|m1", "a b"},
		{"Observation?patient.identifier=m1,m2", "a b c"},
		{"Observation?patient.identifier=m9", ""},
		{"Observation?subject.identifier=urn:mrn|m1", "a b group"},
		{"Observation?subject:Patient.identifier=m1", "a b"},
		{"Observation?subject:Group.identifier=m1", "group"},
		{"Observation?device.identifier=urn:mac|p2", "c"},
		{"Observation?device.patient.identifier=m2", "c"},
		{"Observation?encounter.status=in-progress&code=9279-1", "b"},
		{"Observation?patient.identifier=m1&date=gt2024-05-06", "b"},
		{"Observation?patient.identifier=m1&device.identifier=p2", ""},
		{"Observation?patient._id=p2", "c"},
		{"Device?patient.identifier=m2", "d-p2"},
		{"Encounter?patient.identifier=m1", "e1"},
		// Timing.
		{"Observation?date=2024-06", "group"},
		{"Observation?date=ge2024-06-03", "alone"}, // group ends with that day, and does not lie in it,
		{"Observation?date=2024-07", "alone"},
		{"Observation?date=2024-05-06,2024-05-08", "a c"},
		// Reference forms.
		{"Observation?subject=Patient/p1,Group/g1", "a b group"},
		{"Observation?subject:Patient=p1", "a b"},
		{"Observation?subject=" + url.QueryEscape(c.base) + "/Group/g1", "group"},
		{"Observation?subject=g1", "group"},
		// Results.
		{"Observation?_sort=-date&patient=p1", "b a"},
		{"Observation?_sort=bogus&patient=p1", "a b"},
		{"Observation?_sort=date,code&patient=p1", "a b"},
		{"Observation?bogus.identifier=1&patient=p2", "c"},
		{"Observation?patient.bogus=1&device=d-p2", "c"},
		{"Observation?patient._count=1&device=d-p2", "c"},
	} {
		r := c.send("GET", "/"+strings.ReplaceAll(q.query, "|", "%7C"), "")
		if got := strings.Join(r.ids(), " "); r.status != 200 || !sameOrSorted(q.query, got, q.want) || r.member("total") != fmt.Sprint(len(r.ids())) {
			t.Errorf("%s: %d, total %s, %q, want %q", q.query, r.status, r.member("total"), got, q.want)
		}
	}
}

func TestSearchRefusals(t *testing.T) {
	c := ward(t)
	for _, q := range []struct{ query, text string }{
		{"code=%7C", "a bar needs"},
		{"status=urn:x%7C", "name a code"},
		{"code:missing=yes", "true or false"},
		{"_id:missing=true", "modifier"},
		{"_lastUpdated:missing=true", "modifier"},
		{"code:Patient=x", "modifier"},
		{"patient:Group.identifier=x", "modifier"},
		{"device.patient.x.y.z=1", "at most 3"},
		{"patient.identifier=", "no value"},
		{"_total=some", "_total"},
		{"_lastUpdated=zz2024", "prefix"},
		{"a=%zz", "query"},
	} {
		c.send("GET", "/Observation?"+q.query, "").wants(t, 400, q.text)
	}
	for _, query := range []string{"bogus=1", "patient.bogus=1", "bogus.identifier=1", "_sort=code", "_sort=date,code", "_include=x", "_summary=text"} {
		name, _, _ := strings.Cut(query, "=")
		c.send("GET", "/Observation?"+query, "", "Prefer", "handling=strict").wants(t, 400, name)
		r := c.send("GET", "/Observation?patient=p1&"+query, "", "Prefer", "handling=lenient")
		r.wants(t, 200, `"total":2`)
		if strings.Contains(r.member("link"), name) {
			t.Errorf("%s: the self link names what was left out: %s", query, r.member("link"))
		}
	}
	c.send("GET", "/Observation?identifier="+strings.Repeat("x", maxAddressBytes), "").wants(t, 414, "_search")
	long := "identifier=" + strings.Repeat("x", maxAddressBytes)
	c.send("POST", "/Observation/_search", long, "Content-Type", "application/x-www-form-urlencoded").wants(t, 200, `"total":0`)
	c.send("POST", "", bundleOf("batch", entry("GET", "Observation?"+long, ""))).wants(t, 200, "414")
	c.send("GET", "/Observation?code="+strings.Repeat("x,", maxValues)+"y", "").wants(t, 400, "more than 200 values")
	c.send("GET", "/Observation?"+strings.Repeat("code=x&", maxConditions+1), "").wants(t, 400, "more than 40")
}

func TestTotal(t *testing.T) {
	c := ward(t)
	r := c.send("GET", "/Observation?_total=none&_count=2&patient.identifier=both", "")
	if r.member("total") != "" || len(r.ids()) != 2 {
		t.Errorf("%s", r.body)
	}
	r = c.send("GET", r.member("link", "1", "url"), "")
	if r.member("total") != "" || len(r.ids()) != 1 || r.member("link", "1", "url") != "" {
		t.Errorf("the last page: %s", r.body)
	}
	for _, query := range []string{"_total=accurate", "_total=estimate", "_total=none&_summary=count"} {
		c.send("GET", "/Observation?"+query, "").wants(t, 200, `"total":5`)
	}
}

// TestLongChain: a chain over too many resources is refused, not cut short.
func TestLongChain(t *testing.T) {
	c := start(t)
	var entries []string
	for i := range maxChained + 1 {
		id := fmt.Sprint("p", i)
		entries = append(entries, entry("PUT", "Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","gender":"other","active":`+fmt.Sprint(i > 0)+`}`))
	}
	for ; len(entries) > 0; entries = entries[min(maxEntries, len(entries)):] {
		c.send("POST", "", bundleOf("batch", entries[:min(maxEntries, len(entries))]...)).wants(t, 200, "201")
	}
	c.send("PUT", "/Observation/o", observation("o", "p7", "x", "2024", "1")).wants(t, 201, "")
	c.send("GET", "/Observation?patient.gender=other", "").wants(t, 400, "more than 500")
	c.send("DELETE", "/Patient/p0", "").wants(t, 204, "")
	c.send("GET", "/Observation?patient.gender=other", "").wants(t, 200, `"total":1`)
}

func TestLastUpdated(t *testing.T) {
	c := start(t)
	at := c.send("PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`).member("meta", "lastUpdated")
	for prefix, total := range map[string]string{"": "1", "eq": "1", "ne": "0", "gt": "0", "ge": "1", "lt": "0", "le": "1", "sa": "0", "eb": "0", "ap": "1"} {
		if got := c.send("GET", "/Patient?_lastUpdated="+prefix+at, "").member("total"); got != total {
			t.Errorf("%s: %s, want %s", prefix, got, total)
		}
	}
	for query, total := range map[string]string{"gt2000&_lastUpdated=lt2001": "0", "gt2000&_lastUpdated=lt3000": "1", "lt2000,gt2001": "1"} {
		if got := c.send("GET", "/Patient?_lastUpdated="+query, "").member("total"); got != total {
			t.Errorf("%s: %s, want %s", query, got, total)
		}
	}
}

// FuzzSearch: whatever the query, the answer is a page or a problem that is
// the client's.
func FuzzSearch(f *testing.F) {
	for _, query := range []string{"code=a|b,c\\,|&date=ge2024", "patient.identifier=x&_sort=-date&_total=none", "subject:Patient.birthdate=lt2000&device:missing=true",
		"_cursor=1.2.3&_count=1", "identifier=urn:x|", "_lastUpdated=ap2024-05-06T10:00+02:00"} {
		f.Add("Observation", query)
	}
	s, err := Open(f.TempDir() + "/" + FileName)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, kind, text string) {
		query, err := url.ParseQuery(text)
		if _, known := paramsOf(kind); err != nil || !known {
			return
		}
		if _, err := s.reads.search(t.Context(), &call{kind: kind, query: query}); err != nil && problemOf(err).status != 400 {
			t.Errorf("%s?%s: %v", kind, text, err)
		}
	})
}
