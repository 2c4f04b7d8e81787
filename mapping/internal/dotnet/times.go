// Package dotnet reads and writes numbers and times as .NET does, because the
// connector's texts are made by it. It knows no JSON.
package dotnet

import (
	"encoding/binary"
	"strings"

	"auscult/schemas"
)

// unixEpoch is 1970-01-01T00:00:00Z in ticks.
var unixEpoch = daysBefore(1970, 1, 1) * schemas.TicksPerDay

// Zone says how a time text names its zone: it decides how the connector writes
// the instant back as text, never which instant it is (no zone is UTC).
type Zone uint8

// How a time text names its zone.
const (
	ZoneNone Zone = iota
	ZoneUTC
	ZoneOffset
)

// Instant is a time text that was read.
type Instant struct {
	Ticks schemas.Ticks
	Zone  Zone
}

// TicksOfUnixMilli converts milliseconds since 1970, if a record can hold them.
func TicksOfUnixMilli(ms int64) (schemas.Ticks, bool) {
	low, high := -int64(unixEpoch/schemas.TicksPerMillisecond), int64((schemas.MaxTicks-unixEpoch)/schemas.TicksPerMillisecond)
	if ms < low || ms > high {
		return 0, false
	}
	return unixEpoch + schemas.Ticks(ms)*schemas.TicksPerMillisecond, true
}

// LooksLikeDate is the cheap test that all date tokens pass.
func LooksLikeDate(b []byte) bool {
	return len(b) >= 19 && len(b) <= 40 && b[10] == 'T' && b[0]-'0' < 10 ||
		len(b) >= 9 && b[0] == '/' && b[len(b)-1] == '/'
}

// DateToken reads b as the connector's reader does: strict ISO 8601 with at
// most seven fraction digits, or /Date(ms)/. A few texts that are not ISO 8601
// pass too, as they do there. Every string of a message that it
// accepts is a date, wherever it stands.
func DateToken(b []byte) (Instant, bool) {
	if !LooksLikeDate(b) {
		return Instant{}, false
	}
	if b[0] == '/' {
		return slashDate(b)
	}
	day, ok := ISODay(b)
	if !ok {
		return Instant{}, false
	}
	at, i, ok := ISOClock(b, 11)
	if !ok {
		return Instant{}, false
	}
	offset, z, ok := isoZone(b[i:])
	if !ok {
		return Instant{}, false
	}
	return Instant{Clamp(day + at - offset), z}, true
}

// Clamp keeps an offset from leaving the years 0001 to 9999, as .NET does.
func Clamp(t schemas.Ticks) schemas.Ticks { return min(max(t, 0), schemas.MaxTicks) }

// slashDate reads /Date(1678747561123)/ and /Date(1678747561123+0200)/; the
// offset does not move the instant.
func slashDate(b []byte) (Instant, bool) {
	s := string(b)
	if !strings.HasPrefix(s, "/Date(") || !strings.HasSuffix(s, ")/") {
		return Instant{}, false
	}
	s = s[len("/Date(") : len(s)-len(")/")]
	z := ZoneUTC
	if i := strings.LastIndexAny(s, "+-"); i > 0 {
		offset := s[i+1:]
		if len(offset) != 2 && len(offset) != 4 || !allDigits(offset) {
			return Instant{}, false
		}
		s, z = s[:i], ZoneOffset
	}
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if len(s) == 0 || len(s) > 15 || !allDigits(s) {
		return Instant{}, false
	}
	ms := int64(0)
	for i := range len(s) {
		ms = ms*10 + int64(s[i]-'0')
	}
	if negative {
		ms = -ms
	}
	t, ok := TicksOfUnixMilli(ms)
	return Instant{t, z}, ok
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// ISODay reads yyyy-MM-dd at the start of b.
func ISODay(b []byte) (schemas.Ticks, bool) {
	if len(b) < 10 {
		return 0, false
	}
	x := binary.LittleEndian.Uint64(b) ^ patternDay
	d, ok := two(b, 8)
	if !ok || !digits(x) || x&patternDashes != 0 {
		return 0, false
	}
	x = x*10 + x>>8 // each first digit's byte: the number of two digits
	y, m := int(x&0xFF*100+x>>16&0xFF), int(x>>40&0xFF)
	if !validDay(y, m, d) {
		return 0, false
	}
	return daysBefore(y, m, d) * schemas.TicksPerDay, true
}

// two reads the two digits at b[i].
func two(b []byte, i int) (int, bool) {
	if i+2 > len(b) {
		return 0, false
	}
	h, l := b[i]-'0', b[i+1]-'0'
	return int(h)*10 + int(l), h < 10 && l < 10
}

// ISOClock reads HH:mm:ss[.f] at b[i]; 24:00:00 is the end of the day. It
// returns the position behind it.
func ISOClock(b []byte, i int) (schemas.Ticks, int, bool) {
	h, ok1 := two(b, i)
	m, ok2 := two(b, i+3)
	s, ok3 := two(b, i+6)
	if !ok1 || !ok2 || !ok3 || b[i+2] != ':' || b[i+5] != ':' {
		return 0, 0, false
	}
	if h > 24 || m > 59 || s > 59 || h == 24 && (m > 0 || s > 0) {
		return 0, 0, false
	}
	t := schemas.Ticks(h)*schemas.TicksPerHour + schemas.Ticks(m)*schemas.TicksPerMinute + schemas.Ticks(s)*schemas.TicksPerSecond
	i += 8
	if i >= len(b) || b[i] != '.' {
		return t, i, true
	}
	start := i + 1
	fraction, unit := schemas.Ticks(0), schemas.TicksPerSecond
	for i = start; i < min(len(b), start+7) && b[i]-'0' < 10; i++ { // what follows is for isoZone
		unit /= 10
		fraction += schemas.Ticks(b[i]-'0') * unit
	}
	if i == start || h == 24 && fraction > 0 {
		return 0, 0, false
	}
	return t + fraction, i, true
}

// isoZone reads the rest of a time text: nothing, Z, +hh, +hhmm or +hh:mm. Its
// parts are optional as they are in Json.NET: two digits without a sign, or a
// colon without digits, are passed over.
func isoZone(b []byte) (offset schemas.Ticks, z Zone, ok bool) {
	if len(b) > 0 && b[0]|0x20 == 'z' {
		return 0, ZoneUTC, len(b) == 1
	}
	i, h, m := 0, 0, 0
	if len(b) > 2 && (b[0] == '+' || b[0] == '-') {
		if h, ok = two(b, 1); ok {
			i, z = 3, ZoneOffset
		}
	}
	if i < len(b) && b[i] == ':' {
		i++
	}
	if minutes, ok := two(b, i); ok {
		m = minutes
		i += 2
	}
	if z == ZoneOffset {
		offset = schemas.Ticks(h)*schemas.TicksPerHour + schemas.Ticks(m)*schemas.TicksPerMinute
	}
	if z == ZoneOffset && b[0] == '-' {
		offset = -offset
	}
	return offset, z, i == len(b)
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

var monthDays = [...]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func validDay(y, m, d int) bool {
	if y < 1 || y > 9999 || m < 1 || m > 12 || d < 1 {
		return false
	}
	return d <= monthDays[m] || m == 2 && d == 29 && leap(y)
}

// daysBefore counts the days from 0001-01-01 to the given one (H. Hinnant's
// civil calendar, with years that begin in March).
func daysBefore(y, m, d int) schemas.Ticks {
	if m <= 2 {
		y--
		m += 12
	}
	dayOfYear := (153*(m-3)+2)/5 + d - 1
	return schemas.Ticks(365*y + y/4 - y/100 + y/400 + dayOfYear - 306)
}

// AppendDateText appends how a date token reads as a text value:
// MM/dd/yyyy HH:mm:ss, fractions and zone lost, as in the connector.
func AppendDateText(dst []byte, t schemas.Ticks) []byte {
	return t.Time().AppendFormat(dst, "01/02/2006 15:04:05")
}

// AppendDateISO appends how a date token reads when a filter compares it with a
// text.
func AppendDateISO(dst []byte, in Instant) []byte {
	dst = in.Ticks.Time().AppendFormat(dst, "2006-01-02T15:04:05.9999999")
	switch in.Zone {
	case ZoneUTC:
		return append(dst, 'Z')
	case ZoneOffset:
		return append(dst, "+00:00"...) // converted to the connector's local time, which is UTC
	}
	return dst
}

// ParseTime reads a time text as the connector does: strict ISO first, then
// the forms that .NET reads without being told which. No zone means UTC. A time
// of day without a date is refused: the connector takes today's.
func ParseTime(s string) (schemas.Ticks, bool) {
	if in, ok := DateToken([]byte(s)); ok {
		return in.Ticks, true
	}
	return LenientTime(s)
}
