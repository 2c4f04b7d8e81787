package tape

// Open begins an object at the end of the tape; Close ends it. Of the objects
// that are open only the last gets properties.
func (t *Tape) Open() uint32 {
	o := uint32(len(t.Nodes))
	t.Push(Object, 0, 0)
	t.Objects = append(t.Objects, o)
	return o
}

// AddProperty appends a member to object o, which is open; its text goes to
// Side. A member that nobody can see is left out.
func (t *Tape) AddProperty(o uint32, k Kind, name, text string) {
	l := t.properties.find(t.names, name)
	if l.id == 0 && t.Keep != KeepAll {
		return
	}
	t.watch.add(l.hash)
	start := len(t.Side)
	t.Side = append(t.Side, text...)
	t.setLabel(o, t.addSide(k, start), l)
}

// SetPart is SetName for the few names that every message has. They are looked
// up once, and stand at the beginning of Side from the next message on.
func (t *Tape) SetPart(o, i uint32, name string) {
	for k := range t.parts {
		p := &t.parts[k]
		if p.name != name {
			continue
		}
		n := &t.Nodes[i]
		n.ID, n.Name, n.NameEnd = p.id, p.start, p.end
		n.Flags |= FlagNameSide
		if p.id != 0 {
			t.Nodes[o].Mask |= 1 << (p.id & 63)
		}
		return
	}
	t.SetName(o, i, name)
	start := uint32(len(t.prefix))
	t.prefix = append(t.prefix, name...)
	t.coming = append(t.coming, part{name, t.Nodes[i].ID, start, uint32(len(t.prefix))})
}

// part is the name of a part of each message; Side has it from start to end.
type part struct {
	name       string
	id         NameID
	start, end uint32
}

func (t *Tape) setLabel(o, i uint32, l *label) {
	start := len(t.Side)
	t.Side = append(t.Side, l.name...)
	n := &t.Nodes[i]
	n.ID, n.Name, n.NameEnd = l.id, uint32(start), uint32(len(t.Side))
	n.Flags |= FlagNameSide
	if l.id != 0 {
		t.Nodes[o].Mask |= 1 << (l.id & 63)
	}
}

// Close ends object o: of properties with one name the last counts.
func (t *Tape) Close(o uint32) {
	t.Nodes[o].Size = uint32(len(t.Nodes)) - o
	if t.watch.repeated {
		t.dedupe(o)
	}
	if t.replaced {
		t.compact(o)
	}
	if t.watch.count > 0 {
		t.watch.reset()
	}
}

// labels remembers the names of a message's properties by their order, because
// those of the next message mostly are the same.
type labels struct {
	list [32]label
	next uint // of the message at hand
}

// label is a name that was looked up.
type label struct {
	name []byte
	id   NameID
	hash uint64
}

// find returns the label of the next property. An empty name may stand for a
// label that was never looked up.
func (s *labels) find(names *Names, name string) *label {
	l := &s.list[s.next%uint(len(s.list))]
	s.next++
	if string(l.name) != name || name == "" {
		l.name = append(l.name[:0], name...)
		l.id, l.hash = names.Find(l.name)
	}
	return l
}
