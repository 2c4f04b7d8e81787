package schemas

import "time"

// Ticks counts 100 ns steps since 0001-01-01T00:00:00Z, the resolution and
// range of the device times that MedTech writes (7 fraction digits, years 0001
// to 9999). The zero value is that first instant and stands for "no time".
type Ticks int64

// How many ticks make a unit of time.
const (
	TicksPerMicrosecond Ticks = 10
	TicksPerMillisecond Ticks = 10_000
	TicksPerSecond      Ticks = 10_000_000
	TicksPerMinute            = 60 * TicksPerSecond
	TicksPerHour              = 60 * TicksPerMinute
	TicksPerDay               = 24 * TicksPerHour
)

// unixEpochTicks is 1970-01-01T00:00:00Z: 719,162 days after 0001-01-01.
const unixEpochTicks Ticks = 719_162 * TicksPerDay

// MaxTicks is 9999-12-31T23:59:59.9999999Z, the last instant a record can hold.
const MaxTicks Ticks = 3_652_059*TicksPerDay - 1

// TicksOf returns t in ticks; what is finer than 100 ns is cut off.
func TicksOf(t time.Time) Ticks {
	return unixEpochTicks + Ticks(t.Unix())*TicksPerSecond + Ticks(t.Nanosecond()/100)
}

// TicksIn returns how many whole ticks d lasts.
func TicksIn(d time.Duration) Ticks { return Ticks(d / 100) }

// Time returns t as a time in UTC.
func (t Ticks) Time() time.Time {
	u := t - unixEpochTicks
	s, rest := u/TicksPerSecond, u%TicksPerSecond
	return time.Unix(int64(s), int64(rest)*100).UTC()
}

// UnixMicro returns t as microseconds since 1970-01-01T00:00:00Z, cut off
// towards the past: how the warehouse stores times.
func (t Ticks) UnixMicro() int64 {
	u := int64(t - unixEpochTicks)
	q := u / int64(TicksPerMicrosecond)
	if u%int64(TicksPerMicrosecond) < 0 {
		q--
	}
	return q
}

// Duration returns t as a length of time. It overflows beyond 292 years.
func (t Ticks) Duration() time.Duration { return time.Duration(t) * 100 }

// Floor returns the start of the step-long interval, counted from origin, that
// holds t.
func (t Ticks) Floor(step, origin Ticks) Ticks {
	q := (t - origin) / step
	if (t-origin)%step < 0 {
		q--
	}
	return origin + q*step
}

// String returns t in ISO 8601 with as many fraction digits as it needs.
func (t Ticks) String() string { return t.Time().Format("2006-01-02T15:04:05.9999999Z") }
