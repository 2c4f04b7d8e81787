package state

import (
	"slices"

	"auscult/schemas"
)

// subject is to whom a value belongs: FHIR logical ids.
type subject struct{ patient, encounter string }

// answer is what a row knows about the subject of a measurement.
type answer int

const (
	answerWait answer = iota // Identify has not said yet
	answerYes                // it is known
	answerNo                 // Identify has given up (G14)
)

// Identify takes in what the FHIR server knows of the device now.
func (d *Device) Identify(id *schemas.Identity, out Emitter) {
	d.name = id.Device
	other := d.identity.Resource != "" && id.Resource != d.identity.Resource
	gone := func(patient string) bool { return other || !hasPatient(id, patient) }
	if other || slices.ContainsFunc(d.attached, func(a attachment) bool { return gone(a.patient) }) {
		d.depart(gone, id.Lineage, out)
	}
	for i := range d.attached {
		a := &d.attached[i]
		if !sameFacts(factsIn(&d.identity, a.patient), factsIn(id, a.patient)) {
			d.sayAssigned(a)
		}
	}
	d.learn(id)
	d.flush(id.Lineage, out)
	d.Release(out)
	if d.started {
		d.advance(id.Lineage, out)
	}
}

// learn copies id, whose lists belong to the caller.
func (d *Device) learn(id *schemas.Identity) {
	assignments, encounters := d.identity.Assignments[:0], d.identity.Encounters[:0]
	assignments = append(assignments, id.Assignments...)
	for i := range assignments {
		codes := assignments[i].Facts.Codes
		assignments[i].Facts.Codes = slices.Clone(codes[:min(len(codes), maxCodes)])
	}
	d.identity = *id
	d.identity.Assignments, d.identity.Encounters = assignments, append(encounters, id.Encounters...)
	d.identity.Wants = nil // Identify's own business
	d.asked = source{id.Lineage.Partition, GenerationOf(id.Lineage.Generation), id.Lineage.Offset, id.Lineage.Index}
	if id.Unknown == "" {
		d.refused = d.refused[:0]
	}
	d.trimIdentity()
}

// depart closes what is open for patients of whom the new identity knows nothing,
// under the old one: the Device resource is gone or has become another one, or
// they have never had it.
func (d *Device) depart(gone func(patient string) bool, l schemas.Lineage, out Emitter) {
	d.closeFor(gone, schemas.TriggerIdle)
	d.flushSegments(l, out)
	for i := range d.attached {
		if a := &d.attached[i]; gone(a.patient) {
			d.say(schemas.WindowLeft, a)
		}
	}
	d.flush(l, out)
}

func hasPatient(id *schemas.Identity, patient string) bool {
	return slices.ContainsFunc(id.Assignments, func(a schemas.Assignment) bool { return a.Patient == patient })
}

// trimIdentity keeps the newest of what is too long for a row.
func (d *Device) trimIdentity() {
	if n := len(d.identity.Assignments); n > maxAssignments {
		d.identity.Assignments = d.identity.Assignments[n-maxAssignments:]
	}
	if n := len(d.identity.Encounters); n > maxEncounters {
		d.identity.Encounters = d.identity.Encounters[n-maxEncounters:]
	}
}

// resolve finds to whom a measurement belongs: by the name that it carries in
// mode create, else by the assignment that holds its time. missing is the name
// that nobody knows, if it is a name that is the trouble.
func (d *Device) resolve(m *schemas.Measurement) (who subject, is answer, missing string) {
	id := &d.identity
	if id.Resource == "" {
		if id.GiveUp {
			return who, answerNo, ""
		}
		return who, answerWait, ""
	}
	a, named := d.assignment(m)
	switch {
	case a == nil && named:
		missing = "patient " + m.Patient
		return who, d.whether(m, missing), missing
	case a == nil && id.Unknown != "" && !id.GiveUp:
		return who, answerWait, ""
	case a == nil: // Identify has answered: nobody had it then
		return who, answerNo, ""
	}
	who = subject{a.Patient, a.Encounter}
	if m.Encounter == "" {
		if who.encounter == "" && d.Spec.NeedEncounter {
			return who, answerNo, ""
		}
		return who, answerYes, ""
	}
	for _, e := range id.Encounters {
		if e.Name == m.Encounter {
			who.encounter = e.ID
			return who, answerYes, ""
		}
	}
	missing = "encounter " + m.Encounter
	return who, d.whether(m, missing), missing
}

// whether says if the answer about a name that the identity does not have is
// no, or is still to come. An identity that has given up on one name says
// nothing about those that came behind the message that it was asked for.
func (d *Device) whether(m *schemas.Measurement, missing string) answer {
	if !d.identity.GiveUp {
		return answerWait
	}
	if len(d.refused) == maxRefused || slices.Contains(d.refused, missing) {
		return answerNo
	}
	l, asked := m.Lineage, d.asked
	if asked.partition == l.Partition && asked.generation == GenerationOf(l.Generation) &&
		(l.Offset > asked.offset || l.Offset == asked.offset && l.Index > asked.index) {
		return answerWait
	}
	return answerNo
}

// assignment returns the assignment of m, nil when there is none, and whether m
// has to be attached by name.
func (d *Device) assignment(m *schemas.Measurement) (found *schemas.Assignment, named bool) {
	named = d.Spec.ByName && m.Patient != ""
	for i := range d.identity.Assignments {
		a := &d.identity.Assignments[i]
		then := holds(a, m.Occurrence)
		if named && a.Name == m.Patient && (found == nil || then) || !named && then {
			found = a
		}
	}
	return found, named
}

func holds(a *schemas.Assignment, t schemas.Ticks) bool {
	return a.From <= t && (t < a.To || a.To >= schemas.MaxTicks)
}

// factsIn returns what id says of a patient; his last assignment counts.
func factsIn(id *schemas.Identity, patient string) schemas.PatientFacts {
	for i := len(id.Assignments) - 1; i >= 0; i-- {
		if id.Assignments[i].Patient == patient {
			return id.Assignments[i].Facts
		}
	}
	return schemas.PatientFacts{}
}

func sameFacts(a, b schemas.PatientFacts) bool {
	return a.BirthDate == b.BirthDate && a.Gender == b.Gender && slices.Equal(a.Codes, b.Codes)
}

// attachment is a patient who has been told that the device is his, and not
// yet that it has left (G5).
type attachment struct {
	patient string
	told    schemas.Ticks // the highest clock that he has been told
	seen    schemas.Ticks // end of the last pane that took a value for him
}

func (d *Device) attachmentOf(patient string) *attachment {
	for i := range d.attached {
		if d.attached[i].patient == patient {
			return &d.attached[i]
		}
	}
	return nil
}

// attach makes sure that patient knows of the device before anything of time t
// is emitted for him. The clock told first is one that no pane still has to be
// emitted for.
func (d *Device) attach(patient string, t schemas.Ticks) {
	a := d.attachmentOf(patient)
	if a == nil {
		if len(d.attached) == maxAttached {
			d.say(schemas.WindowLeft, &d.attached[0])
			d.attached = slices.Delete(d.attached, 0, 1)
		}
		at := t
		if d.started {
			at = min(at, d.clock)
		}
		d.attached = append(d.attached, attachment{patient: patient, told: d.Spec.paneStart(at)})
		a = &d.attached[len(d.attached)-1]
		d.sayAssigned(a)
	}
	a.seen = max(a.seen, d.Spec.paneStart(t)+d.Spec.Pane)
}

// enter attaches the patient in whose assignment the clock stands.
func (d *Device) enter() {
	for i := range d.identity.Assignments {
		a := &d.identity.Assignments[i]
		if holds(a, d.clock) && d.identity.Resource != "" && d.attachmentOf(a.Patient) == nil {
			d.attach(a.Patient, d.clock)
		}
	}
}

// pass tells the clock to every patient for whom it has passed a pane end and
// who gets no pane that would say so.
func (d *Device) pass() {
	boundary := d.Spec.paneStart(d.clock)
	for i := range d.attached {
		a := &d.attached[i]
		if a.told < boundary && !d.queued(a.patient) {
			d.say(schemas.WindowPassed, a)
		}
	}
}

// leave takes leave of patients who had the device until the clock passed the
// end of their assignment and grace.
func (d *Device) leave() {
	for i := range d.attached {
		a := &d.attached[i]
		end := max(d.Spec.paneCeil(d.until(a.patient)), a.seen)
		if end >= schemas.MaxTicks-d.Spec.MaxGrace || d.clock < end+d.Spec.MaxGrace {
			continue
		}
		d.say(schemas.WindowLeft, a)
	}
}

// until returns when the last assignment of patient ends; 0 when the identity
// does not have him any more.
func (d *Device) until(patient string) schemas.Ticks {
	end := schemas.Ticks(0)
	for i := range d.identity.Assignments {
		if a := &d.identity.Assignments[i]; a.Patient == patient {
			end = max(end, a.To)
		}
	}
	return end
}

// sayAssigned tells a patient that the device is his, or what is new about him.
// One that is idle says so in the same breath: its standing clock must not count
// (G5), and it will not fall idle again.
func (d *Device) sayAssigned(a *attachment) {
	d.say(schemas.WindowAssigned, a)
	if d.idle {
		d.say(schemas.WindowIdle, a)
	}
}

// say queues a record without a pane for the patient of a.
func (d *Device) say(kind schemas.WindowKind, a *attachment) {
	w := d.push()
	w.Kind, w.Patient = kind, a.patient
	w.Encounter = d.encounterNow(a.patient)
}

// encounterNow returns the encounter of patient's assignment at the clock, or
// of his last one.
func (d *Device) encounterNow(patient string) string {
	encounter := ""
	for i := range d.identity.Assignments {
		a := &d.identity.Assignments[i]
		if a.Patient != patient {
			continue
		}
		encounter = a.Encounter
		if holds(a, d.clock) {
			break
		}
	}
	return encounter
}

// push queues a window record; its points keep their room.
func (d *Device) push() *schemas.Window {
	if len(d.queue) < cap(d.queue) {
		d.queue = d.queue[:len(d.queue)+1]
	} else {
		d.queue = append(d.queue, schemas.Window{})
	}
	w := &d.queue[len(d.queue)-1]
	*w = schemas.Window{Points: w.Points[:0]}
	return w
}

func (d *Device) queued(patient string) bool {
	for i := range d.queue {
		if d.queue[i].Patient == patient {
			return true
		}
	}
	return false
}

// flush emits the queued records. The last one for each patient carries the
// device's clock, those before it the clock that he knows already: who hears of
// a clock has had every pane that ended before it.
func (d *Device) flush(l schemas.Lineage, out Emitter) {
	for i := range d.queue {
		w := &d.queue[i]
		w.Facts = factsIn(&d.identity, w.Patient)
		w.Device, w.Resource, w.Lineage = d.name, d.identity.Resource, l
		w.Clock = d.clock
		if a := d.attachmentOf(w.Patient); a != nil {
			if d.followed(i) {
				w.Clock = a.told
			} else {
				a.told = max(a.told, d.clock)
			}
		}
		out.Window(w)
	}
	d.forget()
	d.queue = d.queue[:0]
}

// followed reports whether another record for the patient of the queue's i-th
// one comes behind it.
func (d *Device) followed(i int) bool {
	for k := i + 1; k < len(d.queue); k++ {
		if d.queue[k].Patient == d.queue[i].Patient {
			return true
		}
	}
	return false
}

// forget drops the patients whom the queue has told that the device has left.
func (d *Device) forget() {
	for i := range d.queue {
		if w := &d.queue[i]; w.Kind == schemas.WindowLeft {
			d.attached = slices.DeleteFunc(d.attached, func(a attachment) bool { return a.patient == w.Patient })
		}
	}
}
