package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// bundleWriter writes a Bundle by hand: resources go in as they are stored.
type bundleWriter struct {
	kind    string
	total   int64
	links   []byte
	entries []byte
}

func quoted(text string) []byte {
	b, _ := json.Marshal(text) // a string always has a JSON form
	return b
}

func (b *bundleWriter) link(relation, address string, query url.Values) {
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	if b.links != nil {
		b.links = append(b.links, ',')
	}
	b.links = append(append(append(b.links, `{"relation":"`+relation+`","url":`...), quoted(address)...), '}')
}

func (b *bundleWriter) begin() {
	if b.entries != nil {
		b.entries = append(b.entries, ',')
	}
	b.entries = append(b.entries, '{')
}

func (b *bundleWriter) match(base string, s *stored) {
	b.begin()
	b.entries = append(b.entries, `"fullUrl":"`+base+"/"+s.kind+"/"+s.id+`","resource":`...)
	b.entries = append(append(b.entries, s.body...), `,"search":{"mode":"match"}}`...)
}

func (b *bundleWriter) version(base string, s *stored) {
	b.begin()
	b.entries = append(b.entries, `"fullUrl":"`+base+"/"+s.kind+"/"+s.id+`",`...)
	method, status := "PUT", "200 OK"
	switch {
	case s.deleted:
		method, status = "DELETE", "204 No Content"
	case s.version == 1:
		status = "201 Created"
	}
	if !s.deleted {
		b.entries = append(append(append(b.entries, `"resource":`...), s.body...), ',')
	}
	b.entries = append(b.entries, `"request":{"method":"`+method+`","url":"`+s.kind+"/"+s.id+`"},"response":{"status":"`+status+`"`...)
	b.entries = append(b.entries, s.versionMembers()...)
	b.entries = append(b.entries, "}}"...)
}

func (s *stored) versionMembers() string {
	return `,"etag":"W/\"` + strconv.FormatInt(s.version, 10) + `\"","lastModified":"` + s.lastUpdated() + `"`
}

// response writes what became of one entry of a batch or transaction.
func (b *bundleWriter) response(base string, a *answer, p *problem) {
	b.begin()
	if p != nil {
		b.entries = append(b.entries, `"response":{"status":"`+statusLine(p.status)+`","outcome":`...)
		b.entries = append(append(b.entries, p.outcome()...), "}}"...)
		return
	}
	if a.body != nil {
		b.entries = append(append(append(b.entries, `"resource":`...), a.body...), ',')
	}
	b.entries = append(b.entries, `"response":{"status":"`+statusLine(a.status)+`"`...)
	if s := a.resource; s != nil {
		b.entries = append(b.entries, `,"location":"`+base+"/"+s.location()+`"`+s.versionMembers()...)
	}
	b.entries = append(b.entries, "}}"...)
}

func statusLine(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }

func (b *bundleWriter) bytes() []byte {
	out := make([]byte, 0, len(b.entries)+len(b.links)+128)
	out = append(out, `{"resourceType":"Bundle","type":"`+b.kind+`"`...)
	switch {
	case b.kind != "searchset" && b.kind != "history":
		out = append(out, `,"meta":{"lastUpdated":"`+instant(time.Now().UnixMilli())+`"}`...)
	case b.total != notCounted:
		out = append(out, `,"total":`+strconv.FormatInt(b.total, 10)...)
	}
	if b.links != nil {
		out = append(append(append(out, `,"link":[`...), b.links...), ']')
	}
	if b.entries != nil {
		out = append(append(append(out, `,"entry":[`...), b.entries...), ']')
	}
	return append(out, '}')
}
