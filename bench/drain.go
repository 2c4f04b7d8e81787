package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"auscult/topology"
)

// stageFigures is what one stage costs as a process of its own.
type stageFigures struct {
	Stage string `json:"stage"`
	// CPU is that of the process, from its rusage: start and end included.
	CPUMicrosPerMessage float64 `json:"cpuMicrosPerMessage"`
	// StartMicrosPerMessage is what of it was taken before the messages came: to
	// start, to join the group, and to find nothing to do for a few seconds.
	StartMicrosPerMessage float64 `json:"startMicrosPerMessage"`
	// Seconds is when the stage had finished everything, after the messages came.
	Seconds float64 `json:"seconds"`
}

// drainFigures is what a whole river does with messages that are there.
type drainFigures struct {
	Messages    int     `json:"messages"`
	DeadLetters int64   `json:"deadLetters"`
	Seconds     float64 `json:"seconds"` // until the last record was finished
	PerSecond   float64 `json:"messagesPerSecond"`
	// CPU of all stages in one process; of them and the servers.
	CPUMicrosPerMessage float64 `json:"cpuMicrosPerMessage"`
	BrokerMicros        float64 `json:"brokerCPUMicrosPerMessage"`
	FHIRMicros          float64 `json:"fhirServerCPUMicrosPerMessage"`
	PerCoreStages       float64 `json:"messagesPerSecondPerCoreOfStages"`
	PerCoreAll          float64 `json:"messagesPerSecondPerCoreOfAll"`
}

// prepare opens a site with patients, but no messages yet.
func (l *lab) prepare(ctx context.Context, name string) (*site, *ward, error) {
	w, simulated, err := newWard(l.devices, l.devices)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.open(ctx, name)
	if err != nil {
		w.stop()
		return nil, nil, err
	}
	if err := errors.Join(admit(simulated, s.folder), s.startFHIR(ctx)); err != nil {
		w.stop()
		return nil, nil, errors.Join(err, s.close())
	}
	return s, w, nil
}

// worker is one stage as a process of its own.
type worker struct {
	*process
	stage topology.Graph // one
	start time.Duration  // CPU that it took before the messages came
	done  time.Time      // when it was first seen to have finished everything
}

// startFor is how long the stages have to start before the messages come.
const startFor = 5 * time.Second

// measureStages starts each stage as a process of its own on an empty river,
// then sends the messages. A stage that were started behind its input would
// cost more than it does later: Deliver reads what an earlier owner may have
// written before it writes.
func (l *lab) measureStages(ctx context.Context, r *report) (err error) {
	s, w, err := l.prepare(ctx, "stages")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	defer w.stop()
	workers, err := s.workers(ctx)
	if err != nil {
		return err
	}
	broker, fhir := s.servers()
	began := time.Now()
	if err := s.preload(ctx, w, l.messages); err != nil {
		return err
	}
	if err := s.finish(ctx, workers); err != nil {
		return err
	}
	brokerAfter, fhirAfter := s.servers()
	r.StagesBroker, r.StagesFHIR = micros(brokerAfter-broker, l.messages), micros(fhirAfter-fhir, l.messages)
	for _, p := range workers {
		used, err := p.stop()
		if err != nil {
			return err
		}
		r.Stages = append(r.Stages, stageFigures{
			Stage: p.stage[0].Name, CPUMicrosPerMessage: micros(used, l.messages), StartMicrosPerMessage: micros(p.start, l.messages),
			Seconds: p.done.Sub(began).Seconds(),
		})
	}
	r.Topics, err = s.topics(ctx, l.messages)
	return err
}

// workers starts all stages.
func (s *site) workers(ctx context.Context) ([]*worker, error) {
	var all []*worker
	for i := range s.lab.graph {
		name := s.lab.graph[i].Name
		p, err := s.run(name, "--stages", name)
		if err != nil {
			return nil, err
		}
		all = append(all, &worker{process: p, stage: s.lab.graph[i : i+1]})
	}
	if err := pause(ctx, startFor); err != nil {
		return nil, err
	}
	for _, p := range all {
		p.start = p.now()
	}
	return all, nil
}

// finish waits until every stage has finished everything, upstream first.
func (s *site) finish(ctx context.Context, workers []*worker) error {
	deadline := time.Now().Add(s.lab.partLimit)
	for rests := 0; rests < 2; rests++ {
		for _, p := range workers {
			behind, _, err := s.lag(ctx, p.stage)
			if err = errors.Join(err, p.alive()); err != nil {
				return fmt.Errorf("stage %s: %w", p.stage[0].Name, err)
			}
			if behind > 0 {
				p.done, rests = time.Time{}, -1
			} else if p.done.IsZero() {
				p.done = time.Now()
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w (%s)", errBehind, s.lab.partLimit)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
	return nil
}

// exitDeadLetters is how a run ends that has drained and added dead letters.
const exitDeadLetters = 3

// measureDrain lets all stages, in one process, drain the same messages.
func (l *lab) measureDrain(ctx context.Context, r *report) (err error) {
	s, w, err := l.prepare(ctx, "drain")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	defer w.stop()
	if err := s.preload(ctx, w, l.messages); err != nil {
		return err
	}
	broker, fhir := s.servers()
	began := time.Now()
	p, err := s.run("", "--until-drained")
	if err != nil {
		return err
	}
	last, err := s.drained(ctx, p)
	if err != nil {
		return err
	}
	brokerAfter, fhirAfter := s.servers()
	n, used := l.messages, p.used()
	f := drainFigures{
		Messages: n, Seconds: last.Sub(began).Seconds(), PerSecond: float64(n) / last.Sub(began).Seconds(),
		CPUMicrosPerMessage: micros(used, n), BrokerMicros: micros(brokerAfter-broker, n), FHIRMicros: micros(fhirAfter-fhir, n),
	}
	f.PerCoreStages, f.PerCoreAll = 1e6/f.CPUMicrosPerMessage, 1e6/(f.CPUMicrosPerMessage+f.BrokerMicros+f.FHIRMicros)
	f.DeadLetters, err = s.deadLetters(ctx)
	r.Drain = &f
	return err
}

// drained waits until the process has ended by itself and returns the last
// time at which a stage finished something.
func (s *site) drained(ctx context.Context, p *process) (time.Time, error) {
	deadline := time.Now().Add(s.lab.partLimit)
	last, before := time.Now(), int64(-1)
	for {
		select {
		case <-p.ended:
			if p.cmd.ProcessState.ExitCode() == exitDeadLetters {
				return last, nil
			}
			return last, p.failure()
		case <-time.After(pollEvery):
		}
		_, done, err := s.lag(ctx, s.lab.graph)
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("%w (%s)", errBehind, s.lab.partLimit)
		}
		if err != nil {
			_, stopped := p.stop()
			return last, errors.Join(err, stopped)
		}
		if done != before {
			last, before = time.Now(), done
		}
	}
}

func micros(d time.Duration, messages int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(messages)
}
