package fhir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"auscult/schemas"
)

// ObservationSystem is the system of the identifiers and service codes of
// every Observation: that of Microsoft's connector, so that what it wrote is
// found again.
const ObservationSystem = "https://azure.microsoft.com/en-us/services/iomt-fhir-connector/"

// Period is how values are grouped into Observations: the connector's
// periodInterval, with its numbers.
type Period int

// The periods.
const (
	Correlation Period = -1   // all values of one correlation id
	Single      Period = 0    // each instant by itself
	Hourly      Period = 60   // each UTC hour
	Daily       Period = 1440 // each UTC day
)

// String returns the name that mapping files use.
func (p Period) String() string {
	switch p {
	case Correlation:
		return "CorrelationId"
	case Single:
		return "Single"
	case Hourly:
		return "Hourly"
	case Daily:
		return "Daily"
	}
	return fmt.Sprintf("Period(%d)", int(p))
}

var (
	errNoCorrelation = errors.New("the type is grouped by correlation id and the value has none")
	errBadPeriod     = errors.New("unknown period")
)

// segmentLayout has whole seconds, as the connector's identifiers have: two
// instants within one second share an Observation.
const segmentLayout = "20060102150405Z"

// SegmentOf returns the segment that holds a value at t: its text as it stands
// in the identifier, and its bounds, both inclusive. A segment by correlation
// id has no bounds of its own; it is given those of the value.
func SegmentOf(p Period, t schemas.Ticks, correlation string) (segment string, start, end schemas.Ticks, err error) {
	switch p {
	case Correlation:
		if trim(correlation) == "" {
			return "", 0, 0, errNoCorrelation
		}
		return correlation, t, t, nil
	case Single:
		start, end = t, t
	case Hourly:
		start = t.Floor(schemas.TicksPerHour, 0)
		end = start + schemas.TicksPerHour - 1
	case Daily:
		start = t.Floor(schemas.TicksPerDay, 0)
		end = start + schemas.TicksPerDay - 1
	default:
		return "", 0, 0, fmt.Errorf("%w: %d", errBadPeriod, int(p))
	}
	b := make([]byte, 0, 2*len(segmentLayout)+1)
	b = append(start.Time().AppendFormat(b, segmentLayout), '.')
	return string(end.Time().AppendFormat(b, segmentLayout)), start, end, nil
}

// ObservationIdentifier returns the identifier value of the Observation of a
// segment. Patient and device are FHIR logical ids. Outer blanks, as a
// correlation id may have them, count in the id but not on the server, which
// trims every text.
func ObservationIdentifier(patient, device, typ, segment string) string {
	return patient + "." + device + "." + typ + "." + segment
}

// ObservationID returns the id of the Observation with that identifier value:
// two writers that create it meet at one resource.
func ObservationID(identifierValue string) string {
	sum := sha256.Sum256([]byte(ObservationSystem + "_" + identifierValue))
	return hex.EncodeToString(sum[:])
}

// Times returns t as the risk resources write instants: a fraction only when
// there is one.
func Times(t schemas.Ticks) string { return t.String() }

// periodTime returns t as Observation.effectivePeriod has it: always seven
// digits, so that equal instants are equal texts.
func periodTime(t schemas.Ticks) string { return t.Time().Format("2006-01-02T15:04:05.0000000Z") }

// fhirTimeLayouts are the forms of a FHIR dateTime; without a zone it is read
// as UTC, and a partial one as its first instant.
var fhirTimeLayouts = []string{
	"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02", "2006-01", "2006",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04",
}

// parseTime reads a FHIR dateTime.
func parseTime(s string) (schemas.Ticks, bool) {
	s = strings.ToUpper(trim(s))
	for _, layout := range fhirTimeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return schemas.TicksOf(t), true
		}
	}
	return 0, false
}
