package fhir

import (
	"bytes"
	"strconv"
	"strings"

	"auscult/schemas"
)

// SameContent reports whether a stored resource says what body says. What a
// server adds (meta, and a narrative that body does not have) does not count.
func SameContent(stored, body []byte) bool {
	if bytes.Equal(stored, body) {
		return true
	}
	a, err := parseJSON(string(stored))
	if err != nil || a.kind != objectKind {
		return false
	}
	b, err := parseJSON(string(body))
	if err != nil || b.kind != objectKind {
		return false
	}
	if b.get("text") == nil {
		a = a.with("text", nil)
	}
	return equal(a.with("meta", nil), b.with("meta", nil))
}

// Status returns the status of a resource, empty when it has none.
func Status(body []byte) string {
	n, err := parseJSON(string(body))
	if err != nil {
		return ""
	}
	return n.get("status").str()
}

// Origin is what a Provenance of ours says of its target.
type Origin struct {
	Run        string        // RunLive, or the name of a replay
	Order      schemas.Order // of the record that wrote the target (G2)
	Generation string        // of the source topic
	Position   schemas.Position
	FlagStatus string // the status that we gave a Flag; empty for other targets
}

// ReadProvenance reads a Provenance of ours back; ok is false for others.
func ReadProvenance(body []byte) (o Origin, ok bool) {
	n, err := parseJSON(string(body))
	if err != nil || n.get("entity") == nil {
		return o, false
	}
	for _, e := range n.get("entity").items {
		id := e.path("what", "identifier")
		system, value := id.get("system").str(), id.get("value").str()
		switch system[strings.LastIndexByte(system, '/')+1:] {
		case orderSystem:
			ok = o.readOrder(value)
		case sourceSystem:
			o.readSource(value)
		case flagStatusSystem:
			o.FlagStatus = value
		}
	}
	return o, ok
}

func (o *Origin) readOrder(value string) bool {
	run, numbers, ok := cutNumbers(value, 2)
	o.Run, o.Order = run, schemas.Order{Version: numbers[0], Index: int32(numbers[1])}
	return ok
}

func (o *Origin) readSource(value string) {
	generation, n, ok := cutNumbers(value, 3)
	if ok {
		o.Generation, o.Position = generation, schemas.Position{Partition: int32(n[0]), Offset: n[1], Index: int32(n[2])}
	}
}

// cutNumbers takes count numbers off the end of a text, each behind a slash.
func cutNumbers(s string, count int) (head string, numbers [3]int64, ok bool) {
	for i := count - 1; i >= 0; i-- {
		cut := strings.LastIndexByte(s, '/')
		if cut < 0 {
			return s, numbers, false
		}
		n, err := strconv.ParseInt(s[cut+1:], 10, 64)
		if err != nil {
			return s, numbers, false
		}
		numbers[i], s = n, s[:cut]
	}
	return s, numbers, true
}
