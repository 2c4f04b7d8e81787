package mapping

import (
	"strconv"
	"strings"

	"auscult/internal/mapfile"
	"auscult/mapping/internal/tape"
)

// failure is a Failure of a field, with the value that is at fault if there is
// one.
func (m *Mapper) failure(t *template, f *field, message string) Failure {
	x := t.failure(f, message)
	if m.blamed != tape.None && m.told < maxTold {
		m.told++
		x.Path, x.Value = m.pathOf(m.blamed), m.quote(m.blamed)
	}
	return x
}

// pathOf is pointer on a tape that may leave out elements of arrays: it counts
// them on another one that holds all of the message.
func (m *Mapper) pathOf(i uint32) string {
	n := &m.tape.Nodes[i]
	if m.tape.Keep == tape.KeepAll || n.Flags&tape.FlagSide != 0 || i >= m.tape.Nodes[0].Size {
		return pointer(m.tape, i)
	}
	if m.whole == nil {
		m.whole = tape.New(m.device.names)
	}
	if m.wholeEpoch != m.epoch {
		m.wholeEpoch = m.epoch
		if load(m.whole, m.msg) != nil {
			return ""
		}
	}
	for k := range m.whole.Nodes {
		if w := &m.whole.Nodes[k]; w.Start == n.Start && w.Kind == n.Kind && w.Flags&tape.FlagSide == 0 {
			return pointer(m.whole, uint32(k))
		}
	}
	return ""
}

// pointer returns the JSON pointer of a node within the envelope; empty for the
// envelope itself and for what was computed. It walks down from the root, so it
// is for what is told to people.
func pointer(t *tape.Tape, i uint32) string {
	if i >= t.Nodes[0].Size {
		return ""
	}
	path := ""
	var name []byte
	for at := uint32(0); at != i; {
		parent, k := at, 0
		for at++; i >= at+t.Nodes[at].Size; k++ {
			at += t.Nodes[at].Size
		}
		if t.Nodes[parent].Kind == tape.Array {
			path = mapfile.JoinIndex(path, k)
			continue
		}
		path = mapfile.Join(path, string(t.NameOf(&t.Nodes[at], &name)))
	}
	return path
}

// maxQuote is how much of a value is quoted to people.
const maxQuote = 120

// quote returns a value as the message has it, clipped.
func (m *Mapper) quote(i uint32) string {
	n := m.tape.Nodes[i]
	switch n.Kind {
	case tape.String, tape.Text, tape.Date:
		return strconv.Quote(clip(string(m.tape.Decoded(&n))))
	case tape.True:
		return "true"
	case tape.False:
		return "false"
	case tape.Null:
		return "null"
	}
	if raw := m.tape.Raw(&n); len(raw) > 0 {
		return clip(string(raw))
	}
	return m.summary(i)
}

// summary names the members of an object that has no text of its own: the
// envelope, its properties, and what was computed.
func (m *Mapper) summary(i uint32) string {
	t := m.tape
	n := t.Nodes[i]
	open, closing := "{", "}"
	if n.Kind == tape.Array {
		open, closing = "[", "]"
	}
	var parts []string
	var name []byte
	for k := i + 1; k < i+n.Size; k += t.Nodes[k].Size {
		text := "..."
		if v := t.Resolve(k); t.Nodes[v].Size == 1 {
			text = m.quote(v)
		}
		if n.Kind == tape.Object {
			text = strconv.Quote(string(t.NameOf(&t.Nodes[k], &name))) + ": " + text
		}
		parts = append(parts, text)
	}
	return clip(open + strings.Join(parts, ", ") + closing)
}

func clip(s string) string {
	if len(s) <= maxQuote {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuote], "") + "..."
}
