package mapfile

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on a file.
const (
	MaxBytes = 8 << 20
	MaxDepth = 128
)

const byteOrderMark = "\uFEFF"

// Parse reads the text of a file. Faults go to the report. A missing comma is
// reported and passed over; after any other fault there is no value and ok is
// false.
func Parse(r *Report) (root *Value, ok bool) {
	p := &parser{s: r.text, report: r}
	if !p.readable() {
		return nil, false
	}
	p.i = len(p.s) - len(strings.TrimPrefix(p.s, byteOrderMark))
	p.blanks()
	if p.i == len(p.s) && !p.stopped {
		p.fail(0, "the file is empty", "write a mapping")
		return nil, false
	}
	root = p.value()
	if p.blanks(); p.i < len(p.s) {
		p.fail(p.i, "unexpected text after the end of the mapping", "remove it, or a closing brace or bracket before it")
	}
	return root, !p.stopped
}

// parser reads the text of a file. A fault that ends the reading moves the
// position to the end, so that every loop ends, and silences later faults.
type parser struct {
	s       string
	i       int
	end     int // behind the last value or name
	depth   int
	report  *Report
	stopped bool
	lineful *Value // the first text that goes on over the end of a line
}

// readable checks the text as a whole.
func (p *parser) readable() bool {
	switch at := invalid(p.s); {
	case len(p.s) > MaxBytes:
		p.fail(0, fmt.Sprintf("the file is longer than %d bytes", MaxBytes), "split the mapping")
	case at < len(p.s):
		p.fail(at, "the file is not valid UTF-8", "save it as UTF-8")
	}
	return !p.stopped
}

// invalid returns where s stops being UTF-8.
func invalid(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size < 2 {
			return i
		}
		i += size
	}
	return len(s)
}

// fail reports a fault and ends the reading.
func (p *parser) fail(at int, message, fix string) {
	if !p.stopped {
		p.report.Add(at, "", message, fix)
		if t := p.lineful; t != nil { // it may have begun there
			p.report.Add(t.At, "", "the text that begins here does not end on its line",
				"if its quote is missing, close it; inside a text write a quote as \\\" and the end of a line as \\n")
		}
	}
	p.stopped = true
	p.i = len(p.s)
}

// char returns the character at the current position, 0 at the end.
func (p *parser) char() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// ended reports that nothing is left to read.
func (p *parser) ended() bool { return p.i >= len(p.s) }

// blanks skips white space and comments.
func (p *parser) blanks() {
	for !p.ended() {
		rest := p.s[p.i:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.i++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			p.i += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				p.fail(p.i, "the comment that begins here does not end", "write */ behind it")
				return
			}
			p.i += 2 + end + 2
		default:
			return
		}
	}
}

func (p *parser) value() *Value {
	v := &Value{At: p.i}
	if p.depth++; p.depth > MaxDepth {
		p.fail(p.i, fmt.Sprintf("values are nested more than %d deep", MaxDepth), "remove brackets")
		return v
	}
	switch c := p.char(); c {
	case '{':
		p.object(v)
	case '[':
		p.list(v)
	case '"', '\'':
		v.Kind = Text
		v.Text = p.quoted(c)
	default:
		p.bare(v)
	}
	p.depth--
	v.End = p.i
	if v.Kind == Text && p.lineful == nil && strings.IndexByte(p.s[v.At:v.End], '\n') >= 0 {
		p.lineful = v
	}
	p.end = p.i
	return v
}

func (p *parser) list(v *Value) {
	v.Kind = List
	p.i++
	for p.blanks(); p.char() != ']'; p.blanks() {
		v.Items = append(v.Items, p.value())
		if !p.separator(v, ']') {
			return
		}
	}
	p.i++
}

func (p *parser) object(v *Value) {
	v.Kind = Object
	p.i++
	for p.blanks(); p.char() != '}'; p.blanks() {
		m := Member{At: p.i}
		if m.Name = p.name(v); p.stopped {
			return
		}
		if p.blanks(); p.char() != ':' {
			p.fail(p.end, fmt.Sprintf("a colon is missing after %q", m.Name), fmt.Sprintf("write %q: and the value", m.Name))
			return
		}
		p.i++
		colon := p.i
		if p.blanks(); p.ended() || strings.IndexByte("},", p.char()) >= 0 {
			p.fail(colon, fmt.Sprintf("the value of %q is missing", m.Name), "write it after the colon")
			return
		}
		m.Value = p.value()
		v.Members = append(v.Members, m)
		if !p.separator(v, '}') {
			return
		}
	}
	p.i++
}

// name reads the name of a member of v. Without quotes it has letters, digits,
// _ and $ only.
func (p *parser) name(v *Value) (name string) {
	start := p.i
	if c := p.char(); c == '"' || c == '\'' {
		name = p.quoted(c)
	} else if name = p.word(); name == "" {
		if p.ended() {
			p.unclosed(v, '}')
		} else {
			p.fail(p.i, fmt.Sprintf("the name of a member is missing before %q", p.char()), `write "name": value`)
		}
	} else if strings.ContainsFunc(name, notInName) {
		p.fail(start, fmt.Sprintf("%.40q is no name without quotes", name), "put it into quotes")
	}
	p.end = p.i
	return name
}

func notInName(r rune) bool {
	return r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// separator reads what stands between the elements of v; false stops the
// reading. A missing comma is reported behind the element before it.
func (p *parser) separator(v *Value, closing byte) bool {
	p.blanks()
	switch c := p.char(); {
	case p.stopped:
	case p.ended():
		p.unclosed(v, closing)
	case c == ',':
		p.i++
		return true
	case c == closing:
		return true
	case c == ']' || c == '}' || c == ':':
		p.fail(p.i, fmt.Sprintf("%c stands where %s must be closed with %c", c, p.opening(v), closing), fmt.Sprintf("write %c", closing))
	case p.i == p.end:
		p.fail(p.i, "a value ends here, but the text goes on", `write a comma; inside a text write a quote as \"`)
	default:
		p.report.Add(p.end, "", "a comma is missing", "write , between two values")
		return true
	}
	return false
}

// unclosed reports that the file ends within v.
func (p *parser) unclosed(v *Value, closing byte) {
	p.fail(len(p.s), fmt.Sprintf("the file ends before %s is closed", p.opening(v)), fmt.Sprintf("write %c", closing))
}

// opening says where v begins.
func (p *parser) opening(v *Value) string {
	at := place{line: 1, column: 1}
	at.advance(p.s, v.At)
	return fmt.Sprintf("the %c of line %d, column %d", p.s[v.At], at.line, at.column)
}

// word reads letters, digits and the signs of numbers and names.
func (p *parser) word() string {
	start := p.i
	for !p.ended() && strings.IndexByte(" \t\r\n,:{}[]\"'/", p.s[p.i]) < 0 {
		p.i++
	}
	return p.s[start:p.i]
}

// bare reads a number or one of the three words.
func (p *parser) bare(v *Value) {
	v.Text = p.word()
	switch v.Text {
	case "true", "false":
		v.Kind = Bool
	case "null":
		v.Kind = Null
	case "":
		if p.ended() {
			p.fail(p.i, "the file ends where a value is missing", "write the value")
		} else {
			p.fail(p.i, fmt.Sprintf("a value is missing before %q", p.char()), "write the value")
		}
	default:
		var ok bool
		if v.Kind, ok = numberKind(v.Text); !ok {
			p.fail(v.At, fmt.Sprintf("%.40q is no value", v.Text), wordFix(v.Text))
		}
	}
}

// wordFix says what to write instead of a word that is no value.
func wordFix(word string) string {
	if near := Nearest(word, []string{"true", "false", "null"}); near != "" {
		return "write " + near
	}
	return "put texts into quotes"
}

// numberKind reports whether s is a number, and of which kind. Digits may be
// missing on one side of the point.
func numberKind(s string) (kind Kind, ok bool) {
	digits := func() (n int) {
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	kind = Int
	s = strings.TrimPrefix(s, "-")
	whole := digits()
	if whole > 1 && s[0] == '0' {
		return kind, false // an octal number for Json.NET
	}
	if s = s[whole:]; strings.HasPrefix(s, ".") {
		kind, s = Float, s[1:]
		fraction := digits()
		whole, s = whole+fraction, s[fraction:]
	}
	if s != "" && lower(s[0]) == 'e' {
		kind, s = Float, s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		exponent := digits()
		if s = s[exponent:]; exponent == 0 {
			return kind, false
		}
	}
	return kind, whole > 0 && s == ""
}

// quoted reads a text; its position is at the opening quote.
func (p *parser) quoted(quote byte) string {
	start := p.i
	for p.i++; !p.ended(); {
		if p.s[p.i] == quote {
			p.i++
			return decode(p.s[start+1 : p.i-1])
		}
		_, size := character(p.s, p.i)
		if size == 0 {
			p.escapeFault()
			return ""
		}
		p.i += size
	}
	p.fail(start, "the text that begins here does not end", fmt.Sprintf("close it with %c", quote))
	return ""
}

func (p *parser) escapeFault() {
	end := min(p.i+2, len(p.s))
	p.fail(p.i, fmt.Sprintf("%s is no escape", p.s[p.i:end]), `write a backslash as \\; known are \" \\ \/ \b \f \n \r \t and \u with four hex digits`)
}
