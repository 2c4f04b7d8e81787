package fhir

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"auscult/internal/mapfile"
	"auscult/schemas"
)

// guide is the page whose examples are run.
const guide = "../docs/fhir.md"

// TestGuide works through the guide from top to bottom, as a reader would, and
// demands every answer that is printed there. -update writes them.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, examples: map[string]int{}}
	p.read(strings.Split(string(text), "\n"))
	if *update {
		if err := os.WriteFile(guide, []byte(strings.Join(p.out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	p.compare(strings.Split(string(text), "\n"))
	p.checkLinks()
}

// TestGuideIsComplete: the guide names every member of a mapping, every value
// type and every warning.
func TestGuideIsComplete(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{RuleSeveralValues, RuleUnitSystem, RuleSampledSize, RuleValueTwice, RuleValueMember, RuleVitalPeriod}
	for _, d := range []*mapfile.Definition{
		collectionFhir, codeValueFhir, codingDefinition, categoryDefinition, componentDefinition, conceptDefinition, limitsDefinition,
		choiceDefinition, partDefinition, valueDefinition,
	} {
		for _, f := range d.Fields {
			words = append(words, f.Name)
		}
	}
	for _, v := range valueTypes {
		words = append(words, v.word.Name)
		for _, f := range v.fields {
			words = append(words, f.Name)
		}
	}
	for _, s := range vitalSigns {
		words = append(words, s.profile)
	}
	for _, w := range words {
		if !strings.Contains(string(text), "`"+w+"`") {
			t.Errorf("the guide does not tell of `%s`", w)
		}
	}
}

// page is the guide while it is read. out is what it should say.
type page struct {
	t        *testing.T
	out      []string
	section  string         // anchor of the heading above
	examples map[string]int // how many were run, by section
	links    []string       // from the table of differences

	mapping *Mapping // the one in force; nil when it was refused
	refusal error
	stored  map[string]string // Observations by id
	last    string            // the id of the one that was written last
	told    []string          // what happened to the last values
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
				name := notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimLeft(line, "# ")), "")
				p.section = strings.ReplaceAll(name, " ", "-")
				p.examples[p.section] += 0
			}
			p.out = append(p.out, line)
			i++
		}
	}
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
	p.out = append(p.out, lines[i])
	body := lines[i+1 : end]
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
	switch role {
	case "mapping":
		p.mapping, p.refusal = LoadMapping([]byte(strings.Join(body, "\n")))
		p.stored, p.last = map[string]string{}, ""
		return body
	case "errors":
		p.examples[p.section]++
		return p.errors()
	}
	if p.mapping == nil {
		p.fail("there is no mapping above, or it is refused: %v", p.refusal)
		return body
	}
	switch role {
	case "values":
		p.write(body)
		return body
	case "edited":
		p.edit(strings.Join(body, "\n"))
		return body
	}
	p.examples[p.section]++
	switch role {
	case "written":
		return p.told
	case "observation":
		return p.observation(nil)
	case "part":
		return p.observation(familiar)
	case "warnings":
		return p.warnings()
	}
	p.fail("no such kind of block: %q", role)
	return body
}

// errors tells why the mapping above is refused.
func (p *page) errors() (lines []string) {
	if p.refusal == nil {
		p.fail("the mapping above loads")
	}
	for _, e := range LoadErrors(p.refusal) {
		lines = append(lines, e.Error())
	}
	return lines
}

// warnings tells what check tells of the mapping above.
func (p *page) warnings() (lines []string) {
	for _, l := range p.mapping.Lints() {
		lines = append(lines, l.String())
	}
	return lines
}

// measurement is a line of values, as docs/mappings.md has it.
var measurement = regexp.MustCompile(`^(\S+) at (\S+), device ([^\s,:]+)(?:, correlation ([^\s,:]+))?(?:, encounter ([^\s,:]+))?:(.*)$`)

var namedValue = regexp.MustCompile(` (\S+)=("(?:[^"\\]|\\.)*")`)

// write does with measurements what Observe and Deliver do: those of one segment
// become one Observation, or are merged into the one that is there.
func (p *page) write(lines []string) {
	var order []*schemas.Resource
	p.told = nil
	for _, line := range lines {
		r := p.segment(line)
		if r == nil {
			continue
		}
		i := slices.IndexFunc(order, func(o *schemas.Resource) bool { return p.together(o, r) })
		if i < 0 {
			order = append(order, r)
			continue
		}
		s := order[i]
		s.Values = append(s.Values, r.Values...)
		s.Start, s.End = min(s.Start, r.Start), max(s.End, r.End)
	}
	for _, r := range order {
		p.told = append(p.told, p.deliver(r)+" "+identifierOf(r))
	}
}

// together reports whether the values of two measurements are of one segment.
// Instants of one second are not, although they have one identifier.
func (p *page) together(a, b *schemas.Resource) bool {
	period, _ := p.mapping.Period(a.Type)
	return identifierOf(a) == identifierOf(b) && (period == Correlation || a.Start == b.Start)
}

func identifierOf(r *schemas.Resource) string {
	return ObservationIdentifier(r.Patient, r.Device, r.Type, r.Segment)
}

// segment reads one measurement into a segment of its own.
func (p *page) segment(line string) *schemas.Resource {
	m := measurement.FindStringSubmatch(line)
	if m == nil {
		p.fail("%q is no measurement", line)
		return nil
	}
	when, err := time.Parse(time.RFC3339Nano, m[2])
	period, mapped := p.mapping.Period(m[1])
	segment, start, end, err2 := SegmentOf(period, schemas.TicksOf(when), m[4])
	if err != nil || err2 != nil || !mapped {
		p.fail("%s: %v %v, mapped: %v", line, err, err2, mapped)
		return nil
	}
	r := &schemas.Resource{Patient: "p1", Device: m[3], Encounter: m[5], Type: m[1], Segment: segment, Start: start, End: end}
	for _, v := range namedValue.FindAllStringSubmatch(m[6], -1) {
		text, err := strconv.Unquote(v[2])
		if err != nil {
			p.fail("%s: %v", v[2], err)
		}
		r.Values = append(r.Values, schemas.SegmentValue{Name: v[1], Text: text, Time: schemas.TicksOf(when)})
	}
	return r
}

// deliver writes one segment, and says what it did.
func (p *page) deliver(r *schemas.Resource) string {
	id := ObservationID(identifierOf(r))
	was, there := p.stored[id]
	body, changed, did := []byte(nil), true, "created"
	var err error
	if there {
		did = "amended"
		body, changed, err = p.mapping.Merge([]byte(was), r)
	} else {
		body, err = p.mapping.Build(r)
	}
	switch {
	case err != nil:
		return "refused (" + err.Error() + ")"
	case !changed:
		return "unchanged"
	}
	p.stored[id], p.last = string(body), id
	return did
}

// edit does what somebody else does to the last Observation: members are
// replaced, and null takes them away.
func (p *page) edit(text string) {
	o, err := parseJSON(p.stored[p.last])
	changes, err2 := parseJSON(text)
	if err != nil || err2 != nil {
		p.fail("%v %v", err, err2)
		return
	}
	for _, m := range changes.members {
		if m.value.kind == nullKind {
			m.value = nil
		}
		o = o.with(m.name, m.value)
	}
	p.stored[p.last] = string(o.bytes())
}

// familiar are the members that most examples leave out.
var familiar = []string{"resourceType", "id", "identifier", "category", "code", "subject", "effectivePeriod", "effectiveDateTime", "device"}

// observation tells the one that was written last, a member a line.
func (p *page) observation(without []string) []string {
	o, err := parseJSON(p.stored[p.last])
	if err != nil {
		p.fail("there is no Observation above: %v", err)
		return nil
	}
	for _, name := range without {
		o = o.with(name, nil)
	}
	var lines []string
	for _, m := range o.members {
		lines = append(lines, strconv.Quote(m.name)+": "+string(m.value.bytes())+",")
	}
	last := len(lines) - 1
	lines[0], lines[last] = "{"+lines[0], strings.TrimSuffix(lines[last], ",")+"}"
	for i := 1; i <= last; i++ {
		lines[i] = " " + lines[i]
	}
	return lines
}

// compare reports each line that the guide should say otherwise.
func (p *page) compare(lines []string) {
	if len(lines) != len(p.out) {
		p.t.Errorf("%s has %d lines, it should have %d", guide, len(lines), len(p.out))
	}
	for i := range min(len(lines), len(p.out)) {
		if lines[i] != p.out[i] {
			p.t.Errorf("%s:%d:\n  says %s\nanswer %s", guide, i+1, lines[i], p.out[i])
			if len(lines) != len(p.out) {
				return // all that follows has moved
			}
		}
	}
}

// differences is the first line of the table that compares; the last column
// names the section that shows the difference.
const differences = "| what | MedTech and iomt-fhir | here | why | example |"

// answerTable is the first line of a table whose last column is worked out: what
// becomes of a text as a value type, or of the first value of the mapping above.
var answerTable = regexp.MustCompile(`^\| text \| (\w+) \|$`)

// table works through one table and returns the place behind it.
func (p *page) table(lines []string, i int) int {
	head := lines[i]
	kind := answerTable.FindStringSubmatch(head)
	for n := 0; i < len(lines) && strings.HasPrefix(lines[i], "|"); i, n = i+1, n+1 {
		line := lines[i]
		row := strings.Split(strings.Trim(line, "|"), " | ")
		switch {
		case n < 2:
		case head == differences:
			p.links = append(p.links, row[len(row)-1])
		case kind != nil:
			p.examples[p.section]++
			line = "| " + strings.TrimSpace(row[0]) + " | " + p.answer(kind[1], strings.Trim(strings.TrimSpace(row[0]), "`")) + " |"
		}
		p.out = append(p.out, line)
	}
	return i
}

// answer tells what a text becomes.
func (p *page) answer(column, text string) string {
	text = strings.Trim(text, `"`)
	if column == interpretationMember {
		return p.judged(text)
	}
	for kind, v := range valueTypes {
		if v.word.Name != column || v.write == nil {
			continue
		}
		n, fault := (&valueTemplate{kind: valueKind(kind)}).one(text)
		switch {
		case fault != "":
			return "refused"
		case n == nil:
			return "nothing"
		case n.get("value") != nil:
			n = n.get("value")
		}
		return "`" + string(n.bytes()) + "`"
	}
	p.fail("no such kind of table: %s", column)
	return ""
}

// judged tells how the first value of the mapping is interpreted.
func (p *page) judged(text string) string {
	if p.mapping == nil || p.mapping.ordered[0].value == nil {
		p.fail("there is no value above")
		return ""
	}
	v := p.mapping.ordered[0].value
	n, fault := v.one(text)
	if fault != "" {
		return "refused"
	}
	if judged := v.interpretation(n); judged != nil {
		c := judged.items[0].get("coding").items[0]
		return "`" + c.get("code").str() + "` " + c.get("display").str()
	}
	return "none"
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
