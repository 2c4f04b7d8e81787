package processors

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// Limits of one identity: the newest are kept.
const (
	maxAssignments = 128
	maxEncounters  = 256
)

// openOf returns the assignment that still holds, nil when there is none.
func openOf(as []schemas.Assignment) *schemas.Assignment {
	for i := len(as) - 1; i >= 0; i-- {
		if as[i].To >= schemas.MaxTicks {
			return &as[i]
		}
	}
	return nil
}

// closeAt ends what still holds.
func closeAt(as []schemas.Assignment, at schemas.Ticks) {
	for i := range as {
		if as[i].To >= schemas.MaxTicks {
			as[i].To = max(at, as[i].From)
		}
	}
}

// run says that from then on a device belonged to a patient, or to nobody.
type run struct {
	patient string
	since   schemas.Ticks
}

// handOver brings assignments up to date with what the Device says now. runs is
// its history, oldest first, nil when it says nothing; checked is when the old
// assignment was last confirmed; heard is where a handover is put that no
// history tells of.
func handOver(as []schemas.Assignment, patient string, runs []run, checked, heard schemas.Ticks) []schemas.Assignment {
	open := openOf(as)
	holder := ""
	if open != nil {
		holder = open.Patient
	}
	for _, r := range changes(runs, holder, patient, checked, heard) {
		at := r.since
		if open = openOf(as); open != nil {
			at = max(at, open.From+1)
			closeAt(as, at)
		}
		for i := range as {
			at = max(at, as[i].To) // nobody's time is given away twice
		}
		if r.patient != "" {
			as = append(as, schemas.Assignment{From: at, To: schemas.MaxTicks, Patient: r.patient})
		}
	}
	return as
}

// changes returns the handovers since the last check, the last of them to
// patient.
func changes(runs []run, holder, patient string, checked, heard schemas.Ticks) []run {
	var since []run
	now := holder
	for _, r := range runs {
		if r.since > checked && r.patient != now {
			since = append(since, r)
			now = r.patient
		}
	}
	if now == patient {
		return since
	}
	if n := len(runs); n > 0 && runs[n-1].patient == patient {
		return []run{runs[n-1]} // clocks differ: the server dates it before our check
	}
	return []run{{patient, heard}}
}

// beginning returns the assignments of a device that was never asked for. Its
// first patient has it since ever: recordings are older than their Device.
func beginning(patient string, runs []run) []schemas.Assignment {
	var as []schemas.Assignment
	for _, r := range runs {
		closeAt(as, r.since)
		if r.patient != "" {
			as = append(as, schemas.Assignment{From: r.since, To: schemas.MaxTicks, Patient: r.patient})
		}
	}
	if open := openOf(as); patient != "" && (open == nil || open.Patient != patient) {
		// The history does not lead to what the Device says: it is not believed.
		as = []schemas.Assignment{{To: schemas.MaxTicks, Patient: patient}}
	}
	if len(as) > 0 {
		as[0].From = 0
	}
	return as
}

// fromStatements lays DeviceUseStatements out: where two overlap, the later
// start counts. patient, who has the device now, has it from their end on.
func fromStatements(statements []schemas.Assignment, patient string) []schemas.Assignment {
	as := slices.Clone(statements)
	slices.SortStableFunc(as, func(a, b schemas.Assignment) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), strings.Compare(a.Patient, b.Patient))
	})
	for i := range as[:len(as)-1] {
		as[i].To = min(as[i].To, as[i+1].From)
	}
	last := as[len(as)-1]
	if last.To >= schemas.MaxTicks || patient == "" {
		return as
	}
	return append(as, schemas.Assignment{From: last.To, To: schemas.MaxTicks, Patient: patient})
}

// keepNames gives rebuilt assignments what messages have taught: by which name
// a patient goes. A name whose patient is not among them stays, for messages
// that name him.
func keepNames(as, old []schemas.Assignment) []schemas.Assignment {
	for _, o := range old {
		if o.Name == "" {
			continue
		}
		found := false
		for i := range as {
			if as[i].Patient == o.Patient && (as[i].Name == "" || as[i].Name == o.Name) {
				as[i].Name, found = o.Name, true
			}
		}
		if !found {
			as = append([]schemas.Assignment{{From: o.From, To: o.From, Patient: o.Patient, Name: o.Name}}, as...)
		}
	}
	return as
}

// fhirTime reads a FHIR date, dateTime or instant: the instant at which it
// begins and the one at which it is over.
func fhirTime(text string) (begin, end schemas.Ticks, ok bool) {
	forms := []struct {
		layout string
		over   func(time.Time) time.Time
	}{
		{time.RFC3339Nano, func(t time.Time) time.Time { return t.Add(100) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	}
	for _, f := range forms {
		t, err := time.Parse(f.layout, strings.TrimSpace(text))
		if err != nil {
			continue
		}
		over := f.over(t)
		if f.layout == time.RFC3339Nano && t.Nanosecond() == 0 {
			over = t.Add(time.Second)
		}
		return schemas.TicksOf(t), schemas.TicksOf(over), true
	}
	return 0, 0, false
}

// withPatient returns a Device with its patient set; everything else stays.
func withPatient(device []byte, patient string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(device, &members); err != nil {
		return nil, err
	}
	reference, err := json.Marshal(map[string]string{"reference": "Patient/" + patient})
	if err != nil {
		return nil, err
	}
	members["patient"] = reference
	return json.Marshal(members)
}
