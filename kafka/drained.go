package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"auscult/schemas"
)

// Settings of a run until drained.
const (
	drainPoll = 250 * time.Millisecond
	// drainSettle is how long a stage with rows must have been done before it is
	// believed:
	// longer than the time between two commits of an owner, so that what it says
	// of itself is as new as its offsets.
	drainSettle = CommitInterval + drainPoll
)

// DrainStage is a stage as a run until drained sees it.
type DrainStage struct {
	Name   string
	Inputs []string // bare names
	// With names stages that are done only together with this one.
	With []string
	// Visit makes the owners in this process visit their rows with trigger end
	// and commit mark with their offsets. It is called again until every owner
	// everywhere has done so; what has been visited at its present offset needs
	// nothing more. Nil only for a stage without rows: one whose owners are in
	// other processes has a Visit that does nothing.
	Visit func(ctx context.Context, mark string) error
}

// DrainConfig says what is to be drained, in the order of the river.
type DrainConfig struct {
	River  *Conn
	Source *Conn // nil when it is the river
	Stages []DrainStage
	// Until is D: the end offsets of devicedata, from DrainTarget.
	Until map[int32]int64
	// DeadLetters is how many there were before the stages began: what they add
	// before Drain is called counts too.
	DeadLetters int64
	// Waiting tells what the run waits for, for the person who waits too. May be
	// nil.
	Waiting func(stage, reason string)
}

// DrainResult is what a drained run leaves.
type DrainResult struct {
	DeadLetters int64 // added since the run began
}

// DrainTarget returns D, the end offsets of devicedata now: Normalize reads to
// them and no further (rule G15).
func DrainTarget(ctx context.Context, river, source *Conn) (map[int32]int64, error) {
	conn := connOf(schemas.TopicDeviceData, river, source)
	e, err := topicEnds(ctx, conn, conn.Topic(schemas.TopicDeviceData))
	return e.end, err
}

// drainMarkBytes is how much of the hash of D is committed with each offset.
const drainMarkBytes = 8

// DrainMark returns the hash of D: it tells a visit with trigger end for this
// D from one for an earlier.
func DrainMark(until map[int32]int64) string {
	h := sha256.New()
	for p := range int32(len(until)) {
		fmt.Fprintf(h, "%d:%d\n", p, until[p])
	}
	return hex.EncodeToString(h.Sum(nil)[:drainMarkBytes])
}

// DeadLetters returns how many dead letters there have ever been.
func DeadLetters(ctx context.Context, river *Conn) (int64, error) {
	s, err := topicStatus(ctx, river, schemas.TopicDeadLetters)
	n := int64(0)
	for _, end := range s.End {
		n += end
	}
	return n, err
}

// Drain returns when everything that the source holds up to D has gone down
// the river. It only looks at the broker, so any number of processes may do
// the same, whichever stages each of them runs.
func Drain(ctx context.Context, cfg DrainConfig) (DrainResult, error) {
	d := drain{cfg: cfg, mark: DrainMark(cfg.Until)}
	for _, together := range d.rounds() {
		if err := d.wait(ctx, together, false); err != nil {
			return DrainResult{}, err
		}
		if !keepsRows(together) {
			continue
		}
		if err := d.wait(ctx, together, true); err != nil {
			return DrainResult{}, err
		}
	}
	after, err := DeadLetters(ctx, cfg.River)
	return DrainResult{DeadLetters: after - cfg.DeadLetters}, err
}

type drain struct {
	cfg  DrainConfig
	mark string
}

// rounds returns the stages in order, those that belong together as one.
func (d *drain) rounds() [][]DrainStage {
	var rounds [][]DrainStage
	taken := map[string]bool{}
	for _, s := range d.cfg.Stages {
		if taken[s.Name] {
			continue
		}
		round := []DrainStage{}
		for _, other := range d.cfg.Stages {
			if other.Name == s.Name || slices.Contains(s.With, other.Name) || slices.Contains(other.With, s.Name) {
				round = append(round, other)
				taken[other.Name] = true
			}
		}
		rounds = append(rounds, round)
	}
	return rounds
}

func keepsRows(stages []DrainStage) bool {
	return slices.ContainsFunc(stages, func(s DrainStage) bool { return s.Visit != nil })
}

// wait returns when the stages are done, and with visit also marked; those
// with rows, long enough to be believed. A stage without owes nothing that is
// not in its offsets.
func (d *drain) wait(ctx context.Context, stages []DrainStage, visit bool) error {
	var since time.Time
	var seen string
	settle := time.Duration(0)
	if keepsRows(stages) {
		settle = drainSettle
	}
	for {
		ends, reason, err := d.look(ctx, stages, false)
		if visit && err == nil && reason == "" {
			if err := d.visit(ctx, stages); err != nil {
				return err
			}
			ends, reason, err = d.look(ctx, stages, true)
		}
		switch {
		case err != nil && (ctx.Err() != nil || !passes(err)):
			return err
		case err != nil:
			since, reason = time.Time{}, err.Error()
		case reason != "":
			since = time.Time{}
		case settle == 0:
			return nil
		case since.IsZero() || ends != seen:
			since, seen = time.Now(), ends
		case time.Since(since) >= settle:
			return nil
		}
		if reason != "" && d.cfg.Waiting != nil {
			d.cfg.Waiting(stages[0].Name, reason)
		}
		if err := sleep(ctx, drainPoll); err != nil {
			return err
		}
	}
}

func (d *drain) visit(ctx context.Context, stages []DrainStage) error {
	for _, s := range stages {
		if s.Visit == nil {
			continue
		}
		if err := s.Visit(ctx, d.mark); err != nil {
			return fmt.Errorf("visiting the rows of %s: %w", s.Name, err)
		}
	}
	return nil
}

// look returns what the stages still have to do, empty when nothing, and a
// text of the ends they have reached.
//
// What is committed is read before the ends: an offset committed at t means
// that all it caused was acknowledged before t, so ends that are not beyond it
// later leave nothing that could still be on its way.
func (d *drain) look(ctx context.Context, stages []DrainStage, marked bool) (ends, reason string, err error) {
	type input struct {
		stage  DrainStage
		status TopicStatus
		reader ReaderStatus
	}
	var inputs []input
	for _, s := range stages {
		for _, topic := range s.Inputs {
			conn := connOf(topic, d.cfg.River, d.cfg.Source)
			status, err := topicStatus(ctx, conn, topic)
			if err != nil {
				return "", "", err
			}
			reader, err := readerStatus(ctx, conn, s.Name, &status)
			if err != nil {
				return "", "", err
			}
			inputs = append(inputs, input{s, status, reader})
		}
	}
	for _, in := range inputs {
		end, err := d.ends(ctx, in.status.Topic)
		if err != nil {
			return "", "", err
		}
		mark := ""
		if marked && in.stage.Visit != nil {
			mark = d.mark
		}
		if reason := behind(&in.status, &in.reader, end, mark); reason != "" {
			return "", reason, nil
		}
		ends += fmt.Sprint(in.status.Topic, end, ";")
	}
	return ends, "", nil
}

// ends returns how far a topic must be read: D for devicedata, else its end.
func (d *drain) ends(ctx context.Context, topic string) ([]int64, error) {
	conn := connOf(topic, d.cfg.River, d.cfg.Source)
	s, err := topicStatus(ctx, conn, topic)
	if err != nil || topic != schemas.TopicDeviceData {
		return s.End, err
	}
	end := make([]int64, len(s.End))
	for p := range end {
		end[p] = d.cfg.Until[int32(p)]
	}
	return end, nil
}

// behind says why a reader is not done with a topic, empty when it is.
func behind(t *TopicStatus, r *ReaderStatus, end []int64, mark string) string {
	for p := range end {
		committed := int64(-1)
		meta := CommitMeta{}
		if p < len(r.Committed) {
			committed, meta = r.Committed[p], r.Meta[p]
		}
		at := fmt.Sprintf("%s %s/%d", r.Stage, t.Topic, p)
		switch {
		case committed < 0 && end[p] == 0 && mark == "":
			// Nothing has ever been there; its owner may not even have come yet.
		case committed < end[p]:
			return fmt.Sprintf("%s: committed %d of %d", at, committed, end[p])
		case meta.Parked > 0:
			return fmt.Sprintf("%s: values of %d keys are parked", at, meta.Parked)
		case meta.Owes > 0:
			return fmt.Sprintf("%s: owes %d", at, meta.Owes)
		case mark != "" && meta.End != mark:
			return fmt.Sprintf("%s: rows not visited with trigger end", at)
		}
	}
	return ""
}

// ErrDeadLetters is what a drained run ends with when it has added dead
// letters: the river is dry, but not everything has come through.
var ErrDeadLetters = errors.New("drained, but dead letters were added")
