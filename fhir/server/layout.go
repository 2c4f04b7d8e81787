package server

import (
	"context"
	"database/sql"
	"fmt"
)

// addPresent turns layout 1 into layout 2, whose rows know what is there.
const addPresent = `ALTER TABLE resource ADD COLUMN present INTEGER NOT NULL DEFAULT 0; PRAGMA user_version = 2;`

// migrate creates the tables of a new file, brings an older one to this layout
// and refuses one of a later version.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == layout:
		return nil
	case version > layout:
		return fmt.Errorf("the file was written by a later version (layout %d, this is %d)", version, layout)
	case version == 0:
		_, err := c.ExecContext(ctx, tables)
		return err
	}
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE; "+addPresent); err != nil {
		return err
	}
	w := &writer{view: newView(c), conn: c}
	err := w.reindex(ctx)
	if closed := w.close(); err == nil {
		err = closed
	}
	if err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK") // err says more
		return fmt.Errorf("indexing the file of an older version again: %w", err)
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

// reindexed is how many resources are read at a time while the index is made.
const reindexed = 200

// reindex reads from every body what its row says of it. The keys stay: what
// they are made of is the same.
func (w *writer) reindex(ctx context.Context) error {
	last := int64(0)
	for {
		some, err := w.after(ctx, last)
		if err != nil || len(some) == 0 {
			return err
		}
		for i := range some {
			if err := w.indexAgain(ctx, &some[i]); err != nil {
				return err
			}
		}
		last = some[len(some)-1].n
	}
}

// after returns the next resources by number.
func (v *view) after(ctx context.Context, n int64) (some []stored, err error) {
	rows, err := v.query(ctx, `SELECT r.n, r.type, b.json FROM resource r JOIN body b ON b.n = r.n WHERE r.n > ? ORDER BY r.n LIMIT ?`, n, reindexed)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s stored
		if err := rows.Scan(&s.n, &s.kind, &s.body); err != nil {
			return nil, err
		}
		some = append(some, s)
	}
	return some, rows.Err()
}

func (w *writer) indexAgain(ctx context.Context, s *stored) error {
	r, err := parse(s.body)
	if err != nil {
		return err
	}
	x, err := indexOf(s.kind, r)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, `UPDATE resource SET date_from = ?, date_to = ?, present = ? WHERE n = ?`, x.date.from, x.date.to, x.present, s.n)
	return err
}
