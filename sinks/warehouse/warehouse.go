// Package warehouse keeps the facts that dashboards read: who the patients are,
// the panes of their vital signs, what each model said of each window, which
// Flags were raised, and what no stage could use.
//
// It is a sink: records go in exactly once, because the offset of a partition is
// moved in the same transaction as the rows, and first (the fence). It knows
// records and SQL; it knows no broker, and decides nothing about patients.
package warehouse

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"auscult/schemas"
)

//go:embed migrations
var migrations embed.FS

// MaxRowsPerTransaction bounds how long one transaction holds the writer.
const MaxRowsPerTransaction = 2000

// Warehouse is a SQLite database with the river's facts. It may be used by many
// goroutines; writes happen one at a time.
type Warehouse struct {
	db   *sql.DB
	name string // of this sink, in sink_offset

	mu   sync.Mutex
	next map[place]int64 // where this owner stands; the fence compares it with the table
}

// place is one partition of one generation of a topic.
type place struct {
	topic, generation string
	partition         int32
}

func placeOf(s *schemas.Share) place { return place{s.Topic, s.Generation, s.Partition} }

// Open opens or makes the database file at path and brings its tables up to
// date. The sink name tells several sinks that share a database apart.
func Open(ctx context.Context, path, sink string) (*Warehouse, error) {
	dsn := fileURI(path) + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening warehouse %s: %w", path, err)
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing warehouse %s: %w", path, err), db.Close())
	}
	return &Warehouse{db: db, name: sink, next: map[place]int64{}}, nil
}

// fileURI names a file for SQLite; its path may hold ? and #, which would end
// the path of a URI.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// migrateAttempts and migratePause: of several processes that open a new
// database at once, one makes the tables and the others find them there on
// their next attempt.
const (
	migrateAttempts = 20
	migratePause    = 100 * time.Millisecond
)

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
		if err != nil {
			return err
		}
		if _, err = p.Up(ctx); err == nil || attempt == migrateAttempts {
			return err
		}
		select {
		case <-time.After(migratePause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Close closes the database. What has been written stays.
func (w *Warehouse) Close() error { return w.db.Close() }

// Assigned returns the offset from which the partition goes on. A warehouse that
// has never seen it begins with the first record there is, whatever the group
// has committed: one that was removed is filled again.
func (w *Warehouse) Assigned(ctx context.Context, s *schemas.Share) (int64, error) {
	next, err := w.position(ctx, placeOf(s))
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next[placeOf(s)] = next
	if next < 0 {
		return s.Start, nil
	}
	return next, nil
}

func (w *Warehouse) position(ctx context.Context, p place) (int64, error) {
	var next int64
	err := w.db.QueryRowContext(ctx,
		`SELECT next_offset FROM sink_offset WHERE sink = ? AND topic = ? AND generation = ? AND part = ?`,
		w.name, p.topic, p.generation, p.partition).Scan(&next)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return -1, nil
	case err != nil:
		return 0, fmt.Errorf("reading the warehouse's offset of %s/%d: %w", p.topic, p.partition, err)
	}
	return next, nil
}

// Write stores the facts of b and moves the partition's offset behind them, in
// one transaction each MaxRowsPerTransaction records. It returns the offset from
// which to go on. What another owner has stored already is passed over.
func (w *Warehouse) Write(ctx context.Context, b schemas.Batch) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := placeOf(b.Share)
	for {
		todo := after(b.Records, w.next[p])
		if len(todo) == 0 {
			return max(w.next[p], 0), nil
		}
		todo = todo[:min(len(todo), MaxRowsPerTransaction)]
		fenced, err := w.store(ctx, p, todo)
		if err != nil {
			return 0, err
		}
		if !fenced {
			w.next[p] = todo[len(todo)-1].Offset + 1
			continue
		}
		// Another owner moved the offset: go on from where it stands now.
		if w.next[p], err = w.position(ctx, p); err != nil {
			return 0, err
		}
	}
}

// after returns the records at or above offset next.
func after(rs []schemas.Raw, next int64) []schemas.Raw {
	for i := range rs {
		if rs[i].Offset >= next {
			return rs[i:]
		}
	}
	return nil
}

// store writes rs in one transaction. It reports fenced, and stores nothing,
// when the table's offset is not the one this owner believes in.
func (w *Warehouse) store(ctx context.Context, p place, rs []schemas.Raw) (fenced bool, err error) {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("beginning a warehouse transaction: %w", err)
	}
	defer func() {
		// After a commit this does nothing; otherwise nothing must remain.
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && err == nil {
			err = rerr
		}
	}()
	if ok, err := w.move(ctx, tx, p, rs[len(rs)-1].Offset+1); err != nil || !ok {
		return !ok, err
	}
	f := facts{ctx: ctx, tx: tx}
	for i := range rs {
		if err := f.add(p, &rs[i]); err != nil {
			return false, fmt.Errorf("storing %s/%d offset %d: %w", p.topic, p.partition, rs[i].Offset, err)
		}
	}
	return false, tx.Commit()
}

// move is the fence: it updates the offset row first, and only from the value
// that this owner knows.
func (w *Warehouse) move(ctx context.Context, tx *sql.Tx, p place, to int64) (bool, error) {
	from, known := w.next[p]
	var res sql.Result
	var err error
	if !known || from < 0 {
		res, err = tx.ExecContext(ctx,
			`INSERT INTO sink_offset (sink, topic, generation, part, next_offset) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			w.name, p.topic, p.generation, p.partition, to)
	} else {
		res, err = tx.ExecContext(ctx,
			`UPDATE sink_offset SET next_offset = ? WHERE sink = ? AND topic = ? AND generation = ? AND part = ? AND next_offset = ?`,
			to, w.name, p.topic, p.generation, p.partition, from)
	}
	if err != nil {
		return false, fmt.Errorf("moving the warehouse's offset of %s/%d: %w", p.topic, p.partition, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
