package mapping

import "auscult/mapping/internal/tape"

// maxFormAnswers is how many answers of chains are kept for one form of message.
const maxFormAnswers = 1 << 14

// answered is added to answers, so that these are not 0.
const answered = 2

// form is what holds for all messages of one shape: their nodes are the same but
// for the texts, so names lead from a node to the same node in each of them.
type form struct {
	shape tape.Shape // which it is for
	// answers has for each node of the message and each chain the node to which
	// the chain leads from there, plus answered; answered-1 when it is none, 0
	// when it is not known.
	answers []uint32
	chains  uint32
	hits    []formHit
}

// formHit is an object in which all steps of a scan's conditions lead somewhere.
type formHit struct {
	template int
	object   uint32
	tested   bool // the scan also compares values
}

// formOf returns the form of the message on the tape; nil when it has none.
func (m *Mapper) formOf() *form {
	shape, ok := m.tape.Shape()
	if !ok {
		return nil
	}
	f := &m.forms[shape.Slot]
	if f.shape != shape {
		m.learn(f, shape)
	}
	return f
}

// learn makes f the form of the message on the tape.
func (m *Mapper) learn(f *form, shape tape.Shape) {
	f.shape, f.chains, f.hits = shape, uint32(m.device.memos), f.hits[:0]
	size := int(shape.Nodes) * m.device.memos
	if size > maxFormAnswers {
		size = 0
	}
	f.answers = make([]uint32, size)
	for _, o := range m.tape.Objects[shape.Object:][:shape.Objects] {
		for i := range m.device.templates {
			if s := m.device.templates[i].scan; s != nil && m.tape.Nodes[o].Mask&s.required == s.required && s.leads(m.tape, o) {
				f.hits = append(f.hits, formHit{i, o, s.tests()})
			}
		}
	}
}

// answer returns where the place for a chain's answer is; nil when it has none.
func (f *form) answer(c *chain, start uint32) *uint32 {
	if f == nil {
		return nil
	}
	at := (start-f.shape.Root)*f.chains + uint32(c.memo)
	if start < f.shape.Root || start-f.shape.Root >= f.shape.Nodes || at >= uint32(len(f.answers)) {
		return nil
	}
	return &f.answers[at]
}
