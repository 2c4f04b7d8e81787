package processors

import (
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// device is what Identify holds of one device.
type device struct {
	identity schemas.Identity // as it was, or will be, written
	wants    []want           // names without an answer, in the order of the messages

	// The names of the last message that needed nothing: the next one most
	// likely has the same.
	okPatient, okEncounter string
	ok                     bool

	heard     bool          // it has spoken since the last check
	confirmed schemas.Ticks // highest occurrence at the last check: whoever had it then had that
	first     schemas.Ticks // lowest occurrence above confirmed since then, 0 when none
	highest   schemas.Ticks // occurrence of all

	checkAt      time.Time // when the answer expires, or is asked for again
	unknownSince time.Time // first answer of that kind in a row
	tries        int       // re-checks since then

	dirty          bool  // the identity has to be written
	asking         bool  // it is among those that a batch asks for
	emittedAt      int64 // last offset of the batch that caused the last record
	place          int   // in the heap of due checks, -1 = none
	countedUnknown bool
}

func newDevice(name string) *device {
	return &device{identity: schemas.Identity{Device: name}, place: -1, emittedAt: -1}
}

// want is a name that messages use and that has no answer.
type want struct {
	encounter bool // else a patient
	name      string
	at        schemas.Ticks // occurrence of the message
	tried     bool          // the server does not know it
}

// hear takes note of the time of a message: where nothing else tells when a
// device changed hands, it is the first one after the last check. What is not
// above the times heard before that check is late, and no handover.
func (d *device) hear(at schemas.Ticks) {
	d.heard = true
	d.highest = max(d.highest, at)
	if at > d.confirmed && (d.first == 0 || at < d.first) {
		d.first = at
	}
}

// confirm begins anew after a check.
func (d *device) confirm() {
	d.heard, d.first = false, 0
	d.confirmed = max(d.confirmed, d.highest)
}

// boundary is where a handover is put that nothing tells the time of.
func (d *device) boundary() schemas.Ticks {
	if d.first > 0 {
		return d.first
	}
	return max(d.confirmed, d.highest) + 1
}

// ask reports whether m needs an answer that is not there and has not been
// looked for, and notes what.
func (d *device) ask(m *schemas.Measurement, cfg IdentifyConfig) bool {
	patient := ""
	if cfg.Mode == ModeCreate {
		patient = m.Patient
	}
	if d.ok && d.okPatient == patient && d.okEncounter == m.Encounter {
		return false
	}
	if patient != "" && !d.knowsPatient(patient, m.Occurrence, cfg) {
		d.want(want{name: patient, at: m.Occurrence}, cfg)
	}
	if m.Encounter != "" && !d.knowsEncounter(m.Encounter) {
		d.want(want{encounter: true, name: m.Encounter, at: m.Occurrence}, cfg)
	}
	unanswered := d.identity.Resource == "" && d.identity.Unknown == ""
	if unanswered || d.untried() {
		l := &d.identity.Lineage
		*l = m.Lineage
		l.Run, l.Generation, l.Mapping = strings.Clone(l.Run), strings.Clone(l.Generation), strings.Clone(l.Mapping)
		return true
	}
	if len(d.wants) == 0 && d.identity.Unknown == "" && d.current(patient) {
		d.ok, d.okPatient, d.okEncounter = true, strings.Clone(patient), strings.Clone(m.Encounter)
	}
	return false
}

// untried reports whether there is a name to ask for. A Device that is not known
// does not become known by an encounter.
func (d *device) untried() bool {
	return slices.ContainsFunc(d.wants, func(w want) bool { return !w.tried && (!w.encounter || d.identity.Resource != "") })
}

// current reports whether a message that names this patient leaves everything
// as it is, whatever its time.
func (d *device) current(name string) bool {
	a := openOf(d.identity.Assignments)
	return name == "" || a != nil && slices.ContainsFunc(d.identity.Assignments, func(b schemas.Assignment) bool {
		return b.Name == name && b.Patient == a.Patient
	})
}

// want notes a name, once. With mismatch reassign each turn counts of a device
// that goes from hand to hand and back.
func (d *device) want(w want, cfg IdentifyConfig) {
	turns := !w.encounter && cfg.Mismatch == MismatchReassign
	for i := len(d.wants) - 1; i >= 0; i-- {
		if d.wants[i].encounter != w.encounter {
			continue
		}
		if d.wants[i].name == w.name {
			return
		}
		if turns {
			break
		}
	}
	if len(d.wants) == maxNames {
		oldest := slices.IndexFunc(d.wants, func(w want) bool { return w.tried })
		if oldest < 0 {
			return
		}
		d.wants = slices.Delete(d.wants, oldest, oldest+1)
	}
	w.name = strings.Clone(w.name)
	d.wants = append(d.wants, w)
}

// knowsPatient reports whether messages of that time that name the patient have
// their answer.
func (d *device) knowsPatient(name string, at schemas.Ticks, cfg IdentifyConfig) bool {
	open := openOf(d.identity.Assignments)
	if cfg.Mismatch == MismatchReassign && open != nil {
		for i := len(d.wants) - 1; i >= 0; i-- {
			if !d.wants[i].encounter && !d.wants[i].tried {
				return false // somebody else is about to have it: his turn, or not, is seen then
			}
		}
		if at > open.From && !d.current(name) {
			return false
		}
	}
	return slices.ContainsFunc(d.identity.Assignments, func(a schemas.Assignment) bool { return a.Name == name })
}

func (d *device) knowsEncounter(name string) bool {
	return slices.ContainsFunc(d.identity.Encounters, func(e schemas.NamedID) bool { return e.Name == name })
}

func cloneIdentity(id *schemas.Identity) schemas.Identity {
	c := *id
	c.Assignments, c.Encounters, c.Wants = slices.Clone(id.Assignments), slices.Clone(id.Encounters), slices.Clone(id.Wants)
	return c
}
