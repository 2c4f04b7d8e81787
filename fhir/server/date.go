package server

import (
	"fmt"
	"math"
	"time"
)

// span is the time that a FHIR date, dateTime, instant or Period covers:
// microseconds since 1970, both ends included. "2024-05" covers all of May.
type span struct{ from, to int64 }

// noSpan marks a resource without a date: it matches no date search.
var noSpan = span{math.MinInt64, math.MinInt64}

// The ends of a Period that has none.
const (
	sinceEver = math.MinInt64 + 1
	forEver   = math.MaxInt64
)

// dateForms are the precisions of a FHIR dateTime; the end of the span is
// where the next value of that precision begins.
var dateForms = []struct {
	layout string
	next   func(time.Time) time.Time
}{
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
}

// spanOf returns what a date text covers. A date without a zone counts as UTC;
// a time with fraction digits covers its microsecond.
func spanOf(text string) (span, error) {
	if len(text) > len("2006-01-02T15:04:05") {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			step := time.Second
			if text[len("2006-01-02T15:04:05")] == '.' {
				step = time.Microsecond
			}
			return span{t.UnixMicro(), t.UnixMicro() + step.Microseconds() - 1}, nil
		}
	}
	if len(text) > len("2006-01-02T15:04:05") && text[17:19] == "60" {
		// A leap second, which Go does not know, is the second before.
		return spanOf(text[:17] + "59" + text[19:])
	}
	for _, f := range dateForms {
		if t, err := time.Parse(f.layout, text); err == nil {
			return span{t.UnixMicro(), f.next(t).UnixMicro() - 1}, nil
		}
	}
	if t, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return span{t.UnixMicro(), t.UnixMicro() + time.Second.Microseconds() - 1}, nil
	}
	return noSpan, fmt.Errorf("%q is no FHIR date or dateTime", text)
}

// spanOfMember returns the span of a dateTime, Period or Timing member.
func spanOfMember(v *value) (span, error) {
	if v.kind == textKind {
		return spanOf(v.text())
	}
	if events := v.get("event"); events != nil {
		return spanOfEvents(events)
	}
	if bounds := v.get("repeat").get("boundsPeriod"); bounds != nil {
		v = bounds
	}
	s := span{sinceEver, forEver}
	start, end := v.get("start"), v.get("end")
	if start == nil && end == nil {
		return noSpan, nil
	}
	if start != nil {
		first, err := spanOf(start.text())
		if err != nil {
			return noSpan, err
		}
		s.from = first.from
	}
	if end != nil {
		last, err := spanOf(end.text())
		if err != nil {
			return noSpan, err
		}
		s.to = last.to
	}
	return s, nil
}

// spanOfEvents returns the span from the first event of a Timing to its last.
func spanOfEvents(events *value) (span, error) {
	all := span{forEver, sinceEver}
	var err error
	events.each(func(e *value) {
		if e.kind != textKind {
			return // a null, whose companion says why
		}
		s, wrong := spanOf(e.text())
		if wrong != nil {
			err = wrong
		}
		all = span{min(all.from, s.from), max(all.to, s.to)}
	})
	if all.from > all.to {
		return noSpan, err
	}
	return all, err
}

// compare returns the condition of a date search (R4 3.1.1.4.5) on the columns
// that hold a resource's span, and its arguments. ok is false for a prefix
// that R4 does not know.
func compare(prefix, from, to string, s span) (condition string, args []any, ok bool) {
	inside := "(" + from + " >= ? AND " + to + " <= ?)"
	switch prefix {
	case "eq":
		return inside, []any{s.from, s.to}, true
	case "ne":
		return "NOT " + inside, []any{s.from, s.to}, true
	case "gt":
		return to + " > ?", []any{s.to}, true
	case "lt":
		return from + " < ?", []any{s.from}, true
	case "ge":
		return "(" + to + " > ? OR " + inside + ")", []any{s.to, s.from, s.to}, true
	case "le":
		return "(" + from + " < ? OR " + inside + ")", []any{s.from, s.from, s.to}, true
	case "sa":
		return from + " > ?", []any{s.to}, true
	case "eb":
		return to + " < ?", []any{s.from}, true
	case "ap":
		return "(" + from + " <= ? AND " + to + " >= ?)", []any{s.to, s.from}, true
	}
	return "", nil, false
}
