package main

import (
	"encoding/json"
	"testing"
	"time"
)

// body is what the tests look at in a message.
type body struct {
	DeviceID, PatientID string
	Time                time.Time
	HR, SBP             *float64
}

// A crisis begins with a message that is critical by itself, comes to a device
// once, and not before its time; all times lie behind the clock.
func TestWardCrises(t *testing.T) {
	const devices, quiet, messages = 50, 100, 1000
	w, _, err := newWard(devices, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	onsets := map[int]int{}
	last := map[int]time.Time{}
	for i := range messages {
		m := w.take()
		var b body
		if err := json.Unmarshal(m.Body, &b); err != nil {
			t.Fatalf("%s: %v", m.Body, err)
		}
		if b.DeviceID != m.Device || b.PatientID == "" || !b.Time.Equal(m.At.Truncate(time.Millisecond)) || b.Time.After(time.Now()) {
			t.Fatalf("message %d is %s", i, m.Body)
		}
		if !last[m.device].Before(m.At) {
			t.Fatalf("device %d goes back to %s", m.device, m.At)
		}
		last[m.device] = m.At
		if !m.onset {
			continue
		}
		if onsets[m.device]++; i < quiet || b.SBP == nil || *b.HR != 140 {
			t.Errorf("message %d begins a crisis: %s", i, m.Body)
		}
	}
	if len(last) != devices {
		t.Errorf("%d devices, want %d", len(last), devices)
	}
	if want := int(crisisShare * devices); len(onsets) != want {
		t.Errorf("%d crises, want %d", len(onsets), want)
	}
	for device, n := range onsets {
		if n != 1 {
			t.Errorf("device %d has %d crises", device, n)
		}
	}
}

func TestRoster(t *testing.T) {
	w, simulated, err := newWard(3, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	r, err := rosterOf(simulated)
	if err != nil {
		t.Fatal(err)
	}
	device := w.take().Device
	if r.device["sim-"+device] != device || len(r.device) != 3 || len(r.patient) != 3 {
		t.Errorf("%v", r)
	}
}
