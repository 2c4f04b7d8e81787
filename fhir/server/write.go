package server

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxGroup is how many requests share one SQLite transaction: the commit is the
// dear part of a small write.
const maxGroup = 256

// writer is the single connection that writes, inside its transaction.
type writer struct {
	*view
	conn       *sql.Conn
	now        int64 // of the transaction, milliseconds since 1970
	references bool  // refuse references to what is not there
}

// job is one request that writes.
type job struct {
	// do may run twice: once more alone, when the transaction it shared with
	// others could not be committed.
	do     func(context.Context, *writer) error
	atomic bool // what do has written is undone when it answers with a problem
	err    error
	done   chan struct{}
}

// write runs do inside a transaction, together with whatever else waits, and
// returns when that is committed.
func (s *Server) write(ctx context.Context, atomic bool, do func(context.Context, *writer) error) error {
	j := &job{do: do, atomic: atomic, done: make(chan struct{})}
	select {
	case s.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return problemf(http.StatusServiceUnavailable, "transient", "the server is closing")
	}
	<-j.done // a job that was taken is always finished
	return j.err
}

// writeLoop is the one goroutine that writes. It ends with closing.
func (s *Server) writeLoop() {
	defer close(s.stopped)
	for {
		select {
		case <-s.closing:
			return
		case first := <-s.jobs:
			s.writeGroup(s.gather(first))
		}
	}
}

// gather takes whoever waits already, without waiting for more.
func (s *Server) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < maxGroup {
		select {
		case j := <-s.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

func (s *Server) writeGroup(group []*job) {
	err := s.writer.transact(group)
	if err != nil && len(group) > 1 {
		for i := range group { // one of them may be to blame: each for itself
			s.writeGroup(group[i : i+1])
		}
		return
	}
	for _, j := range group {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
}

// transact runs the jobs in one transaction. An error means that nothing was
// written.
func (w *writer) transact(group []*job) error {
	ctx := context.Background() // the group outlives each of its requests
	w.now = time.Now().UnixMilli()
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range group {
		if err := w.run(ctx, j); err != nil {
			_, _ = w.exec(ctx, "ROLLBACK") // err says more
			return err
		}
	}
	if _, err := w.exec(ctx, "COMMIT"); err != nil {
		_, _ = w.exec(ctx, "ROLLBACK") // err says more
		return err
	}
	return nil
}

// run does one job. A problem is the job's own; any other error ends the group.
func (w *writer) run(ctx context.Context, j *job) error {
	if j.atomic {
		if _, err := w.exec(ctx, "SAVEPOINT job"); err != nil {
			return err
		}
	}
	j.err = j.do(ctx, w)
	var p *problem
	refused := errors.As(j.err, &p) && p.status < http.StatusInternalServerError
	if j.err != nil && !refused {
		return j.err
	}
	if !j.atomic {
		return nil
	}
	if refused {
		if _, err := w.exec(ctx, "ROLLBACK TO job"); err != nil {
			return err
		}
	}
	_, err := w.exec(ctx, "RELEASE job")
	return err
}

// change is a resource to be written, checked and ready.
type change struct {
	kind, id string
	resource *value
	index    index
	unless   preconditions
	beside   map[string]bool // references that the same transaction makes valid
}

// put creates or updates a resource. What says the same as the stored version
// stays that version. created tells 201 from 200.
func (w *writer) put(ctx context.Context, c *change) (s *stored, created bool, err error) {
	old, err := w.current(ctx, c.kind, c.id)
	if err != nil {
		return nil, false, err
	}
	if err := c.unless.check(old); err != nil {
		return nil, false, err
	}
	if err := w.checkReferences(ctx, c); err != nil {
		return nil, false, err
	}
	if old == nil {
		s, err = w.insert(ctx, c)
		return s, true, err
	}
	s, err = w.update(ctx, old, c)
	return s, old.deleted, err
}

func (w *writer) insert(ctx context.Context, c *change) (*stored, error) {
	s := &stored{kind: c.kind, id: c.id, version: 1, updated: w.now}
	s.body = compose(c.resource, c.id, "1", s.lastUpdated())
	r, err := w.exec(ctx, `INSERT INTO resource (type, id, version, updated, deleted, date_from, date_to, present) VALUES (?, ?, 1, ?, 0, ?, ?, ?)`,
		c.kind, c.id, s.updated, c.index.date.from, c.index.date.to, c.index.present)
	if err != nil {
		return nil, err
	}
	if s.n, err = r.LastInsertId(); err != nil {
		return nil, err
	}
	if _, err := w.exec(ctx, `INSERT INTO body (n, json) VALUES (?, ?)`, s.n, s.body); err != nil {
		return nil, err
	}
	return s, w.addKeys(ctx, s.n, c.index.keys)
}

func (w *writer) update(ctx context.Context, old *stored, c *change) (*stored, error) {
	var keys []key
	if !old.deleted {
		before, err := parse(old.body)
		if err != nil {
			return nil, err
		}
		if sameContent(before, c.resource) {
			return old, nil
		}
		x, err := indexOf(c.kind, before)
		if err != nil {
			return nil, err
		}
		keys = x.keys
	}
	s := &stored{n: old.n, kind: c.kind, id: c.id, version: old.version + 1, updated: w.now}
	s.body = compose(c.resource, c.id, strconv.FormatInt(s.version, 10), s.lastUpdated())
	if err := w.keepPast(ctx, old); err != nil {
		return nil, err
	}
	if err := w.setRow(ctx, s, &c.index); err != nil {
		return nil, err
	}
	if _, err := w.exec(ctx, `INSERT OR REPLACE INTO body (n, json) VALUES (?, ?)`, s.n, s.body); err != nil {
		return nil, err
	}
	if err := w.removeKeys(ctx, s.n, without(keys, c.index.keys)); err != nil {
		return nil, err
	}
	return s, w.addKeys(ctx, s.n, without(c.index.keys, keys))
}

// remove deletes a resource: a version of its own, without content. nil when
// there is nothing to delete.
func (w *writer) remove(ctx context.Context, kind, id string, unless preconditions) (*stored, error) {
	old, err := w.current(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	if err := unless.check(old); err != nil || old == nil || old.deleted {
		return old, err
	}
	before, err := parse(old.body)
	if err != nil {
		return nil, err
	}
	x, err := indexOf(kind, before)
	if err != nil {
		return nil, err
	}
	s := &stored{n: old.n, kind: kind, id: id, version: old.version + 1, updated: w.now, deleted: true}
	if err := w.keepPast(ctx, old); err != nil {
		return nil, err
	}
	if err := w.setRow(ctx, s, &index{date: noSpan}); err != nil {
		return nil, err
	}
	if _, err := w.exec(ctx, `DELETE FROM body WHERE n = ?`, s.n); err != nil {
		return nil, err
	}
	return s, w.removeKeys(ctx, s.n, x.keys)
}

func (w *writer) keepPast(ctx context.Context, old *stored) error {
	var body any // NULL for a deletion
	if !old.deleted {
		body = old.body
	}
	_, err := w.exec(ctx, `INSERT INTO past (n, version, updated, json) VALUES (?, ?, ?, ?)`, old.n, old.version, old.updated, body)
	return err
}

func (w *writer) setRow(ctx context.Context, s *stored, x *index) error {
	_, err := w.exec(ctx, `UPDATE resource SET version = ?, updated = ?, deleted = ?, date_from = ?, date_to = ?, present = ? WHERE n = ?`,
		s.version, s.updated, s.deleted, x.date.from, x.date.to, x.present, s.n)
	return err
}

// maxRows is how many key rows one statement inserts: a call into SQLite costs
// more than a row.
const maxRows = 16

func (w *writer) addKeys(ctx context.Context, n int64, keys []key) error {
	for len(keys) > 0 {
		rows := min(len(keys), maxRows)
		args := make([]any, 0, 2*rows)
		for i := range rows {
			args = append(args, keys[i][:], n)
		}
		if _, err := w.exec(ctx, insertKeys[rows], args...); err != nil {
			return err
		}
		keys = keys[rows:]
	}
	return nil
}

// insertKeys are the statements that insert that many rows.
var insertKeys = func() (texts [maxRows + 1]string) {
	for rows := 1; rows <= maxRows; rows++ {
		texts[rows] = `INSERT INTO key (hash, n) VALUES (?, ?)` + strings.Repeat(`, (?, ?)`, rows-1)
	}
	return texts
}()

func (w *writer) removeKeys(ctx context.Context, n int64, keys []key) error {
	for i := range keys {
		if _, err := w.exec(ctx, `DELETE FROM key WHERE hash = ? AND n = ?`, keys[i][:], n); err != nil {
			return err
		}
	}
	return nil
}

// without returns the keys of a that are not in b.
func without(a, b []key) []key {
	in := make(map[key]bool, len(b))
	for _, k := range b {
		in[k] = true
	}
	var rest []key
	for _, k := range a {
		if !in[k] {
			rest = append(rest, k)
		}
	}
	return rest
}
