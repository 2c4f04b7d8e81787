package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"auscult/fhir/server"
	"auscult/schemas"
	"auscult/sim"
)

// How the ward sends.
const (
	sendEvery = 5 * time.Second // of a device's own time
	spotEvery = 5 * time.Minute // pressure, temperature, consciousness, oxygen
	wardSeed  = 1
	// wardBefore is how long ago the ward's time begins: it may run faster than
	// the clock, and must stay behind it.
	wardBefore = 12 * time.Hour
	// wardPhase is where in a pane it begins: a drain of 120 s of the ward's time
	// then closes two panes of each series, as 120 s of any length would.
	wardPhase = 45 * time.Second
)

// Share of the messages that begin a crisis, and of the devices that may.
const (
	crisisEvery = 20
	crisisShare = 0.3
)

// ward makes device messages: those of package sim, in which now and then a
// patient turns critically ill from one message to the next and stays so.
type ward struct {
	next    func() (sim.Message, bool)
	stop    func()
	index   map[string]int // of a device
	ill     []bool
	crises  int
	sent    int
	quietTo int // messages before the first crisis
}

// message is one message of the ward.
type message struct {
	sim.Message
	device int
	onset  bool // it is the first of a crisis
}

// newWard returns a ward whose first crisis is not before message quiet.
func newWard(devices, quiet int) (*ward, *sim.Ward, error) {
	start := time.Now().UTC().Add(-wardBefore).Truncate(time.Minute).Add(wardPhase)
	w, err := sim.NewWard(sim.Config{
		Patients: devices, Seed: wardSeed, Start: start, Every: sendEvery, SpotEvery: spotEvery, Scenarios: []sim.Scenario{},
	})
	if err != nil {
		return nil, nil, err
	}
	all := &ward{index: make(map[string]int, devices), ill: make([]bool, devices), quietTo: quiet}
	all.next, all.stop = iter.Pull(w.Messages(start))
	return all, w, nil
}

// take returns the next message.
func (w *ward) take() message {
	s, _ := w.next() // a ward has no last message
	device, known := w.index[s.Device]
	if !known {
		device = len(w.index)
		w.index[s.Device] = device
	}
	m := message{Message: s, device: device}
	if w.sent++; w.sent > w.quietTo {
		due := min((w.sent-w.quietTo+crisisEvery-1)/crisisEvery, int(crisisShare*float64(len(w.ill))))
		if !w.ill[device] && w.crises < due {
			w.ill[device], m.onset = true, true
			w.crises++
		}
	}
	if w.ill[device] {
		m.Body = crisis(&s, m.onset || bytes.Contains(s.Body, []byte(`"sbp"`)))
	}
	return m
}

// crisis is a message with values that NEWS2 gives 3 points each; with all of
// them it alone makes a patient critical.
func crisis(m *sim.Message, all bool) []byte {
	b := fmt.Appendf(nil, `{"deviceId":%q,"patientId":%q,"time":%q,"hr":140,"rr":30,"spo2":85`,
		m.Device, strings.Replace(m.Device, "monitor-", "ward-", 1), m.At.Format("2006-01-02T15:04:05.000Z"))
	if all {
		b = append(b, `,"sbp":80,"dbp":45,"temp":34.5,"avpu":"V","o2":8`...)
	}
	return append(b, '}')
}

// out is the message as it goes to the broker.
func (m *message) out() schemas.Out {
	return schemas.Out{Topic: schemas.TopicDeviceData, Key: m.Key, Value: m.Body, Headers: m.Headers}
}

// roster says which device a FHIR id belongs to.
type roster struct {
	device  map[string]string // id of a Device -> name of the device
	patient map[string]string // id of a Patient -> name of his device
}

// rosterOf reads the ward's resources.
func rosterOf(w *sim.Ward) (*roster, error) {
	r := &roster{device: map[string]string{}, patient: map[string]string{}}
	for _, res := range w.Resources() {
		if res.Type != "Device" {
			continue
		}
		var d struct {
			Identifier []struct{ Value string }
			Patient    struct{ Reference string }
		}
		if err := json.Unmarshal(res.JSON, &d); err != nil || len(d.Identifier) == 0 {
			return nil, fmt.Errorf("reading Device/%s of the ward: %w", res.ID, err)
		}
		r.device[res.ID] = d.Identifier[0].Value
		r.patient[strings.TrimPrefix(d.Patient.Reference, "Patient/")] = d.Identifier[0].Value
	}
	return r, nil
}

// admitted is how many resources one bundle admits.
const admitted = 500

// admit puts the ward's patients and devices into the FHIR store of a folder.
func admit(w *sim.Ward, folder string) (err error) {
	s, err := server.Open(filepath.Join(folder, server.FileName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	all := w.Resources()
	for len(all) > 0 {
		n := min(len(all), admitted)
		var b bytes.Buffer
		b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
		for i, r := range all[:n] {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}`, r.JSON, r.Type, r.ID)
		}
		b.WriteString(`]}`)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, server.Base, &b))
		if answer.Code != http.StatusOK {
			return fmt.Errorf("admitting the ward's patients: the FHIR server says %d: %s", answer.Code, answer.Body)
		}
		all = all[n:]
	}
	return nil
}
