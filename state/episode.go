package state

import (
	"slices"

	"auscult/schemas"
)

// outcome is what the episodes of a model need of one window, and what the row
// needs to revise it.
type outcome struct {
	end      schemas.Ticks
	revision int32
	min, max float64
	complete bool
	final    bool
	dirty    bool   // a pane under it has changed since it was scored
	first    bool   // begins a run: what is "in a row" begins anew
	orphan   bool   // the values that made it exist have gone: everything is missing
	content  uint64 // hash of everything that a reader sees
}

// counts returns the score with which a window counts for p, if it does. An
// incomplete one that may be anything counts for nothing: no data is neither
// worse nor better.
func (p *FlagPolicy) counts(o *outcome) (score float64, ok bool) {
	return o.min, o.complete || !p.Skip && o.min >= p.Open
}

// episode is a time in which a Flag stands. closed is 0 while it is open.
type episode struct {
	opened, closed schemas.Ticks
	max            float64
	// provisional: opened by a window that is not final. It has the id that the
	// final window would give, and closes when that one does not hold (G16).
	provisional bool
}

// hysteresis is the machine that makes episodes out of windows in order.
type hysteresis struct {
	open   bool
	opened schemas.Ticks
	max    float64
	row    int // windows in a row towards the next change
}

// step takes one final window and returns the episode that it closes.
func (h *hysteresis) step(p *FlagPolicy, o *outcome) (closed episode, ok bool) {
	if o.first {
		h.row = 0
	}
	score, counts := p.counts(o)
	if !counts {
		return episode{}, false
	}
	if !h.open {
		if score < p.Open {
			h.row = 0
			return episode{}, false
		}
		if h.row++; h.row >= p.On {
			*h = hysteresis{open: true, opened: o.end, max: score}
		}
		return episode{}, false
	}
	h.max = max(h.max, score)
	if score > p.Close {
		h.row = 0
		return episode{}, false
	}
	if h.row++; h.row < p.Off {
		return episode{}, false
	}
	closed = episode{opened: h.opened, closed: o.end, max: h.max}
	*h = hysteresis{}
	return closed, true
}

// peek takes a window that is not final: it may open an episode and raise the
// highest score of one, and closes nothing.
func (h hysteresis) peek(p *FlagPolicy, o *outcome) hysteresis {
	score, counts := p.counts(o)
	if o.first {
		h.row = 0
	}
	switch {
	case !counts:
	case h.open:
		h.max = max(h.max, score)
	case score >= p.Open && h.row+1 >= p.On:
		h.open, h.opened, h.max = true, o.end, score
	}
	return h
}

// episodes returns all episodes of the windows, which follow those that h has
// taken, in order.
func episodes(h hysteresis, p *FlagPolicy, windows []outcome) []episode {
	var all []episode
	var provisional bool
	for i := range windows {
		if o := &windows[i]; o.final {
			if e, ok := h.step(p, o); ok {
				all = append(all, e)
			}
		} else if next := h.peek(p, o); next != h {
			provisional = provisional || !h.open
			h = next
		}
	}
	if h.open {
		all = append(all, episode{opened: h.opened, max: h.max, provisional: provisional})
	}
	return all
}

// flagChange is an episode whose Flag is to be written.
type flagChange struct {
	episode
	state schemas.FlagState
}

// settle compares the episodes that have been published with those that the
// windows give now. It returns the published ones as they are afterwards and
// what has changed: what goes first, then what comes.
func settle(published, now []episode, held func(end schemas.Ticks) bool) (after []episode, changes []flagChange) {
	for _, old := range published {
		if slices.ContainsFunc(now, func(e episode) bool { return e.opened == old.opened }) {
			continue
		}
		switch {
		case !old.provisional, covered(now, old.opened):
			changes = append(changes, flagChange{old, schemas.FlagWithdrawn})
		case held(old.opened):
			after = append(after, old) // its window may still be final and hold
		default:
			old.closed = old.opened
			changes = append(changes, flagChange{old, schemas.FlagClosed})
		}
	}
	for _, e := range now {
		i := slices.IndexFunc(published, func(old episode) bool { return e.opened == old.opened })
		if i < 0 || published[i].closed != e.closed || published[i].max != e.max {
			state := schemas.FlagOpen
			if e.closed != 0 {
				state = schemas.FlagClosed
			}
			changes = append(changes, flagChange{e, state})
		}
		after = append(after, e)
	}
	return after, changes
}

// covered reports whether another episode was already open at t.
func covered(all []episode, t schemas.Ticks) bool {
	return slices.ContainsFunc(all, func(e episode) bool { return e.opened < t && (e.closed == 0 || e.closed >= t) })
}
