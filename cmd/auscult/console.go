package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"auscult/console"
	"auscult/processors"
	"auscult/sinks/warehouse"
	"auscult/state"
	"auscult/topology"
)

// Time limits of the console's HTTP server. A page that is pushed has no limit
// on writing.
const (
	consoleHeaderTimeout   = 10 * time.Second
	consoleIdleTimeout     = 2 * time.Minute
	consoleShutdownTimeout = time.Second
)

// startConsole serves the console on listen until stop is called, and returns
// its address.
func (r *river) startConsole(ctx context.Context, listen string, l *log) (url string, stop func() error, err error) {
	if r.cfg.Warehouse.Path == "" {
		return "", nil, errors.New("the console shows what the warehouse holds: set warehouse.path")
	}
	reader, err := warehouse.OpenReader(r.cfg.Warehouse.Path)
	if err != nil {
		return "", nil, err
	}
	r.history = reader
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("listening for the console: %w", err), reader.Close())
	}
	page := console.New(console.Config{
		Title: r.cfg.Console.Title, Hosts: r.cfg.Console.Hosts,
		History: history{reader}, Stages: r.stages, Counters: r.counters,
		Models: consoleModels(r.cfg.Scoring), Vital: consoleVitals(r.cfg.Scoring),
		Failed: func(err error) {
			if err != nil {
				l.Warn("the console cannot read the warehouse", "error", err)
			}
		},
	})
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	updated := make(chan struct{})
	go func() {
		defer close(updated)
		page.Run(running)
	}()
	server := &http.Server{Handler: page, ReadHeaderTimeout: consoleHeaderTimeout, IdleTimeout: consoleIdleTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	stop = func() error {
		cancel() // ends the streams, so that Shutdown need not wait for them
		<-updated
		limit, done := context.WithTimeout(context.WithoutCancel(ctx), consoleShutdownTimeout)
		defer done()
		if server.Shutdown(limit) != nil {
			_ = server.Close() // a client that reads too slowly is cut off
		}
		<-served
		return reader.Close()
	}
	return "http://" + listener.Addr().String(), stop, nil
}

// stages is how every stage does, for the console.
func (r *river) stages() []console.StageStatus {
	all := console.StagesOf(r.graph, r.stats.Snapshot(), &r.waits)
	for i := range all {
		s := &all[i]
		for name, d := range map[string]*processors.Deliver{topology.Deliver: r.deliver, topology.DeliverHot: r.hot} {
			if since := d.Counts().WaitingSince; s.Name == name && !since.IsZero() {
				s.WaitingSince, s.WaitingFor = since, "the FHIR server"
			}
		}
	}
	return all
}

// counters are the stages' counts, for the metrics endpoint.
func (r *river) counters() []console.Counter {
	var all []console.Counter
	count := func(stage, what, help string, n int64) {
		all = append(all, console.Counter{
			Name: "auscult_" + what + "_total", Help: help, Value: float64(n), Labels: []console.Label{{Name: "stage", Value: stage}},
		})
	}
	n := r.normalize.Counts()
	count(topology.Normalize, "messages", "Device messages read.", n.Messages.Load())
	count(topology.Normalize, "measurements", "Measurements made.", n.Measurements.Load())
	count(topology.Normalize, "unmatched", "Messages that no template matched.", n.Unmatched.Load())
	count(topology.Normalize, "clock_ahead", "Measurements quarantined because the device's clock is ahead.", n.ClockAhead.Load())
	i := r.identify.Counts()
	count(topology.Identify, "checks", "Devices asked for at the FHIR server.", i.Checks.Load())
	count(topology.Identify, "unknown", "Answers that a device, patient or encounter is not known.", i.Unknown.Load())
	o := r.observe.Counts()
	count(topology.Observe, "redelivered", "Measurements that had been applied before.", o.Redelivered)
	count(topology.Observe, "late", "Values later than grace.", o.Late)
	count(topology.Observe, "implausible", "Values outside their signal's plausible range.", o.Implausible)
	count(topology.Observe, "large_rows", "Writes of a row over 64 kB.", o.Larges)
	count(topology.Observe, "idle", "Devices that fell silent.", o.Idled)
	a := r.assessed.counts()
	count(topology.Assess, "windows", "Windows evaluated.", int64(a.Evaluated))
	count(topology.Assess, "late", "Panes for windows that nothing can change any more.", int64(a.Late))
	for stage, d := range map[string]*processors.Deliver{topology.Deliver: r.deliver, topology.DeliverHot: r.hot} {
		c := d.Counts()
		count(stage, "written", "Resources written to the FHIR server.", c.Written)
		count(stage, "unchanged", "Records whose content was on the FHIR server already.", c.Unchanged)
		count(stage, "retries", "Requests to the FHIR server made again after a pause.", c.Retries)
	}
	return all
}

// assessed adds up what the callbacks of Assess did. The zero value is ready.
type assessed struct {
	mu  sync.Mutex
	sum state.PatientCounts
}

func (a *assessed) add(c state.PatientCounts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum.Evaluated += c.Evaluated
	a.sum.Late += c.Late
}

func (a *assessed) counts() state.PatientCounts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum
}

// firstFlag returns an open clinical Flag and its patient, empty when there is
// none.
func (r *river) firstFlag(ctx context.Context) (flag, patient string, err error) {
	all, err := r.history.OpenFlags(ctx)
	for _, f := range all {
		if !f.Technical {
			return f.ID, f.Patient, err
		}
	}
	return "", "", err
}
