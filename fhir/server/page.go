package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// cursor is where a page begins, and the total that the first page counted.
type cursor struct {
	after, n, total int64
}

func (c *cursor) String() string { return fmt.Sprintf("%d.%d.%d", c.after, c.n, c.total) }

func parseCursor(text string) (*cursor, error) {
	c := &cursor{}
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &c.after, &c.n, &c.total); err != nil || c.String() != text {
		return nil, problemf(http.StatusBadRequest, "value", "_cursor is taken from a next link, not made")
	}
	return c, nil
}

// number is the column of a resource's number: that of the key table, when the
// search begins there, has the order and the range that a page needs.
func (s *search) number() string {
	if len(s.matches) > 0 {
		return "k.n"
	}
	return "r.n"
}

// from returns the FROM and WHERE clauses: it begins with the parameter that
// leaves the fewest resources and looks the others up row by row.
func (s *search) from(more ...condition) (clause string, args []any) {
	matches := slices.Clone(s.matches)
	slices.SortStableFunc(matches, func(a, b match) int { return a.rank - b.rank })
	var all []condition
	switch {
	case len(matches) == 0:
		clause = "FROM resource r"
		all = append(all, condition{"r.type = ? AND r.deleted = 0", []any{s.kind}})
	case len(matches[0].keys) == 1:
		clause = "FROM key k CROSS JOIN resource r ON r.n = k.n"
		all = append(all, condition{"k.hash = ?", matches[0].keys})
	default:
		clause = "FROM (SELECT DISTINCT n FROM key WHERE hash IN (" + marks(matches[0].keys) + ")) k CROSS JOIN resource r ON r.n = k.n"
		args = append(args, matches[0].keys...)
	}
	for _, m := range matches[min(1, len(matches)):] {
		all = append(all, condition{"EXISTS (SELECT 1 FROM key WHERE hash IN (" + marks(m.keys) + ") AND n = r.n)", m.keys})
	}
	for i, c := range slices.Concat(all, s.conditions, more) {
		glue := " AND "
		if i == 0 {
			glue = " WHERE "
		}
		clause, args = clause+glue+c.sql, append(args, c.args...)
	}
	return clause, args
}

func marks(keys []any) string { return "?" + strings.Repeat(", ?", len(keys)-1) }

// total counts all matches.
func (v *view) total(ctx context.Context, s *search) (total int64, err error) {
	if len(s.matches) == 1 && len(s.matches[0].keys) == 1 && len(s.conditions) == 0 {
		_, err = v.one(ctx, []any{&total}, `SELECT count(*) FROM key WHERE hash = ?`, s.matches[0].keys...)
		return total, err
	}
	clause, args := s.from()
	_, err = v.one(ctx, []any{&total}, "SELECT count(*) "+clause, args...)
	return total, err
}

// notCounted is the total of a search that asked for none.
const notCounted = -1

// page is one page of matches. next is nil on the last one.
type page struct {
	total   int64
	entries []stored
	next    *cursor
}

// page runs the search. The total is counted once, with the first page.
func (v *view) page(ctx context.Context, s *search) (*page, error) {
	p := &page{}
	s, err := v.follow(ctx, s)
	switch {
	case err != nil || s == nil: // a chain that leads nowhere
		return p, err
	case s.cursor != nil:
		p.total = s.cursor.total
	case s.uncounted && !s.summary:
		p.total = notCounted
	default:
		if p.total, err = v.total(ctx, s); err != nil {
			return nil, err
		}
	}
	if s.summary || p.total == 0 {
		return p, nil
	}
	query, args := s.pageQuery()
	rows, err := v.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	bytes := 0
	var last cursor
	for rows.Next() {
		if len(p.entries) == s.count || bytes > maxPageBytes {
			last.total = p.total
			p.next = &last
			break
		}
		e := stored{kind: s.kind}
		if err := rows.Scan(&last.after, &last.n, &e.id, &e.body); err != nil {
			return nil, err
		}
		bytes += len(e.body)
		p.entries = append(p.entries, e)
	}
	return p, rows.Err()
}

func (s *search) pageQuery() (string, []any) {
	n, beyond, direction := s.number(), ">", ""
	if s.descending {
		beyond, direction = "<", " DESC"
	}
	// The order of creation needs no sorting: both tables have it.
	value, order, outer, after := "0", n, "p.n", condition{n + " > ?", nil}
	if s.sort != "" {
		value, order, outer = s.sort, s.sort+direction+", "+n+direction, "p.s"+direction+", p.n"+direction
		after.sql = "(" + s.sort + ", " + n + ") " + beyond + " (?, ?)"
	}
	var more []condition
	switch {
	case s.cursor != nil && s.sort != "":
		after.args = []any{s.cursor.after, s.cursor.n}
		more = append(more, after)
	case s.cursor != nil:
		after.args = []any{s.cursor.n}
		more = append(more, after)
	}
	clause, args := s.from(more...)
	return "SELECT p.s, p.n, p.id, b.json FROM (SELECT " + value + " AS s, " + n + " AS n, r.id AS id " + clause +
		" ORDER BY " + order + " LIMIT ?) p CROSS JOIN body b ON b.n = p.n ORDER BY " + outer, append(args, s.count+1)
}
