package topology

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lovoo/goka"

	"auscult/processors"
	"auscult/schemas"
	"auscult/state"
)

// localBatch is how many records a batch stage gets at once from a Local.
const localBatch = 500

// Local runs the stages of a graph in one goroutine, without a broker: topics
// in memory, rows in maps, time as the caller says. Replays and tests drive the
// same stages with it that live runs drive through Kafka.
//
// Nothing is committed until Commit: Crash throws away what a process would
// lose, and the records since then come again.
type Local struct {
	graph      Graph
	partitions int32
	now        time.Time
	topics     map[string][]localPartition
	members    map[string]*member
	// IdleAfter is how long a key must have been silent for a tick to call it
	// so; 0 calls every key silent that has something to close.
	IdleAfter time.Duration
	// Generation is that of devicedata (G6): what a replay makes carries the
	// generation of the messages that it replays.
	Generation string
	// Tap sees every record that is written, in order. It may be nil.
	Tap func(topic string, partition int32, r *schemas.Raw)
}

// localPartition is the log of one partition. Records before first have been
// dropped.
type localPartition struct {
	first   int64
	records []schemas.Raw
}

func (p *localPartition) end() int64 { return p.first + int64(len(p.records)) }

// member is the one process that runs a stage.
type member struct {
	stage     Stage
	shares    map[string][]*schemas.Share // by input
	position  map[string][]int64
	committed map[string][]int64
	rows      []map[string][]byte          // by partition
	work      []map[string]bool            // by partition: the rows that have work for the next tick
	sent      []map[string]int64           // by partition: the row version whose outputs are all out
	touched   []map[string]time.Time       // by partition: when the first input last had a message for a row
	held      map[string][]map[string]bool // by input and partition: the keys that ask for no more
	assigned  []bool
	since     time.Time // when this process began
}

// NewLocal returns a driver of the stages of g that run, with that many
// partitions of every topic.
func NewLocal(g Graph, partitions int32) *Local {
	l := &Local{graph: g, partitions: partitions, Generation: "local", topics: map[string][]localPartition{}, members: map[string]*member{}}
	for _, t := range schemas.Topics {
		l.topics[t.Name] = make([]localPartition, partitions)
	}
	for i := range g {
		if g[i].Runs() {
			l.members[g[i].Name] = l.newMember(g[i])
		}
	}
	return l
}

func (l *Local) newMember(s Stage) *member {
	m := &member{stage: s, shares: map[string][]*schemas.Share{}, position: map[string][]int64{},
		committed: map[string][]int64{}, held: map[string][]map[string]bool{}}
	for _, t := range s.Inputs {
		m.position[t] = make([]int64, l.partitions)
		m.committed[t] = make([]int64, l.partitions)
	}
	m.rows = make([]map[string][]byte, l.partitions)
	m.work = make([]map[string]bool, l.partitions)
	for p := range m.rows {
		m.rows[p], m.work[p] = map[string][]byte{}, map[string]bool{}
	}
	m.restart(l.partitions, l.now)
	return m
}

// restart forgets what a new process would not know.
func (m *member) restart(partitions int32, now time.Time) {
	m.assigned, m.since = make([]bool, partitions), now
	m.sent, m.touched = make([]map[string]int64, partitions), make([]map[string]time.Time, partitions)
	for p := range m.sent {
		m.sent[p], m.touched[p] = map[string]int64{}, map[string]time.Time{}
	}
	for t, committed := range m.committed {
		copy(m.position[t], committed)
		m.held[t] = make([]map[string]bool, partitions)
		for p := range m.held[t] {
			m.held[t][p] = map[string]bool{}
		}
	}
}

// Now is the wall clock of the run: the append time of what is written next.
func (l *Local) Now() time.Time { return l.now }

// Advance sets the wall clock; it never goes back.
func (l *Local) Advance(to time.Time) {
	if to.After(l.now) {
		l.now = to
	}
}

// Append writes a record. A topic whose key no stage of ours made (devicedata)
// may name the partition; -1 lets the key choose it.
func (l *Local) Append(topic string, partition int32, r schemas.Raw) {
	if partition < 0 {
		partition = schemas.PartitionOf(string(r.Key), l.partitions)
	}
	p := &l.topics[topic][partition]
	r.Topic, r.Partition, r.Offset = topic, partition, p.end()
	if r.Timestamp.IsZero() {
		r.Timestamp = l.now
	}
	p.records = append(p.records, r)
	if l.Tap != nil {
		l.Tap(topic, partition, &r)
	}
}

// Skip makes the next record of a partition have at least that offset: a replay
// keeps the offsets of its source.
func (l *Local) Skip(topic string, partition int32, offset int64) {
	p := &l.topics[topic][partition]
	if len(p.records) == 0 && offset > p.first {
		p.first = offset
		for _, m := range l.members {
			if at, ok := m.position[topic]; ok {
				at[partition] = max(at[partition], offset)
				m.committed[topic][partition] = max(m.committed[topic][partition], offset)
			}
		}
	}
}

// Row returns the row of a key in a stage's table.
func (l *Local) Row(stage, key string) []byte {
	return l.members[stage].rows[schemas.PartitionOf(key, l.partitions)][key]
}

// Parked returns the keys of a stage's rows that wait for an identity (G14).
func (l *Local) Parked(stage string) []string {
	var keys []string
	for _, rows := range l.members[stage].rows {
		for k, row := range rows {
			if state.RowFlags(row)&state.RowParked != 0 {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// Work is one thing that can be done next: a stage and one of its inputs'
// partitions that has unread records, or, without a topic, a partition of its
// table with rows that an earlier callback left work to.
type Work struct {
	Stage, Topic string
	Partition    int32
}

// Pending returns what can be done next, in the graph's order.
func (l *Local) Pending() []Work {
	var all []Work
	for i := range l.graph {
		m := l.members[l.graph[i].Name]
		if m == nil {
			continue
		}
		for _, t := range m.stage.Inputs {
			for p := range l.partitions {
				if m.position[t][p] < l.topics[t][p].end() && len(m.held[t][p]) == 0 {
					all = append(all, Work{m.stage.Name, t, p})
				}
			}
		}
		for p := range m.work {
			if len(m.work[p]) > 0 {
				all = append(all, Work{m.stage.Name, "", int32(p)})
			}
		}
	}
	return all
}

// Do processes up to n records of w.
func (l *Local) Do(ctx context.Context, w Work, n int) error {
	_, err := l.do(ctx, w, n, -1)
	return err
}

// DoCut processes one record as a process does that dies when keep of its
// outputs are out, and its row is durable. The caller crashes the stage next.
func (l *Local) DoCut(ctx context.Context, w Work, keep int) error {
	_, err := l.do(ctx, w, 1, keep)
	return err
}

func (l *Local) do(ctx context.Context, w Work, n, keep int) (done int, err error) {
	defer failed(w.Stage, &err)
	m := l.members[w.Stage]
	if err := l.assign(ctx, m, w.Partition); err != nil {
		return 0, err
	}
	if w.Topic == "" {
		l.visit(ctx, m, w.Partition, processors.TickWork, keep)
		return 0, nil
	}
	log := &l.topics[w.Topic][w.Partition]
	at := m.position[w.Topic][w.Partition]
	rs := log.records[min(max(at-log.first, 0), int64(len(log.records))):]
	rs = rs[:min(n, len(rs))]
	if len(rs) == 0 { // the assignment has moved on
		return 0, nil
	}
	if m.stage.Batch != nil {
		if err := l.batch(ctx, m, w, rs, keep); err != nil {
			return 0, err
		}
		return len(rs), nil
	}
	for i := range rs {
		m.position[w.Topic][w.Partition] = rs[i].Offset
		l.keyed(ctx, m, &rs[i], slices.Index(m.stage.Inputs, w.Topic), keep)
		m.position[w.Topic][w.Partition] = rs[i].Offset + 1
		if len(m.held[w.Topic][w.Partition]) > 0 {
			return i + 1, nil
		}
	}
	return len(rs), nil
}

func (l *Local) batch(ctx context.Context, m *member, w Work, rs []schemas.Raw, keep int) error {
	share := m.shares[w.Topic][w.Partition]
	outs, err := m.stage.Batch.Process(ctx, schemas.Batch{Share: share, Records: rs})
	if err != nil {
		return fmt.Errorf("stage %s: %w", m.stage.Name, err)
	}
	l.write(outs, keep)
	m.position[w.Topic][w.Partition] = rs[len(rs)-1].Offset + 1
	return nil
}

// write appends outputs; keep >= 0 lets only so many out.
func (l *Local) write(outs []schemas.Out, keep int) {
	if keep >= 0 {
		outs = outs[:min(keep, len(outs))]
	}
	for _, o := range outs {
		l.Append(o.Topic, -1, schemas.Raw{Key: []byte(o.Key), Value: o.Value, Headers: o.Headers})
	}
}

// What a batch stage may have beside Process; kafka.RunBatches calls the same.
type (
	assigner interface {
		Assigned(ctx context.Context, s *schemas.Share) (int64, error)
	}
	restorer interface {
		Restore(ctx context.Context, s *schemas.Share, r schemas.Raw) error
	}
	ticker interface {
		Tick(ctx context.Context, s *schemas.Share, now time.Time) ([]schemas.Out, error)
	}
)

// assign gives a partition to a stage at its first use after a start.
func (l *Local) assign(ctx context.Context, m *member, p int32) error {
	if m.assigned[p] {
		return nil
	}
	m.assigned[p] = true
	if m.stage.Keyed != nil {
		l.visit(ctx, m, p, processors.TickWork, -1)
		return nil
	}
	for _, t := range m.stage.Inputs {
		share := &schemas.Share{Topic: t, Partition: p, Generation: l.Generation, End: l.topics[t][p].end(),
			Committed: m.committed[t][p], AssignedAt: l.now}
		if m.shares[t] == nil {
			m.shares[t] = make([]*schemas.Share, l.partitions)
		}
		m.shares[t][p] = share
		if err := l.restore(ctx, m, share); err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) restore(ctx context.Context, m *member, share *schemas.Share) error {
	if a, ok := m.stage.Batch.(assigner); ok {
		next, err := a.Assigned(ctx, share)
		if err != nil {
			return err
		}
		if next >= 0 { // a sink knows better than the group how far it has got
			m.position[share.Topic][share.Partition], m.committed[share.Topic][share.Partition] = next, next
		}
	}
	r, ok := m.stage.Batch.(restorer)
	if !ok {
		return nil
	}
	if m.stage.Restore == "" {
		return nil
	}
	for _, rec := range l.topics[m.stage.Restore][share.Partition].records {
		if err := r.Restore(ctx, share, rec); err != nil {
			return err
		}
	}
	return nil
}

// Run processes everything that is pending, committing as it goes.
func (l *Local) Run(ctx context.Context) error {
	for {
		work := l.Pending()
		if len(work) == 0 {
			return nil
		}
		for _, w := range work {
			if _, err := l.do(ctx, w, localBatch, -1); err != nil {
				return err
			}
			l.Commit(w.Stage)
		}
	}
}

// Commit notes how far a stage has got, as a commit does.
func (l *Local) Commit(stage string) {
	m := l.members[stage]
	for t, at := range m.position {
		copy(m.committed[t], at)
	}
}

// Crash makes a stage a new process: what is not in its rows or committed is
// gone. With a stage given, its insides are that one's from now on.
func (l *Local) Crash(stage string, anew *Stage) {
	m := l.members[stage]
	if anew != nil {
		m.stage = *anew
	}
	m.restart(l.partitions, l.now)
}

// Rewind makes a stage a new process whose group has committed nothing: all that
// its inputs still hold comes again. Its rows stay.
func (l *Local) Rewind(stage string) {
	m := l.members[stage]
	for t, parts := range l.topics {
		if committed, ok := m.committed[t]; ok {
			for p := range parts {
				committed[p] = parts[p].first
			}
		}
	}
	m.restart(l.partitions, l.now)
}

// Drop forgets records that every reader has committed, and those nobody reads.
func (l *Local) Drop() {
	for t, parts := range l.topics {
		for p := range parts {
			keep := parts[p].end()
			for _, m := range l.members {
				if at, ok := m.committed[t]; ok {
					keep = min(keep, at[p])
				}
			}
			n := keep - parts[p].first
			parts[p].records = slices.Clone(parts[p].records[n:])
			parts[p].first = keep
		}
	}
}

// Tick lets every batch stage and every row with work do what is due, and Idle
// rows too when idle is set; then it runs what follows.
func (l *Local) Tick(ctx context.Context, idle bool) error {
	for i := range l.graph {
		for p := range l.partitions {
			if err := l.Visit(ctx, l.graph[i].Name, p, processors.TickWork, -1); err != nil {
				return err
			}
			if !idle {
				continue
			}
			if err := l.Visit(ctx, l.graph[i].Name, p, processors.TickIdle, -1); err != nil {
				return err
			}
		}
	}
	return l.Run(ctx)
}

// Visit gives one partition of a stage a tick: the rows that it concerns, or
// what a batch stage does once a second. keep >= 0 lets only so many outputs of
// the last row out; the caller crashes the stage next. A stage that does not
// run has nothing to do.
func (l *Local) Visit(ctx context.Context, stage string, p int32, kind processors.TickKind, keep int) (err error) {
	defer failed(stage, &err)
	m := l.members[stage]
	if m == nil {
		return nil
	}
	if err := l.assign(ctx, m, p); err != nil {
		return err
	}
	if m.stage.Keyed != nil {
		l.visit(ctx, m, p, kind, keep)
		return nil
	}
	t, ok := m.stage.Batch.(ticker)
	if !ok || kind != processors.TickWork {
		return nil
	}
	for _, in := range m.stage.Inputs {
		outs, err := t.Tick(ctx, m.shares[in][p], l.now)
		if err != nil {
			return fmt.Errorf("stage %s: %w", m.stage.Name, err)
		}
		l.write(outs, keep)
	}
	return nil
}

// End drains: stage by stage in the graph's order every row is told that the
// run has ended, and what follows from it is run.
func (l *Local) End(ctx context.Context) error {
	if err := l.Run(ctx); err != nil {
		return err
	}
	for i := range l.graph {
		if l.graph[i].Keyed == nil {
			continue
		}
		for p := range l.partitions {
			if err := l.Visit(ctx, l.graph[i].Name, p, processors.TickEnd, -1); err != nil {
				return err
			}
		}
		if err := l.Run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keyed runs one callback. keep >= 0 lets only so many outputs out.
func (l *Local) keyed(ctx context.Context, m *member, r *schemas.Raw, input, keep int) {
	s := &scope{l: l, m: m, ctx: ctx, raw: r, keep: keep}
	m.stage.Keyed.Inputs[input](s, r.Value)
	s.done()
}

// visit calls the tick callback for the rows of a partition that a tick of that
// kind concerns, in the order of their keys. keep >= 0 lets only so many outputs
// of the last one out.
func (l *Local) visit(ctx context.Context, m *member, p int32, kind processors.TickKind, keep int) {
	if m.stage.Keyed.Tick == nil {
		return
	}
	keys := make([]string, 0, len(m.rows[p]))
	for k, row := range m.rows[p] {
		if concerns(kind, state.RowFlags(row)) && (kind != processors.TickIdle || l.silent(m, p, k)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for i, k := range keys {
		s := &scope{l: l, m: m, ctx: ctx, keep: -1, raw: &schemas.Raw{Partition: p, Key: []byte(k), Timestamp: l.now}}
		if i == len(keys)-1 {
			s.keep = keep
		}
		m.stage.Keyed.Tick(s, kind)
		s.done()
	}
}

// silent reports whether the first input has had no message for a row for
// IdleAfter, counted from zero by each new owner (G9).
func (l *Local) silent(m *member, p int32, key string) bool {
	last := m.since
	if at := m.touched[p][key]; at.After(last) {
		last = at
	}
	return l.now.Sub(last) >= l.IdleAfter
}

func concerns(kind processors.TickKind, flags uint8) bool {
	switch kind {
	case processors.TickWork:
		return flags&(state.RowWork|state.RowOwes) != 0
	case processors.TickIdle:
		return flags&state.RowSilent != 0
	}
	return true
}

// scope is the goka.Context of one callback.
type scope struct {
	l    *Local
	m    *member
	ctx  context.Context
	raw  *schemas.Raw
	keep int
	cut  bool
}

func (s *scope) rows() map[string][]byte { return s.m.rows[s.raw.Partition] }

// done notes that all outputs of the row's version are out.
func (s *scope) done() {
	if s.cut {
		return
	}
	var h state.Header
	if _, err := h.ReadHeader(s.rows()[s.Key()]); err == nil {
		s.m.sent[s.raw.Partition][s.Key()] = h.Version
	}
}

func (s *scope) Topic() goka.Stream       { return goka.Stream(s.raw.Topic) }
func (s *scope) Key() string              { return string(s.raw.Key) }
func (s *scope) Partition() int32         { return s.raw.Partition }
func (s *scope) Offset() int64            { return s.raw.Offset }
func (s *scope) Group() goka.Group        { return goka.Group(s.m.stage.Name) }
func (s *scope) Timestamp() time.Time     { return s.raw.Timestamp }
func (s *scope) Context() context.Context { return s.ctx }
func (s *scope) DeferCommit() func(error) { return func(error) {} }

// failure carries the error of a callback that cannot go on, as Goka does it.
type failure struct{ err error }

// Fail ends the callback; whoever called it gets err.
func (s *scope) Fail(err error) { panic(failure{err}) }

// failed turns a failure into the error of a stage. Any other panic goes on.
func failed(stage string, err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = fmt.Errorf("stage %s: %w", stage, r.err)
	default:
		panic(r)
	}
}

func (s *scope) Headers() goka.Headers {
	h := goka.Headers{}
	for _, x := range s.raw.Headers {
		h[x.Key] = x.Value
	}
	return h
}

func (s *scope) Value() any {
	if row, ok := s.rows()[s.Key()]; ok {
		return row
	}
	return nil
}

func (s *scope) SetValue(v any, _ ...goka.ContextOption) {
	row := slices.Clone(v.([]byte))
	s.rows()[s.Key()] = row
	if work := s.m.work[s.raw.Partition]; state.RowFlags(row)&state.RowWork != 0 {
		work[s.Key()] = true
	} else {
		delete(work, s.Key())
	}
	if s.raw.Topic == s.m.stage.Inputs[0] { // a tick or an answer is no sign of life
		s.m.touched[s.raw.Partition][s.Key()] = s.l.now
	}
}

// Delete is what no stage does: a row remembers what it has applied.
func (s *scope) Delete(...goka.ContextOption)  { panic("topology: no stage of this graph deletes rows") }
func (s *scope) Join(goka.Table) any           { return nil }
func (s *scope) Lookup(goka.Table, string) any { return nil }
func (s *scope) Loopback(string, any, ...goka.ContextOption) {
	panic("topology: no stage of this graph has a loop")
}

func (s *scope) Emit(topic goka.Stream, key string, v any, _ ...goka.ContextOption) {
	if s.keep == 0 {
		s.cut = true
		return
	}
	s.keep--
	s.l.Append(string(topic), -1, schemas.Raw{Key: []byte(key), Value: slices.Clone(v.([]byte))})
}

// Finished says from where on messages of a topic may still be unfinished: in
// one goroutine, from the one that is in work.
func (s *scope) Finished(topic string) int64 { return s.m.position[topic][s.raw.Partition] }

// Sent reports whether the outputs of that version of the row are out, as far
// as this process knows.
func (s *scope) Sent(key string, version int64) bool {
	v, ok := s.m.sent[s.raw.Partition][key]
	return ok && version <= v
}

// Touched reports whether this process has written the row.
func (s *scope) Touched(key string) bool {
	_, ok := s.m.touched[s.raw.Partition][key]
	return ok
}

// WaitFinished has nothing to wait for: everything before is finished.
func (s *scope) WaitFinished(string, int64) error { return nil }

// Hold stops the reading of one input's partition for as long as some key asks
// for it (G14).
func (s *scope) Hold(topic string, on bool) {
	if held := s.m.held[topic][s.raw.Partition]; on {
		held[s.Key()] = true
	} else {
		delete(held, s.Key())
	}
}
