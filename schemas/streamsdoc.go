package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// RetentionDelete is how long the topics of the plan that are not compacted
// keep their records: what Event Hubs Standard allows.
const RetentionDelete = 7 * 24 * time.Hour

// Retention returns how long the topic keeps a record; -1 is for ever.
func (t Topic) Retention() time.Duration {
	if t.Cleanup == CleanupCompact {
		return -1
	}
	return RetentionDelete
}

// documented are the records in the order of the river.
var documented = []*schema{measurementSchema, identitySchema, windowSchema, scoreSchema, resourceSchema, deadLetterSchema}

// StreamsDoc returns docs/streams.md: every topic and every field, made from
// Topics and the schemas.
func StreamsDoc() string {
	var b strings.Builder
	b.WriteString("# The streams\n\n" +
		"Generated from `schemas.Topics` and `schemas/avsc` (`go test ./schemas -update`); do not edit.\n\n" +
		"Topics carry the river's prefix. `devicedata` is the source's own topic, whatever its name, partition count and retention are there.\n\n" +
		"| topic | key | value | headers | retention | cleanup policy | partitioning | what it is |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range Topics {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n",
			t.Name, t.Key, t.Record, t.headers(), t.retention(), t.Cleanup, t.partitioning(), t.About)
	}
	b.WriteString(docRules)
	for _, s := range documented {
		b.WriteString(s.doc())
	}
	return b.String()
}

const docRules = `
**Partitioning.** FNV-1a, 32 bits, of the key, read as a signed number; the remainder by the partition count, made positive. One power-of-two
partition count for all topics of the river. This is Goka's and Sarama's rule; every producer of ours uses it.

**Records.** Avro single-object encoding: the bytes ` + "`C3 01`" + `, the CRC-64-AVRO fingerprint of the schema (little endian), the body. The header
` + "`content-type`" + ` says the same for people and tools: ` + "`avro/binary+<fingerprint>`" + `. Released schemas stay in ` + "`schemas/avsc`" + ` for ever, so that every
version reads what earlier ones wrote; fields are only added, with defaults. A record with an unknown fingerprint is a dead letter.

**Times** ("ticks") count 100 ns steps since 0001-01-01T00:00:00Z. Event time is a field, never the Kafka timestamp. Optional texts are empty.

**Rows** of the tables are not for other readers: their layout is private to Observe and Assess and begins with a version byte.
`

func (t Topic) headers() string {
	for _, s := range documented {
		if s.record == t.Record {
			return fmt.Sprintf("`%s: %s`", s.headers[0].Key, s.headers[0].Value)
		}
	}
	if t.Name == TopicDeviceData {
		return "any; IoT Hub's are read"
	}
	return "none"
}

func (t Topic) retention() string {
	if t.Retention() < 0 {
		return "for ever"
	}
	return fmt.Sprintf("%d days", t.Retention()/(24*time.Hour))
}

func (t Topic) partitioning() string {
	if t.Name == TopicDeviceData {
		return "the source's own"
	}
	return "FNV-1a of the key"
}

// avscType is any schema: a name, or an object, or a union of them.
type avscType struct {
	Name    string // of a named type, or of the primitive or earlier type referred to
	Kind    string `json:"type"`
	Doc     string
	Symbols []string
	Fields  []avscField
	Items   *avscType
	union   []string
}

type avscField struct {
	Name, Doc string
	Type      avscType
}

// UnmarshalJSON reads the three forms that a schema takes.
func (t *avscType) UnmarshalJSON(text []byte) error {
	switch text[0] {
	case '"':
		return json.Unmarshal(text, &t.Name)
	case '[':
		return json.Unmarshal(text, &t.union)
	}
	type object avscType
	return json.Unmarshal(text, (*object)(t))
}

// doc returns the chapter of one record.
func (s *schema) doc() string {
	var root avscType
	if err := json.Unmarshal([]byte(s.avsc), &root); err != nil {
		panic(fmt.Sprintf("reading schema of %s, which goavro has parsed: %v", s.record, err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s Fingerprint `%016x`.\n\n| field | type | meaning |\n|---|---|---|\n", s.record, root.Doc, s.fingerprint)
	root.rows(&b, "")
	return b.String()
}

// rows writes a line for each field, those of parts indented by their path.
func (t *avscType) rows(b *strings.Builder, path string) {
	for _, f := range t.Fields {
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", path, f.Name, f.Type.label(), f.Doc)
		part, step := &f.Type, "."
		if part.Items != nil {
			part, step = part.Items, "[]."
		}
		part.rows(b, path+f.Name+step)
	}
}

func (t *avscType) label() string {
	switch {
	case t.union != nil:
		return strings.Join(t.union, " or ")
	case t.Items != nil:
		return "list of " + t.Items.label()
	case t.Symbols != nil:
		return strings.Join(t.Symbols, ", ")
	}
	return t.Name
}
