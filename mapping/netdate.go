package mapping

import (
	"strings"
	"unicode"

	"auscult/schemas"
)

// maxTimeText is the longest text that is tried as a time.
const maxTimeText = 64

// dateReader reads the time texts that .NET's DateTime.Parse takes in the
// invariant culture: year first with - or /, month first with /, and English
// month names, each with an optional time of day and zone.
type dateReader struct {
	s string
	i int

	y, m, d int
	weekday int // 1 = Monday; 0 = none
	at      schemas.Ticks
	offset  schemas.Ticks
}

var monthNames = [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

var dayNames = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// lenientTime reads s by the loose rules.
func lenientTime(s string) (schemas.Ticks, bool) {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
	r := dateReader{s: strings.TrimSpace(s)}
	if len(r.s) > maxTimeText || !r.date() || !validDay(r.y, r.m, r.d) || !r.clock() || !r.zone() {
		return 0, false
	}
	day := daysBefore(r.y, r.m, r.d)
	if r.weekday != 0 && int(day%7)+1 != r.weekday { // 0001-01-01 was a Monday
		return 0, false
	}
	t := day*schemas.TicksPerDay + r.at - r.offset
	return t, t >= 0 && t <= schemas.MaxTicks
}

func (r *dateReader) peek() byte {
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

func (r *dateReader) blanks() bool {
	start := r.i
	for r.peek() == ' ' {
		r.i++
	}
	return r.i > start
}

// number reads digits and tells how many there were.
func (r *dateReader) number() (v, n int) {
	for r.peek()-'0' < 10 && n < 9 {
		v = v*10 + int(r.peek()-'0')
		r.i++
		n++
	}
	return v, n
}

// word reads letters and returns which of names they are or abbreviate to three
// letters, counted from 1; 0 for none.
func (r *dateReader) word(names []string) int {
	start := r.i
	for c := r.peek(); c >= 'a' && c <= 'z'; c = r.peek() {
		r.i++
	}
	w := r.s[start:r.i]
	for i, name := range names {
		if w == name || len(w) == 3 && w == name[:3] {
			return i + 1
		}
	}
	r.i = start
	return 0
}

func (r *dateReader) date() bool {
	if r.weekday = r.word(dayNames[:]); r.weekday != 0 {
		if r.peek() == ',' {
			r.i++
		}
		r.blanks()
	}
	if r.m = r.word(monthNames[:]); r.m != 0 {
		return r.monthFirst()
	}
	v, n := r.number()
	switch {
	case n == 4:
		return r.yearFirst(v)
	case n != 1 && n != 2:
		return false
	}
	switch sep := r.peek(); sep {
	case '/', '-':
		return r.numeric(v, sep)
	case ' ':
		r.blanks()
	}
	r.d = v
	if r.m = r.word(monthNames[:]); r.m == 0 {
		return false
	}
	if r.peek() == ',' {
		r.i++
	}
	r.blanks()
	r.y, n = r.number()
	return n == 4
}

// yearFirst reads the rest of yyyy-MM[-dd] or yyyy/MM[/dd].
func (r *dateReader) yearFirst(year int) bool {
	sep := r.peek()
	if sep != '-' && sep != '/' {
		return false
	}
	r.i++
	var n int
	r.y, r.d = year, 1
	if r.m, n = r.number(); n != 1 && n != 2 {
		return false
	}
	if r.peek() != sep {
		return true
	}
	r.i++
	r.d, n = r.number()
	return n == 1 || n == 2
}

// numeric reads the rest of MM/dd/yyyy.
func (r *dateReader) numeric(month int, sep byte) bool {
	r.m = month
	r.i++
	var n int
	if r.d, n = r.number(); n != 1 && n != 2 || r.peek() != sep {
		return false
	}
	r.i++
	r.y, n = r.number()
	return n == 4
}

// monthFirst reads the rest of Mar 13[,] 2023.
func (r *dateReader) monthFirst() bool {
	r.blanks()
	var n int
	if r.d, n = r.number(); n != 1 && n != 2 {
		return false
	}
	comma := r.peek() == ','
	if comma {
		r.i++
	}
	if !r.blanks() && !comma {
		return false
	}
	r.y, n = r.number()
	return n == 4
}

// clock reads an optional time of day.
func (r *dateReader) clock() bool {
	if r.i == len(r.s) {
		return true
	}
	strict := r.peek() == 't' // after a T the hour has two digits
	if strict {
		r.i++
	} else if !r.blanks() {
		return r.peek() == 'z' || r.peek() == '+' || r.peek() == '-'
	}
	if c := r.peek(); !strict && (c == 'z' || c == '+' || c == '-' || c == 'g') {
		return true
	}
	return r.hours(strict)
}

// hours reads H:mm, seconds if there are any, and AM or PM; strict hours have
// two digits.
func (r *dateReader) hours(strict bool) bool {
	h, n := r.number()
	if n == 0 || n > 2 || strict && n != 2 || r.peek() != ':' {
		return false
	}
	r.i++
	m, n := r.number()
	if n == 0 || n > 2 {
		return false
	}
	s, ok := r.seconds()
	if !ok || h > 23 || m > 59 || s > 59 || !r.half(&h) {
		return false
	}
	r.at += schemas.Ticks(h)*schemas.TicksPerHour + schemas.Ticks(m)*schemas.TicksPerMinute + schemas.Ticks(s)*schemas.TicksPerSecond
	return true
}

// seconds reads an optional :ss with an optional fraction.
func (r *dateReader) seconds() (int, bool) {
	if r.peek() != ':' {
		return 0, true
	}
	r.i++
	s, n := r.number()
	return s, n > 0 && n <= 2 && (r.peek() != '.' || r.fraction())
}

// fraction reads .f with any number of digits, rounded to ticks.
func (r *dateReader) fraction() bool {
	r.i++
	start := r.i
	unit := schemas.TicksPerSecond
	for ; r.peek()-'0' < 10; r.i++ {
		digit := schemas.Ticks(r.peek() - '0')
		switch {
		case unit > 1:
			unit /= 10
			r.at += digit * unit
		case unit == 1:
			unit = 0
			if digit >= 5 {
				r.at++
			}
		}
	}
	return r.i > start
}

// half reads an optional AM or PM.
func (r *dateReader) half(h *int) bool {
	rest := strings.TrimLeft(r.s[r.i:], " ")
	if !strings.HasPrefix(rest, "am") && !strings.HasPrefix(rest, "pm") {
		return true
	}
	r.i = len(r.s) - len(rest) + 2
	if *h > 12 {
		return false
	}
	*h %= 12
	if rest[0] == 'p' {
		*h += 12
	}
	return true
}

// zone reads what is left: nothing, Z, GMT or an offset.
func (r *dateReader) zone() bool {
	r.blanks()
	rest := r.s[r.i:]
	if rest == "gmt" {
		return true
	}
	offset, _, ok := isoZone([]byte(rest))
	r.offset = offset
	return ok
}
