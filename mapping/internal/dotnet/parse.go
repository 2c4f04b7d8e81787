package dotnet

import (
	"math"

	"auscult/schemas"
)

// maxOffset is how far from UTC a zone may be.
const maxOffset = 14 * schemas.TicksPerHour

// lastOfCentury is the latest year that two digits can mean.
const lastOfCentury = 2049

// LenientTime reads s as .NET's DateTime.Parse does in the invariant culture:
// numbers and English words in many orders, which are told apart by how many
// digits they have and by what stands behind them. What .NET completes with
// today's date or year is refused.
func LenientTime(s string) (schemas.Ticks, bool) {
	r := dateReader{s: s, year: -1}
	if !r.read() || !r.dated {
		return 0, false
	}
	return r.instant()
}

// dateReader collects what the parts of a time text say.
type dateReader struct {
	s string
	i int

	pending  [3]int // numbers of which it is not known yet what they are
	count    int
	year     int // a number of three digits or more; -1 = none yet
	month    int // written as a word; 0 = none yet
	weekday  int // 1 = Monday; 0 = none
	half     half
	zoned    bool
	offset   schemas.Ticks
	dated    bool
	timed    bool
	day      schemas.Ticks // days since 0001-01-01
	clock    [3]int        // hours, minutes, seconds
	fraction float64       // of a second; .NET rounds to ticks only at the end
}

// half is the half of a day.
type half uint8

const (
	noHalf half = iota
	morning
	afternoon
)

// read follows the parts of the text from state to state until it ends.
func (r *dateReader) read() bool {
	complete := false
	for at := begin; ; {
		p, ok := r.next(at)
		switch {
		case !ok:
			return false
		case p == ignored:
			continue
		case p == numberT:
			return (at == yearNumber || at == yearNumberSep) && r.isoClock()
		}
		if at = after[at][p]; at == fail {
			return false
		}
		if at >= firstComplete {
			if !r.take(at) {
				return false
			}
			r.count, at, complete = 0, begin, true
		}
		if p == textEnd || p == numberEnd || p == monthEnd {
			return complete
		}
	}
}

// take makes what is pending a date or a time of day.
func (r *dateReader) take(complete state) bool {
	n := &r.pending
	switch complete {
	case completeNNN:
		return r.date(fullYear(n[2]), n[0], n[1])
	case completeNM: // a number before a month is its year
		return r.date(fullYear(n[0]), r.month, 1)
	case completeMNN:
		return r.date(fullYear(n[1]), r.month, n[0]) || r.date(fullYear(n[0]), r.month, n[1])
	case completeYNN:
		return r.date(r.year, n[0], n[1])
	case completeYMN:
		return r.date(r.year, r.month, n[0])
	case completeYN:
		return r.date(r.year, n[0], 1)
	case completeYM:
		return r.date(r.year, r.month, 1)
	case completeHour:
		return r.half != noHalf && r.time(n[0], 0, 0)
	case completeMinute:
		return r.time(n[0], n[1], 0)
	case completeSecond:
		return r.time(n[0], n[1], n[2])
	}
	return false // a day without a year
}

func fullYear(y int) int {
	switch {
	case y > 99:
		return y
	case y > lastOfCentury%100:
		return lastOfCentury/100*100 - 100 + y
	}
	return lastOfCentury/100*100 + y
}

func (r *dateReader) date(y, m, d int) bool {
	if r.dated || !validDay(y, m, d) {
		return false
	}
	r.day, r.dated = daysBefore(y, m, d), true
	return true
}

func (r *dateReader) time(h, m, s int) bool {
	if r.timed {
		return false
	}
	r.clock, r.timed = [3]int{h, m, s}, true
	return true
}

// instant puts the parts together.
func (r *dateReader) instant() (schemas.Ticks, bool) {
	h, m, s := r.clock[0], r.clock[1], r.clock[2]
	switch {
	case r.half == morning && h > 12 || h > 23 || m > 59 || s > 59:
		return 0, false
	case r.half == morning && h == 12:
		h = 0
	case r.half == afternoon && h < 12:
		h += 12
	}
	t := r.day*schemas.TicksPerDay + schemas.Ticks(h)*schemas.TicksPerHour +
		schemas.Ticks(m)*schemas.TicksPerMinute + schemas.Ticks(s)*schemas.TicksPerSecond
	t += schemas.Ticks(math.RoundToEven(r.fraction * float64(schemas.TicksPerSecond)))
	if t > schemas.MaxTicks || r.weekday != 0 && int(t/schemas.TicksPerDay%7)+1 != r.weekday { // 0001-01-01 was a Monday
		return 0, false
	}
	if max(r.offset, -r.offset) > maxOffset {
		return 0, false
	}
	utc := t - r.offset
	if utc < 0 && t < schemas.TicksPerDay { // .NET takes the first day for a time of day
		utc += schemas.TicksPerDay
	}
	return utc, utc >= 0 && utc <= schemas.MaxTicks
}

// isoClock reads what follows the T of 2023-03-13T: two digits each, and
// nothing behind the zone.
func (r *dateReader) isoClock() bool {
	var c [3]int
	ok := r.twoDigits(&c[0]) && r.char(':') && r.twoDigits(&c[1])
	r.blanks()
	if ok && r.char(':') {
		ok = r.twoDigits(&c[2]) && (!r.char('.') || r.decimals())
	}
	r.blanks()
	switch b := r.peek(); {
	case !ok:
	case b == '+' || b == '-':
		ok = r.zone()
	case b|0x20 == 'z':
		r.i++
	}
	r.blanks()
	r.weekday, r.half = 0, noHalf // .NET forgets them here
	return ok && r.ended() && r.date(r.year, r.pending[0], r.pending[1]) && r.time(c[0], c[1], c[2])
}

// twoDigits reads a number with blanks before it.
func (r *dateReader) twoDigits(v *int) bool {
	r.blanks()
	n, ok := two([]byte(r.s[r.i:min(r.i+2, len(r.s))]), 0)
	if *v = n; ok {
		r.i += 2
	}
	return ok
}

// char skips blanks and b; a point must follow at once.
func (r *dateReader) char(b byte) bool {
	if b != '.' {
		r.blanks()
	}
	if r.peek() != b {
		return false
	}
	r.i++
	return true
}

// decimals reads the digits of a fraction, adding them up as .NET does: what it
// rounds depends on it.
func (r *dateReader) decimals() bool {
	start := r.i
	r.fraction = 0
	for unit := 0.1; isDigit(r.peek()); unit = float64(unit * 0.1) {
		r.fraction += float64(float64(r.peek()-'0') * unit)
		r.i++
	}
	return r.i > start
}

// zone reads +2, +02, +200, +0200 or +2:00.
func (r *dateReader) zone() bool {
	if r.zoned {
		return false
	}
	sign := schemas.Ticks(1)
	if r.peek() == '-' {
		sign = -1
	}
	r.i++
	h, n := r.digits()
	m := 0
	switch n {
	case 1, 2:
		if r.peek() == ':' {
			r.i++
			if m, n = r.digits(); n != 1 && n != 2 {
				return false
			}
		}
	case 3, 4:
		h, m = h/100, h%100
	default:
		return false
	}
	r.zoned, r.offset = true, sign*(schemas.Ticks(h)*schemas.TicksPerHour+schemas.Ticks(m)*schemas.TicksPerMinute)
	return m < 60
}
