package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of one search.
const (
	defaultCount  = 50
	maxCount      = 1000
	maxValues     = 200      // of one parameter, separated by commas
	maxConditions = 40       // parameters of one search
	maxPageBytes  = 32 << 20 // a page ends earlier when its resources are large
)

// condition is one part of the WHERE clause.
type condition struct {
	sql  string
	args []any
}

// match is a set of index keys of which a resource must have one.
type match struct {
	keys []any
	rank int // of its parameter: the lower, the fewer resources share a key
}

// search is a parsed query of one type.
type search struct {
	kind       string
	matches    []match
	conditions []condition
	sort       string // column, "" = in the order of creation
	descending bool
	count      int
	summary    bool // _summary=count: the total only
	cursor     *cursor
	self       url.Values // what was understood
	ignored    []string   // what was not
}

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

// rank orders parameters by how few resources one value leaves.
var rank = map[string]int{"identifier": 0, "target": 1, "encounter": 2, "patient": 3, "subject": 4, "device": 5, "code": 6}

// ignoredAlways are parameters that ask for a form of the answer, not for
// resources: an unknown one is no error even under handling=strict.
var ignoredAlways = map[string]bool{"_format": true, "_pretty": true, "_total": true}

// parseSearch reads the parameters of a search. What R4 or this server does not
// know is left out, under handling=strict it is refused.
func parseSearch(kind string, query url.Values, strict bool) (*search, error) {
	s := &search{kind: kind, count: defaultCount, self: url.Values{}}
	names := make([]string, 0, len(query))
	conditions := 0
	for name := range query {
		names = append(names, name)
		conditions += len(query[name])
	}
	if conditions > maxConditions {
		return nil, problemf(http.StatusBadRequest, "too-costly", "more than %d search parameters", maxConditions)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, text := range query[name] {
			known, err := s.parameter(name, text)
			if err != nil {
				return nil, err
			}
			if known {
				s.self.Add(name, text)
			} else if !ignoredAlways[name] {
				s.ignored = append(s.ignored, name)
			}
		}
	}
	if strict && len(s.ignored) > 0 {
		return nil, problemf(http.StatusBadRequest, "not-supported", "unknown search parameter for %s: %s", kind, strings.Join(s.ignored, ", "))
	}
	return s, nil
}

func (s *search) parameter(name, text string) (known bool, err error) {
	switch name {
	case "_id":
		return true, s.byID(text)
	case "_lastUpdated":
		return true, s.byTime(name, text, "r.updated * 1000", "r.updated * 1000 + 999")
	case "_count":
		return true, s.setCount(text)
	case "_cursor":
		s.cursor, err = parseCursor(text)
		return true, err
	case "_sort":
		return s.setSort(text), nil
	case "_summary":
		s.summary = text == "count"
		return s.summary || text == "false", nil
	}
	bare, modifier, modified := strings.Cut(name, ":")
	params, _ := paramsOf(s.kind)
	i := slices.IndexFunc(params, func(p param) bool { return p.name == bare })
	if i < 0 {
		return false, nil
	}
	p := &params[i]
	if modified && (p.kind != referenceParam || !slices.Contains(p.targets, modifier)) {
		// Ignoring a modifier would turn the search into another one.
		return false, problemf(http.StatusBadRequest, "not-supported", "the modifier of %s is not supported", name)
	}
	if p.kind == dateParam {
		return true, s.byTime(name, text, "r.date_from", "r.date_to")
	}
	return true, s.byKey(p, modifier, text)
}

func (s *search) byID(text string) error {
	ids, err := values("_id", text)
	if err != nil {
		return err
	}
	c := condition{sql: "r.id IN (?" + strings.Repeat(", ?", len(ids)-1) + ")"}
	for _, id := range ids {
		c.args = append(c.args, unescape(id))
	}
	s.conditions = append(s.conditions, c)
	return nil
}

func (s *search) byTime(name, text, from, to string) error {
	alternatives, err := values(name, text)
	if err != nil {
		return err
	}
	var either condition
	for i, alternative := range alternatives {
		prefix := "eq"
		if len(alternative) > 2 && alternative[0] >= 'a' && alternative[2] >= '0' && alternative[2] <= '9' {
			prefix, alternative = alternative[:2], alternative[2:]
		}
		// A plus sign that was not escaped arrives as a blank.
		at, err := spanOf(strings.ReplaceAll(alternative, " ", "+"))
		if err != nil {
			return problemf(http.StatusBadRequest, "value", "%s: %v", name, err)
		}
		sql, args, ok := compare(prefix, from, to, at)
		if !ok {
			return problemf(http.StatusBadRequest, "value", "%s: unknown prefix %q", name, prefix)
		}
		if i > 0 {
			either.sql += " OR "
		}
		either.sql, either.args = either.sql+sql, append(either.args, args...)
	}
	either.sql = "(" + either.sql + ")"
	if name != "_lastUpdated" {
		either.sql, either.args = either.sql+" AND r.date_from <> ?", append(either.args, noSpan.from)
	}
	s.conditions = append(s.conditions, either)
	return nil
}

func (s *search) byKey(p *param, modifier, text string) error {
	alternatives, err := values(p.name, text)
	if err != nil {
		return err
	}
	m := match{rank: len(rank)}
	if r, ok := rank[p.name]; ok {
		m.rank = r
	}
	for _, alternative := range alternatives {
		keys, err := p.searchKeys(s.kind, modifier, alternative)
		if err != nil {
			return err
		}
		for _, k := range keys {
			m.keys = append(m.keys, k[:])
		}
	}
	s.matches = append(s.matches, m)
	return nil
}

// searchKeys returns the index keys that one search value asks for.
func (p *param) searchKeys(kind, modifier, text string) ([]key, error) {
	if p.kind == referenceParam {
		return p.referenceKeys(kind, modifier, unescape(text)), nil
	}
	system, code, hasSystem := cutToken(text)
	switch {
	case !hasSystem:
		return []key{keyOf(kind, p.name, "value", code)}, nil
	case p.kind == codeParam:
		return []key{keyOf(kind, p.name, "value", code)}, nil
	case code == "":
		return nil, problemf(http.StatusBadRequest, "not-supported", "%s: a system without a value is not supported", p.name)
	}
	return []key{keyOf(kind, p.name, "token", system, code)}, nil
}

func (p *param) referenceKeys(kind, modifier, ref string) []key {
	if i := strings.LastIndex(ref, Base+"/"); i >= 0 && strings.Contains(ref[:i], "://") {
		ref = ref[i+len(Base)+1:] // an address of this server
	}
	if strings.Contains(ref, "/") {
		return []key{keyOf(kind, p.name, "reference", ref)}
	}
	targets := p.targets
	if modifier != "" {
		targets = []string{modifier}
	}
	var keys []key
	for _, t := range targets {
		keys = append(keys, keyOf(kind, p.name, "reference", t+"/"+ref))
	}
	return keys
}

// values splits a search value at its commas; a comma behind a backslash is
// part of the value.
func values(name, text string) ([]string, error) {
	var all []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',':
			all = append(all, text[start:i])
			start = i + 1
		}
	}
	all = append(all, text[start:])
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	switch {
	case len(all) == 0:
		return nil, problemf(http.StatusBadRequest, "value", "%s has no value", name)
	case len(all) > maxValues:
		return nil, problemf(http.StatusBadRequest, "too-costly", "%s has more than %d values", name, maxValues)
	}
	return all, nil
}

// cutToken splits system|value at the first bar that no backslash escapes.
func cutToken(text string) (system, code string, hasSystem bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '|':
			return unescape(text[:i]), unescape(text[i+1:]), true
		}
	}
	return "", unescape(text), false
}

// unescape takes the backslashes away that R4 puts before , | $ and \.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	return strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\|`, `|`, `\$`, `$`).Replace(text)
}

func (s *search) setCount(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return problemf(http.StatusBadRequest, "value", "_count is a number from 0")
	}
	s.summary = s.summary || n == 0 // R4: the same as _summary=count
	s.count = min(n, maxCount)
	return nil
}

// setSort takes the first key of _sort; the order of creation breaks ties.
func (s *search) setSort(text string) (known bool) {
	first, _, more := strings.Cut(text, ",")
	name, descending := strings.CutPrefix(first, "-")
	column := ""
	if name == "_lastUpdated" {
		column = "r.updated"
	}
	params, _ := paramsOf(s.kind)
	for _, p := range params {
		if p.kind == dateParam && p.name == name {
			column = "r.date_from"
			if descending {
				column = "r.date_to"
			}
		}
	}
	if column != "" {
		s.sort, s.descending = column, descending
	}
	return column != "" && !more
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

// page is one page of matches. next is nil on the last one.
type page struct {
	total   int64
	entries []stored
	next    *cursor
}

// page runs the search. The total is counted once, with the first page.
func (v *view) page(ctx context.Context, s *search) (*page, error) {
	p := &page{}
	if s.cursor != nil {
		p.total = s.cursor.total
	} else {
		total, err := v.total(ctx, s)
		if err != nil {
			return nil, err
		}
		p.total = total
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
