package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"unicode/utf8"

	"auscult/schemas"
)

// base64Encoding is what an encoding says of bytes that are no text.
const base64Encoding = "base64"

// shownLetter is a dead letter as a person or a script reads it. Its bytes can
// be had back exactly: as they are where they are text, else in base64, and
// null where there were none.
type shownLetter struct {
	Stage         string        `json:"stage"`
	Reason        string        `json:"reason"`
	Detail        string        `json:"detail"`
	Action        string        `json:"action"`
	Topic         string        `json:"topic"`
	Partition     int32         `json:"partition"`
	Offset        int64         `json:"offset"`
	Timestamp     string        `json:"timestamp"`
	Key           *string       `json:"key"`
	KeyEncoding   string        `json:"keyEncoding,omitempty"`
	Headers       []shownHeader `json:"headers"` // in their order; a name may be there twice
	Value         *string       `json:"value"`
	ValueEncoding string        `json:"valueEncoding,omitempty"`
	SHA256        string        `json:"sha256"`
	Lineage       shownLineage  `json:"lineage"`
}

type shownHeader struct {
	Key         *string `json:"key"`
	KeyEncoding string  `json:"keyEncoding,omitempty"`
	Value       *string `json:"value"`
	Encoding    string  `json:"encoding,omitempty"` // of the value
}

type shownLineage struct {
	Run        string `json:"run"`
	Generation string `json:"generation"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	Index      int32  `json:"index"`
	Mapping    string `json:"mapping"`
}

// shown returns bytes as text and, where they are none, how that is encoded.
func shown(b []byte) (text *string, encoding string) {
	if b == nil {
		return nil, ""
	}
	s := string(b)
	if !utf8.Valid(b) {
		s, encoding = base64.StdEncoding.EncodeToString(b), base64Encoding
	}
	return &s, encoding
}

func printLetter(w io.Writer, d *schemas.DeadLetter) error {
	s := shownLetter{
		Stage: d.Stage, Reason: d.Reason, Detail: d.Detail, Action: d.Action,
		Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Timestamp: d.Timestamp.String(),
		Headers: make([]shownHeader, len(d.Headers)), SHA256: d.SHA256, Lineage: shownLineage(d.Lineage),
	}
	s.Key, s.KeyEncoding = shown(d.Key)
	s.Value, s.ValueEncoding = shown(d.Value)
	for i, h := range d.Headers {
		s.Headers[i].Key, s.Headers[i].KeyEncoding = shown([]byte(h.Key))
		s.Headers[i].Value, s.Headers[i].Encoding = shown(h.Value)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // for a terminal
	return e.Encode(s)
}
