package fhir

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// dateTimeForm are the texts that are read as a dateTime: those of FHIR, and
// beyond them a blank between date and time, a time without seconds, and one
// without a zone.
var dateTimeForm = regexp.MustCompile(`^(\d{4}(?:-\d\d(?:-\d\d)?)?)(?:[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?$`)

// tokenForm is how a device mapping prints a date that it recognized: in UTC,
// without saying so.
const tokenForm = "01/02/2006 15:04:05"

// maxZone is the largest difference from UTC that FHIR has.
const maxZone = 14 * time.Hour

func dateTimeNode(s string) (*node, string) {
	literal, ok := dateTime(s)
	if !ok {
		return nil, fmt.Sprintf("%q is no date or time, which a DateTime needs; write it as 2026-05-01T08:00:00Z", s)
	}
	return text(literal), ""
}

// dateTime turns a text into a FHIR dateTime that keeps its digits and its zone.
func dateTime(s string) (literal string, ok bool) {
	s = trim(s)
	if len(s) > maxNumberBytes {
		return "", false
	}
	if t, err := time.Parse(tokenForm, s); err == nil && len(s) == len(tokenForm) {
		return t.Format(time.RFC3339), t.Year() > 0
	}
	m := dateTimeForm.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	date, clock, seconds, zone := m[1], m[2], m[3], strings.ToUpper(m[4])
	if clock == "" {
		t, err := time.Parse(time.DateOnly[:len(date)], date)
		return date, err == nil && t.Year() > 0
	}
	if seconds == "" {
		seconds = ":00"
	}
	if zone == "" {
		zone = "Z"
	}
	literal = date + "T" + clock + seconds + zone
	t, err := time.Parse(time.RFC3339, literal) // refuses a time without a whole date
	_, offset := t.Zone()
	return literal, err == nil && t.Year() > 0 && time.Duration(offset)*time.Second <= maxZone && time.Duration(-offset)*time.Second <= maxZone
}
