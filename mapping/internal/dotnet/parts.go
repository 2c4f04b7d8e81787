package dotnet

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// part is a part of a time text together with what stands behind it.
type part uint8

const (
	ignored part = iota // a comma, a point, AM, an offset: no step of its own
	textEnd
	numberEnd // one or two digits at the end of the text
	numberHalf
	numberSpace // anything else behind the digits
	numberDate  // a date separator
	numberTime
	numberT
	monthEnd
	monthSpace
	monthDate
	weekdayName
	yearSpace // three digits or more
	yearDate
	yearEnd
	zoneName
	eraName
	parts
)

// state is what was read since the last complete date or time: N is a number, M
// a month, Y a year, Sep a date separator at the end.
type state uint8

const (
	fail state = iota
	begin
	number
	numbers
	numberSep
	dateNumbers // two numbers with a separator between them
	numbersSep
	month
	monthNumber
	numberMonth
	monthNumberSep
	year
	yearNumber
	yearNumberSep
	yearMonth
	yearMonthSep
	hour
	minute
	completeNN // needs today's year
	completeMN // needs today's year
	completeNNN
	completeNM
	completeMNN
	completeYNN
	completeYMN
	completeYN
	completeYM
	completeHour
	completeMinute
	completeSecond
	firstComplete = completeNN
)

// after says which state a part leads to. A number behind a number decides
// whether both are a date or a time.
var after = [firstComplete][parts]state{
	begin: {
		textEnd: begin, numberHalf: completeHour, numberSpace: number, numberDate: numberSep, numberTime: hour,
		monthSpace: month, monthDate: month, weekdayName: begin, yearSpace: year, yearDate: year, zoneName: begin, eraName: begin,
	},
	number: {
		numberEnd: completeNN, numberHalf: completeMinute, numberSpace: numbers, numberDate: numbersSep,
		monthEnd: completeNM, monthSpace: numberMonth, monthDate: monthNumberSep, weekdayName: number,
		yearSpace: yearNumber, yearDate: yearNumberSep, yearEnd: completeYN, zoneName: number, eraName: number,
	},
	numbers: {
		textEnd: completeNN, numberEnd: completeNNN, numberHalf: completeSecond, numberSpace: completeNNN, numberTime: hour,
		monthEnd: completeMNN, monthSpace: completeMNN, weekdayName: numbers, yearSpace: completeNNY, yearEnd: completeNNY,
		zoneName: numbers, eraName: numbers,
	},
	numberSep: {
		numberEnd: completeNN, numberSpace: dateNumbers, numberDate: numbersSep,
		monthEnd: completeNM, monthSpace: monthNumber, monthDate: monthNumberSep, weekdayName: numberSep,
		yearSpace: yearNumber, yearDate: yearNumberSep, yearEnd: completeYN, eraName: numberSep,
	},
	dateNumbers: {
		textEnd: completeNN, numberEnd: completeNNN, numberSpace: completeNNN, numberTime: hour,
		monthEnd: completeMNN, monthSpace: completeMNN, weekdayName: dateNumbers, yearSpace: completeNNY, yearEnd: completeNNY,
		eraName: dateNumbers,
	},
	numbersSep: {
		numberEnd: completeNNN, numberHalf: completeNNN, numberSpace: completeNNN, monthEnd: completeMNN, monthSpace: completeMNN,
		weekdayName: numbersSep, yearSpace: completeNNY, yearEnd: completeNNY, eraName: numbersSep,
	},
	month: {
		numberEnd: completeMN, numberSpace: monthNumber, numberDate: monthNumberSep, weekdayName: month,
		yearSpace: yearMonth, yearDate: yearMonthSep, yearEnd: completeYM, eraName: month,
	},
	monthNumber: {
		textEnd: completeMN, numberEnd: completeMNN, numberHalf: completeMNN, numberSpace: completeMNN, numberTime: hour,
		weekdayName: monthNumber, yearSpace: completeYMN, yearEnd: completeYMN, eraName: monthNumber,
	},
	numberMonth: {
		textEnd: completeNM, numberEnd: completeMNN, numberHalf: completeMNN, numberSpace: completeMNN, numberTime: hour,
		weekdayName: numberMonth, yearSpace: completeYMN, yearEnd: completeYMN, eraName: numberMonth,
	},
	monthNumberSep: {
		numberEnd: completeMNN, numberSpace: completeMNN, weekdayName: monthNumberSep,
		yearSpace: completeYMN, yearEnd: completeYMN, eraName: monthNumberSep,
	},
	year: {
		numberEnd: completeYN, numberSpace: yearNumber, numberDate: yearNumberSep,
		monthEnd: completeYM, monthSpace: yearMonth, monthDate: yearMonthSep, weekdayName: year, eraName: year,
	},
	yearNumber: {
		textEnd: completeYN, numberEnd: completeYNN, numberHalf: completeYNN, numberSpace: completeYNN,
		monthEnd: completeYMN, monthSpace: completeYMN, weekdayName: yearNumber, eraName: yearNumber,
	},
	yearNumberSep: {
		numberEnd: completeYNN, numberHalf: completeYNN, numberSpace: completeYNN,
		monthEnd: completeYMN, monthSpace: completeYMN, weekdayName: yearNumber, eraName: yearNumber,
	},
	yearMonth: {
		textEnd: completeYM, numberEnd: completeYMN, numberHalf: completeYMN, numberSpace: completeYMN,
		weekdayName: yearMonth, eraName: yearMonth,
	},
	yearMonthSep: {
		numberEnd: completeYMN, numberHalf: completeYMN, numberSpace: completeYMN, weekdayName: yearMonth, eraName: yearMonth,
	},
	hour: {
		numberEnd: completeMinute, numberHalf: completeMinute, numberSpace: completeMinute, numberTime: minute,
		monthEnd: completeNM, monthSpace: numberMonth, zoneName: hour, eraName: hour,
	},
	minute: {
		numberEnd: completeSecond, numberHalf: completeSecond, numberSpace: completeSecond,
		weekdayName: minute, zoneName: minute, eraName: minute,
	},
}

// completeNNY is a month, a day and a year: the year stands last, but is known.
const completeNNY = completeYNN

var monthNames = [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

var dayNames = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// next reads the next part; ok is false when there is none that .NET knows.
func (r *dateReader) next(at state) (p part, ok bool) {
	r.blanks()
	c := r.peek()
	switch {
	case r.ended():
		return textEnd, true
	case isDigit(c):
		return r.number(at)
	case c == ',' || c == '.':
		r.i++
		return ignored, true
	case c == '+' || c == '-':
		return ignored, r.zone()
	}
	if m := r.name(monthNames[:]); m > 0 {
		known := r.month != 0
		r.month = m
		p, ok = r.monthPart(at)
		return p, ok && !known
	}
	if d := r.name(dayNames[:]); d > 0 {
		known := r.weekday != 0
		r.weekday = d
		return weekdayName, !known
	}
	switch {
	case r.word("gmt") || r.word("z"):
		known := r.zoned
		r.zoned = true
		return zoneName, !known
	case r.word("ad") || r.word("a.d."):
		return eraName, true
	}
	return ignored, r.halfOfDay()
}

// halfOfDay reads AM or PM.
func (r *dateReader) halfOfDay() bool {
	known := r.half != noHalf
	switch {
	case r.word("am"):
		r.half = morning
	case r.word("pm"):
		r.half = afternoon
	default:
		return false
	}
	return !known
}

// separators that stand behind numbers and months.
const (
	sepEnd   = 0
	sepSpace = ' '
	sepHalf  = 'a'
	sepT     = 't'
)

// separator reads what stands behind a number or a month: / - : or one of the
// constants.
func (r *dateReader) separator() byte {
	r.blanks()
	switch c := r.peek(); {
	case r.ended():
		return sepEnd
	case c == '/' || c == '-' || c == ':':
		r.i++
		return c
	case r.word("t"):
		return sepT
	case r.halfOfDay():
		return sepHalf
	}
	return sepSpace
}

// number reads a number. Behind minutes and seconds it looks for a fraction and
// an offset.
func (r *dateReader) number(at state) (p part, ok bool) {
	v, n := r.digits()
	if n > 8 || r.count == len(r.pending) || n > 2 && r.year >= 0 {
		return ignored, false
	}
	if at == minute && r.peek() == '.' && r.i < len(r.s)-1 {
		r.i++
		r.decimals()
	}
	if !r.offsetBehind(at) {
		return ignored, false
	}
	behind := r.i
	sep := r.separator()
	if n > 2 {
		r.year = v
		return r.dashed(at, behind, sep, yearSpace, yearDate, yearEnd)
	}
	r.pending[r.count] = v
	r.count++
	switch sep {
	case sepT:
		return numberT, true
	case ':':
		return numberTime, true
	case sepHalf: // two numbers with a separator before it were a day without a year
		return numberHalf, at != dateNumbers && r.offsetBehind(at)
	}
	return r.dashed(at, behind, sep, numberSpace, numberDate, numberEnd)
}

// monthPart reads what stands behind the name of a month.
func (r *dateReader) monthPart(at state) (p part, ok bool) {
	behind := r.i
	sep := r.separator()
	p, ok = r.dashed(at, behind, sep, monthSpace, monthDate, monthEnd)
	return p, ok && sep != sepHalf
}

// dashed chooses between three parts. A dash separates dates unless the part
// completes one: then it is the sign of an offset, and stays to be read.
func (r *dateReader) dashed(at state, behind int, sep byte, space, date, end part) (part, bool) {
	switch sep {
	case sepEnd:
		return end, true
	case sepSpace, sepHalf:
		return space, true
	case '/':
		return date, true
	case '-':
		if after[at][date] == fail && after[at][space] >= firstComplete {
			r.i = behind
			return space, true
		}
		return date, true
	}
	return ignored, false
}

// offsetBehind reads an offset behind minutes or seconds, if there is one.
func (r *dateReader) offsetBehind(at state) bool {
	if at != hour && at != minute {
		return true
	}
	behind := r.i
	if r.blanks(); r.peek() == '+' || r.peek() == '-' {
		return r.zone()
	}
	r.i = behind
	return true
}

func (r *dateReader) ended() bool { return r.i >= len(r.s) }

// peek returns the next byte, 0 at the end.
func (r *dateReader) peek() byte {
	if r.ended() {
		return 0
	}
	return r.s[r.i]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (r *dateReader) blanks() {
	for !r.ended() {
		c, size := utf8.DecodeRuneInString(r.s[r.i:])
		if !unicode.IsSpace(c) {
			return
		}
		r.i += size
	}
}

// digits reads digits and counts them; more than nine are too many for anybody.
func (r *dateReader) digits() (v, n int) {
	for ; isDigit(r.peek()); r.i++ {
		if n++; n <= 9 {
			v = v*10 + int(r.peek()-'0')
		}
	}
	return v, n
}

// name reads one of names, or its first three letters, and returns which,
// counted from 1; 0 for none.
func (r *dateReader) name(names []string) int {
	for i, name := range names {
		if r.word(name) || r.word(name[:3]) {
			return i + 1
		}
	}
	return 0
}

// word reads w, in any case, unless a letter follows.
func (r *dateReader) word(w string) bool {
	end := r.i + len(w)
	if end > len(r.s) || !strings.EqualFold(r.s[r.i:end], w) {
		return false
	}
	if c, _ := utf8.DecodeRuneInString(r.s[end:]); unicode.IsLetter(c) {
		return false
	}
	r.i = end
	return true
}
