package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"auscult/schemas"
)

// Risk levels as the page shows them. Each has a word, a shape and a colour;
// the style sheet knows them by these names.
const (
	levelHigh      = "high"
	levelMedium    = "medium"
	levelLowMedium = "low-medium"
	levelLow       = "low"
	levelUnsure    = "unsure" // inputs are missing and the bounds disagree
	levelNone      = "none"   // not scored yet
)

var levelWords = map[string]string{
	levelHigh: "High", levelMedium: "Medium", levelLowMedium: "Low-medium", levelLow: "Low",
	levelUnsure: "Incomplete", levelNone: "No score yet",
}

// levelOf returns the level of what a model said.
func levelOf(model, risk string) string {
	switch {
	case model == "":
		return levelNone
	case levelWords[risk] != "":
		return risk
	}
	return levelUnsure
}

// dash joins the ends of a range.
const dash = "\u2013"

// number returns a score as charts write it, or its bounds.
func number(b Bounds) string {
	if b.Complete || b.Min == b.Max {
		return decimal(b.Min)
	}
	return decimal(b.Min) + dash + decimal(b.Max)
}

// decimal returns a number with at most two decimals.
func decimal(f float64) string {
	return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64)
}

// known are the inputs of the chart that every nurse knows, in its order: how
// a chip calls them, and in full.
var known = []struct{ name, label, full string }{
	{"rr", "RR", "Respiration rate"},
	{"spo2", "SpO\u2082", "Oxygen saturation"},
	{"oxygen", "Air/O\u2082", "Air or oxygen"},
	{"sbp", "SBP", "Systolic blood pressure"},
	{"hr", "HR", "Pulse"},
	{"consciousness", "ACVPU", "Consciousness"},
	{"temp", "Temp", "Temperature"},
}

// inputLabel returns how an input is called, short and in full, and its place
// on the chart.
func inputLabel(name string) (label, full string, place int) {
	for i, k := range known {
		if k.name == name {
			return k.label, k.full, i
		}
	}
	return name, name, len(known)
}

// InputTitle returns what people call an input of a model, or a signal of that
// name, and its place on the chart.
func InputTitle(name string) (title string, place int) {
	_, title, place = inputLabel(name)
	return title, place
}

// domID makes an id that is safe in HTML and in selectors, whatever a FHIR
// server calls its patients.
func domID(prefix string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return prefix + hex.EncodeToString(sum[:8])
}

// instant is a time as the page shows it: always UTC, and with its date unless
// that is today.
type instant struct {
	ISO, Text string
}

func instantOf(t schemas.Ticks, now time.Time) instant {
	if t == 0 {
		return instant{}
	}
	u := t.Time()
	layout := "2 Jan 2006 15:04"
	if sameDay(u, now.UTC()) {
		layout = "15:04"
	}
	if u.Second() != 0 {
		layout += ":05"
	}
	return instant{ISO: u.Format(time.RFC3339), Text: u.Format(layout)}
}

func sameDay(a, b time.Time) bool { return a.YearDay() == b.YearDay() && a.Year() == b.Year() }

// lasting returns a length of time in the two units that matter.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	return two(d/(24*time.Hour), "d", d%(24*time.Hour)/time.Hour, "h")
}

func two(a time.Duration, unitA string, b time.Duration, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}

// count returns a number with thin groups of three.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
