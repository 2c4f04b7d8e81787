package mapping_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"auscult/internal/mapfile"
	"auscult/mapping"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

// guide is the page whose examples are run.
const guide = "../docs/mappings.md"

// updating reports whether answers are to be written into the guide. The flag
// is shared with the package's other tests.
var updating = sharedFlag("update", "write the answers into the golden files")

func sharedFlag(name, usage string) func() bool {
	if flag.Lookup(name) == nil {
		flag.Bool(name, false, usage)
	}
	return func() bool { return flag.Lookup(name).Value.String() == "true" }
}

// TestGuide works through the guide from top to bottom, as a reader would, and
// demands every answer that is printed there. -update writes them.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, examples: map[string]int{}}
	p.read(strings.Split(string(text), "\n"))
	if updating() {
		if err := os.WriteFile(guide, []byte(strings.Join(p.out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.compare(strings.Split(string(text), "\n"))
	p.checkLinks()
}

// page is the guide while it is read. out is what it should say.
type page struct {
	t        *testing.T
	out      []string
	section  string         // anchor of the heading above
	examples map[string]int // how many were run, by section
	links    []string       // from the table of differences

	device  *mapping.Device // the mapping in force; nil when it was refused
	refusal error
	msg     *mapping.Message // the one that was given last
}

func (p *page) fail(format string, args ...any) {
	p.t.Errorf("%s:%d: %s", guide, len(p.out), fmt.Sprintf(format, args...))
}

// read works through the lines.
func (p *page) read(lines []string) {
	for i := 0; i < len(lines); {
		switch line := lines[i]; {
		case strings.HasPrefix(line, "```"):
			i = p.fence(lines, i)
		case strings.HasPrefix(line, "|"):
			i = p.table(lines, i)
		default:
			if strings.HasPrefix(line, "#") {
				p.section = anchor(line)
				p.examples[p.section] += 0
			}
			p.out = append(p.out, line)
			i++
		}
	}
}

// anchor is how a link names a heading.
func anchor(heading string) string {
	text := strings.ToLower(strings.TrimLeft(heading, "# "))
	text = notInAnchors.ReplaceAllString(text, "")
	return strings.ReplaceAll(text, " ", "-")
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// fence works through one fenced block and returns the place behind it. The
// second word of its first line says what it is.
func (p *page) fence(lines []string, i int) int {
	end := i + 1
	for end < len(lines) && lines[end] != "```" {
		end++
	}
	if end == len(lines) {
		p.t.Fatalf("%s:%d: a block does not end", guide, i+1)
	}
	body := lines[i+1 : end]
	p.out = append(p.out, lines[i])
	if language, role, _ := strings.Cut(strings.TrimPrefix(lines[i], "```"), " "); role != "" {
		body = p.block(role, body)
	} else if language == "json" || language == "text" {
		p.fail("a block of %s must say what it is", language)
	}
	p.out = append(append(p.out, body...), "```")
	return end + 1
}

// block returns what a block should hold: what is given stays, answers are
// worked out from what was given last.
func (p *page) block(role string, body []string) []string {
	text := strings.Join(body, "\n")
	switch role {
	case "mapping":
		p.device, p.refusal = mapping.LoadDevice([]byte(text))
		return body
	case "body":
		p.msg = &mapping.Message{Body: []byte(text), HasBody: true}
		return body
	case "record":
		p.msg = p.record(body)
		return body
	}
	answer, known := answers[role]
	switch {
	case !known:
		p.fail("no such kind of block: %q", role)
		return body
	case role != "errors" && p.device == nil:
		p.fail("there is no mapping above, or it is refused: %v", p.refusal)
		return body
	case p.msg == nil:
		p.fail("there is no message above")
		return body
	}
	p.examples[p.section]++
	return answer(p)
}

// answers are the blocks that are worked out.
var answers = map[string]func(*page) []string{
	"result":       (*page).result,
	"errors":       (*page).errors,
	"measurements": (*page).measurements,
	"seen":         (*page).seen,
	"explained":    (*page).explained,
	"warnings":     (*page).warnings,
}

// record reads the description of a Kafka record: what the broker knows and the
// headers, an empty line, the value.
func (p *page) record(lines []string) *mapping.Message {
	var r schemas.Raw
	for i, line := range lines {
		if line == "" {
			r.Value = []byte(strings.Join(lines[i+1:], "\n"))
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "(key)":
			r.Key = []byte(value)
		case "(offset)":
			if _, err := fmt.Sscan(value, &r.Offset); err != nil {
				p.fail("offset: %v", err)
			}
		case "(timestamp)":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				p.fail("timestamp: %v", err)
			}
			r.Timestamp = at
		default:
			r.Headers = append(r.Headers, schemas.Header{Key: name, Value: []byte(value)})
		}
	}
	msg := mapping.EnvelopeOf(r)
	return &msg
}

// outcome is what a mapping makes of a message.
type outcome struct {
	measurements []schemas.Measurement
	failures     []mapping.Failure
	unusable     error // the message as a whole
}

func outcomeOf(d *mapping.Device, msg *mapping.Message) (o outcome) {
	o.unusable = d.NewMapper().Map(msg,
		func(m *schemas.Measurement) { o.measurements = append(o.measurements, clone(m)) },
		func(f mapping.Failure) { o.failures = append(o.failures, f) })
	return o
}

// clone copies what is valid during a call only.
func clone(m *schemas.Measurement) schemas.Measurement {
	c := *m
	for _, text := range []*string{&c.Device, &c.Patient, &c.Encounter, &c.Correlation} {
		*text = strings.Clone(*text)
	}
	c.Values = nil
	for _, v := range m.Values {
		c.Values = append(c.Values, schemas.NamedText{Name: v.Name, Text: strings.Clone(v.Text)})
	}
	return c
}

// result tells an outcome, one line each.
func (p *page) result() []string {
	o := outcomeOf(p.device, p.msg)
	var lines []string
	for i := range o.measurements {
		lines = append(lines, measurementLine(&o.measurements[i]))
	}
	for _, f := range o.failures {
		lines = append(lines, "failed: "+f.Error())
	}
	if o.unusable != nil {
		lines = append(lines, "unusable: "+o.unusable.Error())
	}
	if lines == nil {
		lines = []string{"nothing"}
	}
	return lines
}

func measurementLine(m *schemas.Measurement) string {
	line := m.Type + " at " + m.Occurrence.String() + ", device " + m.Device
	for _, id := range []struct{ noun, text string }{{"correlation", m.Correlation}, {"patient", m.Patient}, {"encounter", m.Encounter}} {
		if id.text != "" {
			line += ", " + id.noun + " " + id.text
		}
	}
	line += ":"
	for _, v := range m.Values {
		line += fmt.Sprintf(" %s=%q", v.Name, v.Text)
	}
	return line
}

// measurements tells them as auscult map does.
func (p *page) measurements() []string {
	o := outcomeOf(p.device, p.msg)
	var lines []string
	for i := range o.measurements {
		m := &o.measurements[i]
		type property struct{ Name, Value string }
		properties := []property{}
		for _, v := range m.Values {
			properties = append(properties, property{v.Name, v.Text})
		}
		line, err := json.Marshal(struct {
			Type              string
			OccurrenceTimeUtc string
			DeviceID          string `json:"DeviceId"`
			Properties        []property
		}{m.Type, m.Occurrence.String(), m.Device, properties})
		if err != nil {
			p.fail("%v", err)
		}
		lines = append(lines, string(line))
	}
	return lines
}

// seen is the message as expressions see it, one member of it a line.
func (p *page) seen() []string {
	got, _ := selected(jsonPath, "$", p.msg)
	var envelope struct{ Body, Properties, SystemProperties json.RawMessage }
	if err := json.Unmarshal([]byte(strings.Join(got, "")), &envelope); err != nil {
		p.fail("%q: %v", got, err)
		return nil
	}
	return []string{
		`{"Body": ` + string(envelope.Body) + `,`,
		` "Properties": ` + string(envelope.Properties) + `,`,
		` "SystemProperties": ` + string(envelope.SystemProperties) + `}`,
	}
}

// explained is what explain tells of the message.
func (p *page) explained() []string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p.device.Explain(p.msg)); err != nil {
		p.fail("%v", err)
	}
	return strings.Split(strings.TrimSpace(b.String()), "\n")
}

// warnings tells what check tells of the mapping above.
func (p *page) warnings() []string {
	var lines []string
	for _, l := range p.device.Lints() {
		lines = append(lines, l.String())
	}
	return lines
}

// errors tells why the mapping above is refused.
func (p *page) errors() []string {
	if p.refusal == nil {
		p.fail("the mapping above loads")
	}
	var lines []string
	for _, e := range mapping.LoadErrors(p.refusal) {
		lines = append(lines, e.Error())
	}
	return lines
}

// compare reports each line that the guide should say otherwise.
func (p *page) compare(lines []string) {
	at := func(lines []string, i int) string {
		if i < len(lines) {
			return lines[i]
		}
		return "nothing more"
	}
	for i := range max(len(lines), len(p.out)) {
		says, answer := at(lines, i), at(p.out, i)
		if says == answer {
			continue
		}
		p.t.Errorf("%s:%d:\n  says %s\nanswer %s", guide, i+1, says, answer)
		if len(lines) != len(p.out) {
			return // all that follows has moved
		}
	}
}

// table works through one table and returns the place behind it. Its first line
// says what it is: the last column of a known kind is worked out from the others.
func (p *page) table(lines []string, i int) int {
	head := lines[i]
	kind, known := tables[head]
	for n := 0; i < len(lines) && strings.HasPrefix(lines[i], "|"); i, n = i+1, n+1 {
		p.out = append(p.out, lines[i])
		row := cells(lines[i])
		switch {
		case head == differences && n > 1:
			p.links = append(p.links, row[len(row)-1])
		case head == ruleTable && n == 2:
			p.out = append(p.out[:len(p.out)-1], rules()...)
		case head == ruleTable && n > 2:
			p.out = p.out[:len(p.out)-1] // all are told by then
		case known && n > 1:
			p.examples[p.section]++
			row[len(row)-1] = kind(p, plain(row[:len(row)-1]))
			p.out[len(p.out)-1] = "| " + strings.Join(row, " | ") + " |"
		case n == 0 && !known && answerColumn.MatchString(head):
			p.fail("no such kind of table: %s", head)
		}
	}
	return i
}

// ruleTable is the first line of the table of all rules of warnings.
const ruleTable = "| rule | what it tells |"

func rules() []string {
	var lines []string
	for _, r := range mapping.LintRules() {
		lines = append(lines, "| "+code(r.Name)+" | "+r.Doc+" |")
	}
	return lines
}

// differences is the first line of the table that compares; the last column
// names the section that shows the difference.
const differences = "| what | MedTech and iomt-fhir | here | why | example |"

// answerColumn finds tables that look as if they were run.
var answerColumn = regexp.MustCompile(`\| (selects|matches|value|text|occurrence|answer|limit) \|$`)

// tables are the kinds of tables whose last column is worked out.
var tables = map[string]func(p *page, given []string) string{
	"| JSONPath | message | selects |": func(_ *page, g []string) string { return told(selected(jsonPath, g[0], envelope(g[1]))) },
	"| JMESPath | message | matches |": func(_ *page, g []string) string { return told(selected(jmesPath, g[0], envelope(g[1]))) },
	"| JSONPath | message | value |":   func(_ *page, g []string) string { return told(valueOf(jsonPath, g[0], envelope(g[1]))) },
	"| JMESPath | message | value |":   func(_ *page, g []string) string { return told(valueOf(jmesPath, g[0], envelope(g[1]))) },
	"| value | text |":                 func(_ *page, g []string) string { return told(valueOf(jsonPath, "$.v", envelope(`{"v": `+g[0]+`}`))) },
	"| timestamp | occurrence |":       func(_ *page, g []string) string { return told(occurrenceOf("$.t", envelope(`{"t": `+g[0]+`}`))) },
	"| message body | answer |":        func(_ *page, g []string) string { return told(bodyOf(g[0])) },
	"| what | limit |":                 (*page).limit,
}

// cellText is a run of characters up to a | that no backslash precedes.
var cellText = regexp.MustCompile(`(?:\\.|[^|\\])*`)

// cells splits a line of a table.
func cells(line string) []string {
	var row []string
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	for _, cell := range cellText.FindAllString(line, -1) {
		row = append(row, strings.TrimSpace(cell))
	}
	return row
}

// plain returns what cells say, without the marks of a code span.
func plain(row []string) []string {
	said := make([]string, len(row))
	for i, cell := range row {
		mark := cell[:len(cell)-len(strings.TrimLeft(cell, "`"))]
		text := strings.TrimSuffix(strings.TrimPrefix(cell, mark), mark)
		if len(text) > 2 && text[0] == ' ' && text[len(text)-1] == ' ' {
			text = text[1 : len(text)-1]
		}
		said[i] = strings.ReplaceAll(text, `\|`, "|")
	}
	return said
}

// code is text as a code span of a table.
func code(text string) string {
	mark := "`"
	for strings.Contains(text, mark) {
		mark += "`"
	}
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return mark + strings.ReplaceAll(ascii(text), "|", `\|`) + mark
}

// ascii is text with other characters written as escapes.
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < ' ' || r > '~' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// told is an answer as the last cell of a table.
func told(got []string, err error) string {
	if err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), "|", `\|`)
	}
	if len(got) == 0 {
		return "nothing"
	}
	spans := make([]string, len(got))
	for i, text := range got {
		if spans[i] = code(text); text == "" {
			spans[i] = "an empty text"
		}
	}
	return strings.Join(spans, " and ")
}

// envelope makes the text of a table the whole of what expressions see.
func envelope(text string) *mapping.Message {
	return &mapping.Message{Body: []byte(text), HasBody: true, Whole: true}
}

// Languages of expressions, as mapping files name them.
const (
	jsonPath = "JsonPath"
	jmesPath = "JmesPath"
)

// expression is an expression of a CalculatedContent template.
type expression struct {
	Value    string `json:"value"`
	Language string `json:"language"`
}

// always are expressions that do not depend on the message.
var (
	alwaysMatch  = expression{"`0`", jmesPath}
	alwaysDevice = expression{"'device'", jmesPath}
	alwaysEpoch  = expression{"fromUnixTimestamp(`0`)", jmesPath}
)

// run maps a message with a mapping of one template with one value.
func run(match, timestamp, value expression, msg *mapping.Message) (outcome, error) {
	type valueTemplate struct {
		Name       string     `json:"valueName"`
		Expression expression `json:"valueExpression"`
	}
	file, err := json.Marshal(map[string]any{"templateType": "CollectionContent", "template": []any{
		map[string]any{"templateType": "CalculatedContent", "template": map[string]any{
			"typeName": "t", "typeMatchExpression": match, "deviceIdExpression": alwaysDevice, "timestampExpression": timestamp,
			"values": []valueTemplate{{"v", value}},
		}},
	}})
	if err != nil {
		return outcome{}, err
	}
	d, err := mapping.LoadDevice(file)
	if err != nil {
		if all := mapping.LoadErrors(err); len(all) > 0 {
			return outcome{}, fmt.Errorf("at load: %s", all[0].Message)
		}
		return outcome{}, err
	}
	o := outcomeOf(d, msg)
	if len(o.failures) > 0 {
		return o, errors.New(o.failures[0].Message)
	}
	return o, o.unusable
}

// selected returns each match of an expression as JSON.
func selected(language, text string, msg *mapping.Message) ([]string, error) {
	o, err := run(expression{text, language}, alwaysEpoch, expression{"to_string(matchedToken)", jmesPath}, msg)
	return texts(&o), err
}

// valueOf returns what an expression gives as a value, if it gives one.
func valueOf(language, text string, msg *mapping.Message) ([]string, error) {
	o, err := run(alwaysMatch, alwaysEpoch, expression{text, language}, msg)
	return texts(&o), err
}

// texts returns the values of an outcome.
func texts(o *outcome) (all []string) {
	for i := range o.measurements {
		for _, v := range o.measurements[i].Values {
			all = append(all, v.Text)
		}
	}
	return all
}

// occurrenceOf returns the time that an expression gives.
func occurrenceOf(text string, msg *mapping.Message) ([]string, error) {
	o, err := run(alwaysMatch, expression{text, jsonPath}, alwaysDevice, msg)
	if err != nil || len(o.measurements) == 0 {
		return nil, err
	}
	return []string{o.measurements[0].Occurrence.String()}, nil
}

// bodyOf returns what expressions see of a body.
func bodyOf(text string) ([]string, error) {
	return selected(jsonPath, "$.Body", &mapping.Message{Body: []byte(text), HasBody: text != ""})
}

// limit returns a limit by its noun.
func (p *page) limit(given []string) string {
	size := func(n int) string { return fmt.Sprintf("%d MiB", n>>20) }
	count := func(n int) string { return strconv.Itoa(n) }
	limits := map[string]string{
		"bytes of a message body":               size(mapping.MaxMessageBytes),
		"levels of a message":                   count(tape.MaxDepth),
		"matches of a message":                  count(mapping.MaxMatches),
		"steps of expressions for a message":    count(tape.MaxSteps),
		"bytes of an expression":                p.expressionLimit(64 << 10),
		"bytes of a mapping file":               size(mapfile.MaxBytes),
		"levels of a mapping file":              count(mapfile.MaxDepth),
		"templates of a mapping file":           count(mapping.MaxTemplates),
		"different member names in expressions": count(tape.MaxNames),
		"errors told of a mapping file":         count(mapfile.MaxFaults),
	}
	limit, known := limits[given[0]]
	if !known {
		p.fail("no such limit: %s", given[0])
	}
	return limit
}

// expressionLimit returns n if expressions may have n bytes and no more.
func (p *page) expressionLimit(n int) string {
	for _, length := range []int{n, n + 1} {
		_, err := valueOf(jsonPath, strings.Repeat("a", length), envelope("{}"))
		if (err == nil) != (length <= n) {
			p.fail("an expression of %d bytes: %v", length, err)
		}
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// sectionLink is a link to a section of the guide.
var sectionLink = regexp.MustCompile(`\]\(#([^)]+)\)`)

// checkLinks demands that each link leads to a section, and that of each
// difference to one with an example.
func (p *page) checkLinks() {
	for _, m := range sectionLink.FindAllStringSubmatch(strings.Join(p.out, "\n"), -1) {
		if _, known := p.examples[m[1]]; !known {
			p.t.Errorf("there is no section %q", m[1])
		}
	}
	if len(p.links) == 0 {
		p.t.Error("there is no table of differences")
	}
	for _, cell := range p.links {
		if m := sectionLink.FindStringSubmatch(cell); m == nil || p.examples[m[1]] == 0 {
			p.t.Errorf("%q does not lead to an example", cell)
		}
	}
}
