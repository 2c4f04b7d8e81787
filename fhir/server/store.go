package server

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// FileName is the name of the database in a data folder.
const FileName = "fhir.db"

// layout is the version of the tables below, kept in PRAGMA user_version.
const layout = 2

// tables: a resource has one narrow row, one body and one row in key for each
// value by which it can be found. Rows of resource are never deleted: their
// numbers stand in the other tables.
const tables = `
CREATE TABLE resource (
	n INTEGER PRIMARY KEY,
	type TEXT NOT NULL,
	id TEXT NOT NULL,
	version INTEGER NOT NULL,
	updated INTEGER NOT NULL, -- milliseconds since 1970
	deleted INTEGER NOT NULL,
	date_from INTEGER NOT NULL, -- microseconds since 1970
	date_to INTEGER NOT NULL,
	present INTEGER NOT NULL, -- index.present
	UNIQUE (type, id)
);
CREATE TABLE body (n INTEGER PRIMARY KEY, json BLOB NOT NULL);
CREATE TABLE past (n INTEGER, version INTEGER, updated INTEGER NOT NULL, json BLOB, PRIMARY KEY (n, version));
CREATE TABLE key (hash BLOB NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (hash, n)) WITHOUT ROWID;
PRAGMA user_version = 2;`

// Settings of every connection. The cache holds the upper pages of the key
// table, whose hashes arrive in random order.
var pragmas = []string{"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(10000)", "cache_size(-65536)", "wal_autocheckpoint(4000)"}

// readers is how many searches and reads run at a time.
const readers = 4

func connect(path string) (*sql.DB, error) {
	settings := url.Values{}
	for _, p := range pragmas {
		settings.Add("_pragma", p)
	}
	// A path may hold what a query string uses.
	name := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return sql.Open("sqlite", "file:"+name+"?"+settings.Encode())
}

// querier is what sql.DB and sql.Conn share.
type querier interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// maxStatements is how many prepared statements a view keeps; searches beyond
// it are prepared each time.
const maxStatements = 256

// view runs queries, on the pool of readers or inside the writer's transaction.
type view struct {
	on         querier
	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func newView(on querier) *view { return &view{on: on, statements: map[string]*sql.Stmt{}} }

// statement returns the prepared query, nil when there are too many already.
func (v *view) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.statements[query]; s != nil || len(v.statements) >= maxStatements {
		return s, nil
	}
	s, err := v.on.PrepareContext(ctx, query)
	if err == nil {
		v.statements[query] = s
	}
	return s, err
}

func (v *view) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := v.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return v.on.QueryContext(ctx, query, args...)
	}
	return s.QueryContext(ctx, args...)
}

// one scans the first row of a query; found is false when there is none.
func (v *view) one(ctx context.Context, into []any, query string, args ...any) (found bool, err error) {
	rows, err := v.query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	if err := rows.Scan(into...); err != nil {
		return false, err
	}
	return true, rows.Close()
}

func (v *view) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := v.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return v.on.ExecContext(ctx, query, args...)
	}
	return s.ExecContext(ctx, args...)
}

func (v *view) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for _, s := range v.statements {
		errs = append(errs, s.Close())
	}
	clear(v.statements)
	return errors.Join(errs...)
}

// stored is one version of a resource.
type stored struct {
	n        int64
	kind, id string // resource type and logical id
	version  int64
	updated  int64 // milliseconds since 1970
	body     []byte
	deleted  bool
}

func (s *stored) etag() string { return `W/"` + strconv.FormatInt(s.version, 10) + `"` }

func (s *stored) lastUpdated() string { return instant(s.updated) }

func instant(milli int64) string {
	return time.UnixMilli(milli).UTC().Format("2006-01-02T15:04:05.000Z")
}

// current returns the latest version of a resource, nil when there never was
// one.
func (v *view) current(ctx context.Context, kind, id string) (*stored, error) {
	s := &stored{kind: kind, id: id}
	found, err := v.one(ctx, []any{&s.n, &s.version, &s.updated, &s.deleted, &s.body},
		`SELECT r.n, r.version, r.updated, r.deleted, b.json FROM resource r LEFT JOIN body b ON b.n = r.n WHERE r.type = ? AND r.id = ?`, kind, id)
	if err != nil || !found {
		return nil, err
	}
	return s, nil
}

// version returns one version of a resource, nil when there is none.
func (v *view) version(ctx context.Context, kind, id string, version int64) (*stored, error) {
	s, err := v.current(ctx, kind, id)
	if err != nil || s == nil || s.version == version {
		return s, err
	}
	s.version, s.body = version, nil
	found, err := v.one(ctx, []any{&s.updated, &s.body}, `SELECT updated, json FROM past WHERE n = ? AND version = ?`, s.n, version)
	if err != nil || !found {
		return nil, err
	}
	s.deleted = s.body == nil
	return s, nil
}

// history returns at most limit versions below before, newest first, and fewer
// when they are large. more tells that there are others.
func (v *view) history(ctx context.Context, s *stored, before int64, limit int) (all []stored, more bool, err error) {
	bytes := 0
	if s.version < before {
		all, bytes = append(all, *s), len(s.body)
	}
	rows, err := v.query(ctx, `SELECT version, updated, json FROM past WHERE n = ? AND version < ? ORDER BY version DESC LIMIT ?`, s.n, before, limit-len(all)+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		if len(all) == limit || bytes > maxPageBytes {
			return all, true, nil
		}
		past := stored{n: s.n, kind: s.kind, id: s.id}
		if err := rows.Scan(&past.version, &past.updated, &past.body); err != nil {
			return nil, false, err
		}
		past.deleted = past.body == nil
		all, bytes = append(all, past), bytes+len(past.body)
	}
	return all, false, rows.Err()
}
