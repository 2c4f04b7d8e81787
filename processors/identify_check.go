package processors

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"auscult/schemas"
)

// checking is one check of one device, on a copy of its identity.
type checking struct {
	cfg      *IdentifyConfig
	registry *registry
	device   *device
	now      time.Time
	clock    func() time.Time
	id       schemas.Identity
	problems []string // what the server does not know
	fresh    bool     // a name was refused that had not been tried before
	asked    bool     // the Device itself was asked for
	left     []want   // names that stay without an answer
}

// run asks the server. An error is never the device's fault.
func (c *checking) run(ctx context.Context) error {
	if c.id.Resource == "" || !c.device.checkAt.After(c.now) {
		c.asked = true
		if err := c.take(c.findDevice(ctx)); err != nil {
			return err
		}
	}
	for _, w := range c.device.wants {
		if c.id.Resource == "" {
			c.leave(w)
			continue
		}
		var err error
		if w.encounter {
			err = c.findEncounter(ctx, w)
		} else {
			err = c.findName(ctx, w)
		}
		unknown := len(c.problems)
		if err := c.take(err); err != nil {
			return err
		}
		if len(c.problems) > unknown {
			c.fresh = c.fresh || !w.tried
			c.leave(w)
		}
	}
	return c.describe(ctx)
}

// take keeps an answer "unknown" as a problem of the device and lets other
// errors pass.
func (c *checking) take(err error) error {
	var unknown *unknownError
	if !errors.As(err, &unknown) {
		return err
	}
	c.problems = append(c.problems, unknown.text)
	return nil
}

func (c *checking) leave(w want) {
	w.tried = true
	c.left = append(c.left, w)
}

// findDevice asks for the Device and its patient, and for whom it belonged to
// when.
func (c *checking) findDevice(ctx context.Context) error {
	found, err := c.registry.device(ctx, c.id.Device)
	if err != nil {
		c.id.Resource, c.id.Identifiers = "", 0
		return err
	}
	if found == nil || found.patient == "" && found.reference == "" {
		if name := c.firstName(); c.cfg.Mode == ModeCreate && name != "" {
			return c.create(ctx, found, name)
		}
	}
	if found == nil {
		c.id.Resource, c.id.Identifiers = "", 0
		if c.cfg.Mode == ModeCreate {
			return unknownf("no Device has this identifier, and the message names no Patient for whom to create it")
		}
		return unknownf("no Device has this identifier")
	}
	c.id.Resource, c.id.Identifiers = found.id, int32(len(found.identifiers))
	if err := c.assign(ctx, found); err != nil {
		return err
	}
	if openOf(c.id.Assignments) == nil {
		if len(c.id.Assignments) == 0 {
			c.id.Resource = ""
		}
		return unknownf("the Device belongs to no Patient (Device.patient must refer to Patient/<id>)")
	}
	return nil
}

func (c *checking) firstName() string {
	for _, w := range c.device.wants {
		if name := strings.TrimSpace(w.name); !w.encounter && name != "" {
			return w.name
		}
	}
	return ""
}

// create makes what is missing of Patient and Device (mode create). found is a
// Device without patient, or nil.
func (c *checking) create(ctx context.Context, found *foundDevice, name string) error {
	patient, err := c.registry.ensurePatient(ctx, strings.TrimSpace(name))
	if err != nil {
		return err
	}
	if found, err = c.registry.ensureDevice(ctx, c.id.Device, found, patient); err != nil {
		return err
	}
	c.id.Resource, c.id.Identifiers = found.id, int32(len(found.identifiers))
	if openOf(c.id.Assignments) == nil {
		from := schemas.Ticks(0)
		for _, a := range c.id.Assignments {
			from = max(from, a.To)
		}
		c.id.Assignments = append(c.id.Assignments, schemas.Assignment{From: from, To: schemas.MaxTicks, Patient: patient, Name: name})
	}
	return nil
}

// assign lays the intervals out: by DeviceUseStatements, else by the Device's
// history, else by the first event after the last check.
func (c *checking) assign(ctx context.Context, found *foundDevice) error {
	old := c.id.Assignments
	statements, err := c.registry.statements(ctx, found.id)
	if err != nil {
		return err
	}
	if len(statements) > 0 {
		c.id.Assignments = keepNames(fromStatements(statements, found.patient), old)
		return nil
	}
	checked := schemas.Ticks(0)
	if open := openOf(old); open != nil {
		checked = open.CheckedAt
	}
	var runs []run
	if open := openOf(old); found.version != "1" && (open == nil || open.Patient != found.patient || found.updated > checked) {
		if runs, err = c.registry.history(ctx, found.id); err != nil {
			return err
		}
	}
	if len(old) == 0 {
		c.id.Assignments = beginning(found.patient, runs)
		return nil
	}
	c.id.Assignments = handOver(old, found.patient, runs, checked, c.device.boundary())
	return nil
}

// findName settles a patient whom messages name (mode create).
func (c *checking) findName(ctx context.Context, w want) error {
	open := openOf(c.id.Assignments)
	name := strings.TrimSpace(w.name)
	if open == nil || open.Name == w.name {
		return nil
	}
	if name == "" { // a blank names nobody: the device says whose it is
		c.alias(*open, w.name)
		return nil
	}
	for i := len(c.id.Assignments) - 1; i >= 0; i-- {
		a := c.id.Assignments[i]
		if c.cfg.Mismatch == MismatchReassign && a.Patient != open.Patient && w.at > open.From {
			continue // his again, from now on
		}
		mine, err := c.registry.isNamed(ctx, a.Patient, name, w.tried)
		if err != nil {
			return err
		}
		if mine || a.Name == w.name {
			c.alias(a, w.name)
			return nil
		}
	}
	if c.cfg.Mismatch == MismatchError {
		return unknownf("the message names another Patient than the Device belongs to")
	}
	return c.reassign(ctx, *open, w, name)
}

// alias makes messages that use the name find the patient of a.
func (c *checking) alias(a schemas.Assignment, name string) {
	for i := range c.id.Assignments {
		b := &c.id.Assignments[i]
		switch {
		case b.Patient == a.Patient && b.Name == name:
			return
		case b.Patient == a.Patient && b.From == a.From && b.Name == "":
			b.Name = name
			return
		}
	}
	a.Name = name
	c.id.Assignments = append(c.id.Assignments, a)
}

// reassign gives the device to the patient whom a message names, from its event
// time on. A message older than the assignment that holds moves nothing.
func (c *checking) reassign(ctx context.Context, open schemas.Assignment, w want, name string) error {
	patient, err := c.registry.ensurePatient(ctx, name)
	if err != nil {
		return err
	}
	if patient == open.Patient {
		c.alias(open, w.name)
		return nil
	}
	if w.at <= open.From {
		c.id.Assignments = append([]schemas.Assignment{{From: w.at, To: w.at, Patient: patient, Name: w.name}}, c.id.Assignments...)
		return nil
	}
	if err := c.registry.movePatient(ctx, c.id.Resource, patient); err != nil {
		return err
	}
	closeAt(c.id.Assignments, w.at)
	c.id.Assignments = append(c.id.Assignments, schemas.Assignment{From: w.at, To: schemas.MaxTicks, Patient: patient, Name: w.name})
	c.asked = true // the server has just confirmed it
	return nil
}

// findEncounter settles an encounter that messages name.
func (c *checking) findEncounter(ctx context.Context, w want) error {
	name := strings.TrimSpace(w.name)
	id := "" // a blank names none
	if name != "" {
		var err error
		if id, err = c.registry.encounter(ctx, name); err != nil {
			return err
		}
	}
	c.id.Encounters = append(c.id.Encounters, schemas.NamedID{Name: w.name, ID: id})
	if n := len(c.id.Encounters); n > maxEncounters {
		c.id.Encounters = c.id.Encounters[n-maxEncounters:]
	}
	return nil
}

// describe adds what is known of the patients themselves.
func (c *checking) describe(ctx context.Context) error {
	if n := len(c.id.Assignments); n > maxAssignments {
		c.id.Assignments = slices.Clone(c.id.Assignments[n-maxAssignments:])
	}
	checked := schemas.TicksOf(c.clock()) // later than what this check wrote itself
	for i := range c.id.Assignments {
		a := &c.id.Assignments[i]
		open := a.To >= schemas.MaxTicks
		if a.CheckedAt != 0 && (!open || !c.asked) {
			continue
		}
		p, err := c.registry.person(ctx, a.Patient, false)
		if err := c.take(err); err != nil {
			return err
		}
		if p == nil {
			p = &person{}
		}
		a.IdentifierSystem, a.IdentifierValue, a.Facts, a.CheckedAt = p.system, p.value, p.facts, checked
		if c.cfg.Mode == ModeCreate && a.Name == "" && open {
			a.Name = p.value // the name that messages most likely use
		}
	}
	return nil
}

// conclude takes the result of a check over.
func (s *Identify) conclude(c *checking) {
	d := c.device
	old := d.identity
	lookedAt := schemas.TicksOf(c.now)
	d.wants, d.ok = c.left, false
	c.id.Wants = nil
	for _, w := range c.left { // whoever owns the device next asks for them again
		c.id.Wants = append(c.id.Wants, schemas.Want{Name: w.name, Encounter: w.encounter, At: w.at})
	}
	if c.asked {
		d.confirm()
	}
	switch {
	case len(c.problems) == 0:
		c.id.Unknown, c.id.GiveUp, c.id.CheckedAt = "", false, lookedAt
		d.unknownSince, d.tries = time.Time{}, 0
		if c.asked || d.checkAt.IsZero() {
			d.checkAt = s.expires(d, c.now)
		}
	default:
		s.remainUnknown(c, &old, lookedAt)
	}
	if !reflect.DeepEqual(old, c.id) {
		d.identity, d.dirty = c.id, true
	}
}

// remainUnknown decides when to ask again, and when to give up (G14).
func (s *Identify) remainUnknown(c *checking, old *schemas.Identity, lookedAt schemas.Ticks) {
	d := c.device
	s.counts.Unknown.Add(1)
	if d.unknownSince.IsZero() || c.fresh && old.GiveUp {
		d.unknownSince, d.tries = c.now, 0
	}
	c.id.Unknown = c.problems[0]
	givenUp := old.GiveUp && !c.fresh // and no restart takes that back
	c.id.GiveUp = givenUp || s.cfg.AtOnce || c.now.Sub(d.unknownSince) >= s.cfg.GiveUp
	if old.Unknown == "" || c.id.Resource != "" || c.id.GiveUp != old.GiveUp {
		c.id.CheckedAt = lookedAt
	}
	if c.id.GiveUp && !old.GiveUp {
		s.counts.GivenUp.Add(1)
	}
	wait := min(firstRecheck<<min(d.tries, 16), maxRecheck)
	d.tries++
	d.checkAt = c.now.Add(wait)
	if end := d.unknownSince.Add(s.cfg.GiveUp); !c.id.GiveUp && d.checkAt.After(end) {
		d.checkAt = end
	}
}

// unknownError is an answer of the server that a device, patient or encounter
// cannot be told. Its text holds no ids: it is logged and shown.
type unknownError struct{ text string }

func (e *unknownError) Error() string { return e.text }

func unknownf(format string, args ...any) error {
	return &unknownError{fmt.Sprintf(format, args...)}
}
