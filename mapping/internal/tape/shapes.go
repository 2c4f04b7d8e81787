package tape

// Limits on what a tape remembers of messages.
const (
	MaxShapes     = 8        // shapes at a time
	maxShapeBytes = 32 << 10 // of a message,
	maxShapeNodes = 2048     // and values in it; others are always parsed
	maxRest       = 1023     // messages that are passed over after a failure
)

// shapes are the forms of messages that a tape has seen, and how eager it is to
// use and learn them: messages of ever new forms must cost little more than
// without.
type shapes struct {
	list  []*shape // the last one used first
	last  uint32   // serial number
	all   *Tape    // for messages with all of their scalars
	trial bound    // comparing messages with the shapes
	tried bool     // the message at hand was
	study bound    // learning new ones
}

// bound limits what fails. Each failure makes it rest for twice as many
// messages, successes make that less.
type bound struct {
	rest int // messages to pass over
	step int // how many the last failure cost
}

// ready reports whether the message is not one to pass over.
func (b *bound) ready() bool {
	if b.rest == 0 {
		return true
	}
	b.rest--
	return false
}

func (b *bound) failed() {
	b.step = min(2*b.step+1, maxRest)
	b.rest = b.step
}

func (b *bound) succeeded() { b.step /= 2 }

// Shape tells which known shape a message has, and where it is on the tape: all
// of its messages have the same nodes there, but for the texts of scalars and
// whether they are numbers, true, false or null.
type Shape struct {
	Slot    int    // below MaxShapes
	Serial  uint32 // of the shape in that slot; never 0
	Root    uint32 // node of the message
	Nodes   uint32 // so many
	Object  int    // of Tape.Objects, the first one in it
	Objects int    // so many
}

// Shape returns the shape of the message at hand; ok is false when it was parsed.
func (t *Tape) Shape() (s Shape, ok bool) { return t.shape, t.shaped }

// UseShapes makes the tape recognise messages that differ from earlier ones in
// their scalars only. That is faster than parsing them, and gives the same nodes.
// Keep must have its final value then.
func (t *Tape) UseShapes() {
	t.shapes = &shapes{all: New(t.names)}
}

// fill appends the nodes of the message if it is of a known shape.
func (s *shapes) fill(t *Tape) bool {
	if s.tried = len(t.src) <= maxShapeBytes && s.trial.ready(); !s.tried {
		return false
	}
	root, object := uint32(len(t.Nodes)), len(t.Objects)
	lost := 0
	for k, form := range s.list {
		progress, ok := t.fill(form)
		if !ok {
			if lost += progress; lost > len(t.src) {
				break
			}
			continue
		}
		if k > 0 {
			s.first(k)
		}
		s.trial.succeeded()
		t.shape = Shape{form.slot, form.serial, root, uint32(len(form.nodes)), object, len(form.objects)}
		return true
	}
	if lost > len(t.src)/4 { // else the comparison was cheap
		s.trial.failed()
	}
	return false
}

// first makes shape k the first of the list.
func (s *shapes) first(k int) {
	form := s.list[k]
	copy(s.list[1:k+1], s.list[:k])
	s.list[0] = form
}

// learn looks at a message that had to be parsed because it is of no shape. The
// shape that it nearly has gets further holes; if there is none, the message is
// the first one of a new shape.
func (s *shapes) learn(t *Tape, root uint32) {
	if !s.tried || !s.study.ready() {
		return
	}
	for k, form := range s.list {
		if form.see(t.src) {
			s.first(k)
			s.study.succeeded()
			return
		}
	}
	s.study.failed()
	s.all.Reset(t.src)
	if s.all.Parse() != nil || len(s.all.Nodes) > maxShapeNodes {
		return
	}
	if form := shapeOf(t, s.all, root); form != nil {
		s.last++
		form.slot, form.serial = len(s.list), s.last
		if len(s.list) < MaxShapes {
			s.list = append(s.list, form)
		} else {
			form.slot = s.list[len(s.list)-1].slot
			s.list[len(s.list)-1] = form
		}
		s.first(len(s.list) - 1)
	}
}
