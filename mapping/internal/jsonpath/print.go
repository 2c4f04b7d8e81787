package jsonpath

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"auscult/mapping/internal/tape"
)

// String writes the path so that it parses to an equal one.
func (p *Path) String() string {
	var b strings.Builder
	b.WriteByte('$')
	printSteps(&b, p.Steps)
	return b.String()
}

func printSteps(b *strings.Builder, steps []Step) {
	for i := range steps {
		steps[i].print(b)
	}
}

func (s *Step) print(b *strings.Builder) {
	if s.Scan {
		b.WriteString("..")
	}
	switch s.Kind {
	case Name:
		s.printName(b)
	case Names:
		separator := "["
		for _, name := range s.Names {
			b.WriteString(separator)
			printQuoted(b, name)
			separator = ","
		}
		b.WriteByte(']')
	case Index:
		b.WriteString("[" + strconv.Itoa(s.Index) + "]")
	case Indexes:
		separator := "["
		for _, n := range s.List {
			b.WriteString(separator + strconv.Itoa(n))
			separator = ","
		}
		b.WriteByte(']')
	case Slice:
		s.Bounds.print(b)
	case Wild:
		if !s.Scan {
			b.WriteByte('.')
		}
		b.WriteByte('*')
	case Elements:
		b.WriteString("[*]")
	case Where:
		b.WriteString("[?(")
		s.Filter.print(b)
		b.WriteString(")]")
	}
}

func (s *Step) printName(b *strings.Builder) {
	if !isPlain(s.Name) {
		b.WriteByte('[')
		printQuoted(b, s.Name)
		b.WriteByte(']')
		return
	}
	if !s.Scan {
		b.WriteByte('.')
	}
	b.WriteString(s.Name)
}

// isPlain reports whether a name can stand without quotes anywhere.
func isPlain(name string) bool {
	for _, r := range name {
		if r != '_' && r != '-' && r != ':' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return name != ""
}

func printQuoted(b *strings.Builder, s string) {
	b.WriteByte('\'')
	for i := range len(s) {
		switch s[i] {
		case '\'', '\\':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case '\b':
			b.WriteString(`\b`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('\'')
}

func (s *Bounds) print(b *strings.Builder) {
	number := func(has bool, n int) {
		if has {
			b.WriteString(strconv.Itoa(n))
		}
	}
	b.WriteByte('[')
	number(s.HasStart, s.Start)
	b.WriteByte(':')
	number(s.HasEnd, s.End)
	if s.HasStep {
		b.WriteByte(':')
		number(true, s.Step)
	}
	b.WriteByte(']')
}

func (f *Filter) print(b *strings.Builder) {
	if f.Op == OpAnd || f.Op == OpOr {
		for i, part := range f.Parts {
			if i > 0 {
				b.WriteString(" " + string(f.Op) + " ")
			}
			part.print(b)
		}
		return
	}
	f.Left.print(b)
	if f.Op != OpExists {
		b.WriteString(" " + string(f.Op) + " ")
		f.Right.print(b)
	}
}

func (o *Operand) print(b *strings.Builder) {
	switch {
	case o.IsPath && len(o.Path) > 0 && o.Path[0].Kind == Root:
		b.WriteByte('$')
		printSteps(b, o.Path[1:])
	case o.IsPath:
		b.WriteByte('@')
		printSteps(b, o.Path)
	case o.Kind == tape.True:
		b.WriteString("true")
	case o.Kind == tape.False:
		b.WriteString("false")
	case o.Kind == tape.Null:
		b.WriteString("null")
	case o.Kind == tape.Float:
		b.WriteString(floatLiteral(o.value.float))
	case o.Kind == tape.Text && !o.IsRegex:
		printQuoted(b, o.Text)
	default:
		b.WriteString(o.Text)
	}
}

// floatLiteral writes f so that it reads as a float again.
func floatLiteral(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "1e999"
	case math.IsInf(f, -1):
		return "-1e999"
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}
