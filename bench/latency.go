package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// latencyFigures is how late results are at one arrival rate.
type latencyFigures struct {
	OfMaximum float64 `json:"ofMaximum"`
	Rate      float64 `json:"messagesPerSecond"`
	Seconds   float64 `json:"seconds"`
	Messages  int     `json:"messages"` // that were measured

	// From the moment at which the message was to arrive, however late it was
	// sent: coordinated omission does not hide anything.
	Observation spread `json:"observation"`
	Alert       spread `json:"alert"`
	// From the broker's acknowledgement of the message, which is a little after
	// its append.
	ObservationFromAck spread `json:"observationFromAck"`
	AlertFromAck       spread `json:"alertFromAck"`
	// Append is how late the messages themselves were: scheduled to acknowledged.
	Append spread `json:"append"`

	// Missing results did not come in time; each counts with the time that was
	// waited for it.
	MissingObservations int `json:"missingObservations"` // messages without any
	MissingAlerts       int `json:"missingAlerts"`
	EarlyAlerts         int `json:"earlyAlerts"` // Flags of patients who were well
	// KeptUp tells whether everything had been finished soon after the end.
	KeptUp  bool    `json:"keptUp"`
	Settled float64 `json:"secondsToFinishAfterTheLastMessage"`
	Stages  float64 `json:"coresOfStages"` // CPU of all stages, as a share of one core
	Broker  float64 `json:"coresOfBroker"`
	// Topics is what was appended, per message: rows owe less than in a drain.
	Topics []topicFigures `json:"topics"`
}

// keepUpWithin is how long after the last message a river that keeps up has
// finished everything: two commits and a poll.
const keepUpWithin = 4 * time.Second

// arrival is one message of the schedule.
type arrival struct {
	device string
	time   int64 // event time, milliseconds
	due    time.Time
	acked  atomic.Int64 // ns since due
	onset  bool
	counts bool // it is behind the warm-up
}

// measureLatency measures each arrival rate on a river of its own.
func (l *lab) measureLatency(ctx context.Context, r *report) error {
	maximum := l.maximum
	if maximum <= 0 && r.Drain != nil {
		maximum = r.Drain.PerSecond
	}
	for _, part := range l.rates {
		l.say("latency: %.0f messages/s, %.0f %% of the maximum, for %s", part*maximum, 100*part, l.duration)
		f, err := l.rate(ctx, part*maximum)
		if err != nil {
			return fmt.Errorf("at %.0f messages/s: %w", part*maximum, err)
		}
		f.OfMaximum = part
		r.Latency = append(r.Latency, *f)
	}
	return nil
}

// rate measures one arrival rate.
func (l *lab) rate(ctx context.Context, perSecond float64) (f *latencyFigures, err error) {
	plan := schedule{rate: perSecond}
	warm, all := plan.count(l.warmUp), plan.count(l.warmUp+l.duration)
	w, simulated, err := newWard(l.devices, l.devices+warm)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	roster, err := rosterOf(simulated)
	if err != nil {
		return nil, err
	}
	s, err := l.open(ctx, fmt.Sprintf("rate-%.0f", perSecond))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := admit(simulated, s.folder); err != nil {
		return nil, err
	}
	t, err := newTap(ctx, s.folder)
	if err != nil {
		return nil, err
	}
	tapped := false
	defer func() {
		if !tapped {
			err = errors.Join(err, t.close())
		}
	}()
	s.env = append(s.env, "AUSCULT_FHIR_BASEURL="+t.base)
	p, err := s.run(fmt.Sprintf("rate-%.0f", perSecond))
	if err != nil {
		return nil, err
	}
	f, arrivals, err := s.load(ctx, p, w, plan, warm, all)
	_, stopped := p.stop()
	if err = errors.Join(err, stopped); err != nil {
		return nil, err
	}
	tapped = true
	if err := t.close(); err != nil {
		return nil, err
	}
	if l.emit != "value" { // nothing is evaluated when a message arrives
		for i := range arrivals {
			arrivals[i].onset = false
		}
		clear(t.flags)
	}
	f.compare(arrivals, t, roster, time.Now())
	return f, nil
}

// load primes the river with a message of each device, then sends by the
// schedule and waits until everything is finished.
func (s *site) load(ctx context.Context, p *process, w *ward, plan schedule, warm, all int) (*latencyFigures, []arrival, error) {
	if err := s.preload(ctx, w, s.lab.devices); err != nil {
		return nil, nil, err
	}
	if _, err := s.settle(ctx, p, s.lab.graph, s.lab.partLimit); err != nil {
		return nil, nil, fmt.Errorf("reading the first message of each device: %w", err)
	}
	client, err := s.conn.Client()
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	stages, broker := p.now(), s.broker.now()
	plan.begin = time.Now().Add(100 * time.Millisecond)
	arrivals := make([]arrival, all)
	for i := range arrivals {
		if err := s.send(ctx, client, w, &arrivals[i], plan.at(i), i >= warm); err != nil {
			return nil, nil, err
		}
	}
	if err := errors.Join(client.Flush(ctx), p.alive()); err != nil {
		return nil, nil, err
	}
	took := time.Since(plan.begin)
	f := &latencyFigures{
		Rate: plan.rate, Seconds: s.lab.duration.Seconds(), Messages: all - warm,
		Stages: (p.now() - stages).Seconds() / took.Seconds(), Broker: (s.broker.now() - broker).Seconds() / took.Seconds(),
	}
	ended := time.Now()
	last, err := s.settle(ctx, p, s.lab.graph, min(s.lab.partLimit, max(2*s.lab.duration, time.Minute)))
	f.Settled = last.Sub(ended).Seconds()
	f.KeptUp = err == nil && last.Sub(ended) < keepUpWithin
	if errors.Is(err, errBehind) {
		err = nil // is a result
	}
	if err == nil {
		f.Topics, err = s.topics(ctx, s.lab.devices+all)
	}
	return f, arrivals, err
}

// send waits for the arrival of the ward's next message and sends it. It does
// not wait for the broker.
func (s *site) send(ctx context.Context, client *kgo.Client, w *ward, a *arrival, due time.Time, counts bool) error {
	m := w.take()
	a.device, a.time, a.due, a.onset, a.counts = m.Device, m.At.UnixMilli(), due, m.onset, counts
	if wait := time.Until(due); wait > 0 {
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	r := &kgo.Record{Topic: s.conn.Topic(schemas.TopicDeviceData), Key: []byte(m.Key), Value: m.Body}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err == nil {
			a.acked.Store(int64(time.Since(due)))
		}
	})
	return nil
}

// compare joins what was sent with what the FHIR server has accepted.
func (f *latencyFigures) compare(arrivals []arrival, t *tap, r *roster, now time.Time) {
	type event struct {
		device string
		time   int64
	}
	seen := map[event][]time.Time{}
	for o, at := range t.observations {
		e := event{r.device[o.device], o.time}
		seen[e] = append(seen[e], at)
	}
	alerts := map[string]time.Time{}
	for patient, at := range t.flags {
		alerts[r.patient[patient]] = at
	}
	var set samples
	for i := range arrivals {
		a := &arrivals[i]
		if a.onset {
			set.alert(a, alerts[a.device], now, f)
		}
		delete(alerts, ifOnset(a))
		if !a.counts {
			continue
		}
		set.appended = append(set.appended, time.Duration(a.acked.Load()))
		all := seen[event{a.device, a.time}]
		if len(all) == 0 {
			f.MissingObservations++
			all = []time.Time{now}
		}
		for _, at := range all {
			set.observation(a, at)
		}
	}
	f.EarlyAlerts += len(alerts)
	f.Observation, f.ObservationFromAck = spreadOf(set.observations), spreadOf(set.observationsFromAck)
	f.Alert, f.AlertFromAck, f.Append = spreadOf(set.alerts), spreadOf(set.alertsFromAck), spreadOf(set.appended)
}

func ifOnset(a *arrival) string {
	if a.onset {
		return a.device
	}
	return ""
}

// samples are the latencies of one run.
type samples struct {
	observations, observationsFromAck, alerts, alertsFromAck, appended []time.Duration
}

func (s *samples) observation(a *arrival, at time.Time) {
	d := at.Sub(a.due)
	s.observations = append(s.observations, d)
	s.observationsFromAck = append(s.observationsFromAck, d-time.Duration(a.acked.Load()))
}

func (s *samples) alert(a *arrival, at, now time.Time, f *latencyFigures) {
	switch {
	case at.IsZero():
		f.MissingAlerts++
		at = now
	case at.Before(a.due):
		f.EarlyAlerts++
		return
	}
	d := at.Sub(a.due)
	s.alerts = append(s.alerts, d)
	s.alertsFromAck = append(s.alertsFromAck, d-time.Duration(a.acked.Load()))
}
