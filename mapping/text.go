package mapping

import (
	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
)

// text converts a node to the text that the connector would give; false when
// the node is null, an object, an array or an integer beyond 64 bits. The text
// aliases the message or the tape.
func (m *Mapper) text(i uint32) (string, bool) {
	t := m.tape
	n := &t.Nodes[i]
	switch n.Kind {
	case tape.String:
		b := t.Decoded(n)
		if dotnet.LooksLikeDate(b) {
			if in, ok := dotnet.DateToken(b); ok {
				return m.dateText(in), true
			}
		}
		return alias(b), true
	case tape.Text:
		return alias(t.Raw(n)), true
	case tape.Date:
		in, _ := dotnet.DateToken(t.Raw(n))
		return m.dateText(in), true
	case tape.Int:
		return m.intText(n)
	case tape.Float:
		b := t.Raw(n)
		if n.Flags&tape.FlagFinal != 0 || dotnet.PlainFloat(b) {
			return alias(b), true
		}
		start := len(t.Side)
		t.Side = dotnet.AppendFloat(t.Side, dotnet.ParseFloat(b))
		return alias(t.Side[start:]), true
	case tape.True:
		return "True", true
	case tape.False:
		return "False", true
	}
	return "", false
}

func (m *Mapper) dateText(in dotnet.Instant) string {
	start := len(m.tape.Side)
	m.tape.Side = dotnet.AppendDateText(m.tape.Side, in.Ticks)
	return alias(m.tape.Side[start:])
}

// intText returns a 64-bit integer's digits as they stand; -0 is 0.
func (m *Mapper) intText(n *tape.Node) (string, bool) {
	b := m.tape.Raw(n)
	if len(b) >= 19 {
		if _, ok := m.tape.Int64(n); !ok {
			return "", false
		}
	}
	if len(b) == 2 && b[0] == '-' && b[1] == '0' {
		b = b[1:]
	}
	return alias(b), true
}
