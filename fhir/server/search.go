package server

import (
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
	chains     []chain
	conditions []condition
	sort       string // column, "" = in the order of creation
	descending bool
	count      int
	summary    bool // _summary=count: the total only
	uncounted  bool // _total=none
	cursor     *cursor
	self       url.Values // what was understood
	ignored    []string   // what was not
}

// ranks order parameters by how few resources one value leaves.
var ranks = map[string]int{"identifier": 0, "target": 1, "encounter": 2, "patient": 3, "subject": 4, "device": 5, "code": 6}

// rank is that of the parameter; what is not listed comes last.
func (p *param) rank() int {
	if r, ok := ranks[p.name]; ok {
		return r
	}
	return len(ranks)
}

// ignoredAlways are parameters that ask for a form of the answer, not for
// resources: an unknown one is no error even under handling=strict.
var ignoredAlways = map[string]bool{"_format": true, "_pretty": true}

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

// selects reports whether the search leaves any resource out.
func (s *search) selects() bool { return len(s.matches)+len(s.chains)+len(s.conditions) > 0 }

func (s *search) parameter(name, text string) (known bool, err error) {
	switch name {
	case "_id":
		return true, s.byID(text)
	case "_lastUpdated":
		return true, s.byTime(name, text, "r.updated * 1000", "r.updated * 1000")
	case "_count":
		return true, s.setCount(text)
	case "_cursor":
		s.cursor, err = parseCursor(text)
		return true, err
	case "_sort":
		return s.setSort(text), nil
	case "_total":
		return true, s.setTotal(text)
	case "_summary":
		s.summary = text == "count"
		return s.summary || text == "false", nil
	}
	if first, rest, chained := strings.Cut(name, "."); chained {
		return s.byChain(first, rest, text)
	}
	p, modifier, i := s.param(name)
	switch {
	case p == nil && (strings.HasPrefix(name, "_id:") || strings.HasPrefix(name, "_lastUpdated:")):
		return false, unsupportedModifier(name)
	case p == nil:
		return false, nil
	case modifier == "missing":
		return true, s.byPresence(name, text, i)
	case modifier != "" && !p.mayMean(modifier):
		return false, unsupportedModifier(name)
	case p.kind == dateParam:
		return true, s.byTime(name, text, "r.date_from", "r.date_to")
	}
	return true, s.byKey(p, modifier, text)
}

// unsupportedModifier refuses a modifier even under handling=lenient: without
// it the search would be another one.
func unsupportedModifier(name string) error {
	return problemf(http.StatusBadRequest, "not-supported", "the modifier of %s is not supported", name)
}

// param finds the parameter of a name such as subject:Patient, nil when the
// type has none.
func (s *search) param(name string) (p *param, modifier string, i int) {
	bare, modifier, _ := strings.Cut(name, ":")
	params, _ := paramsOf(s.kind)
	i = slices.IndexFunc(params, func(p param) bool { return p.name == bare })
	if i < 0 {
		return nil, modifier, i
	}
	return &params[i], modifier, i
}

// mayMean reports whether the parameter refers to resources of that type.
func (p *param) mayMean(resourceType string) bool {
	return p.kind == referenceParam && (slices.Contains(p.targets, resourceType) || p.targets == nil && isResourceType(resourceType))
}

// byPresence reads the modifier missing of the i-th parameter.
func (s *search) byPresence(name, text string, i int) error {
	compare, ok := map[string]string{"true": " = 0", "false": " <> 0"}[text]
	if !ok {
		return problemf(http.StatusBadRequest, "value", "%s is true or false", name)
	}
	s.conditions = append(s.conditions, condition{"r.present & ?" + compare, []any{presentBit(i)}})
	return nil
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
	m := match{rank: p.rank()}
	var systems []any
	for _, alternative := range alternatives {
		if system, code, hasSystem := cutToken(alternative); p.kind == tokenParam && hasSystem && code == "" && system != "" {
			systems = append(systems, system)
			continue
		}
		keys, err := p.searchKeys(s.kind, modifier, alternative)
		if err != nil {
			return err
		}
		for _, k := range keys {
			m.keys = append(m.keys, k[:])
		}
	}
	if systems == nil {
		s.matches = append(s.matches, m)
	} else {
		s.conditions = append(s.conditions, p.bySystem(systems, m.keys))
	}
	return nil
}

// bySystem returns the condition that a resource has one of the keys, or a
// token of one of the systems: in the body, outside of extensions and the like,
// a token lies at $.identifier[0] or at $.code.coding[0].
func (p *param) bySystem(systems, keys []any) condition {
	member := "$." + p.members[0]
	c := condition{args: append([]any{len(member) + 1, len(member) + 1, len(member) + 1, member}, systems...)}
	c.sql = "EXISTS (SELECT 1 FROM (SELECT substr(t.path, ?) AS place, " +
		"length(substr(t.path, ?)) - length(replace(substr(t.path, ?), '.', '')) AS depth, t.key, t.value " +
		"FROM body, json_tree(CAST(body.json AS TEXT), ?) t WHERE body.n = r.n) " +
		"WHERE key = 'system' AND value IN (" + marks(systems) + ") AND (depth = 0 OR depth = 1 AND place LIKE '%.coding[%'))"
	if len(keys) > 0 {
		c.sql = "(" + c.sql + " OR EXISTS (SELECT 1 FROM key WHERE hash IN (" + marks(keys) + ") AND n = r.n))"
		c.args = append(c.args, keys...)
	}
	return c
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
	case p.kind == codeParam && code == "":
		return nil, problemf(http.StatusBadRequest, "not-supported", "%s has one system only: name a code", p.name)
	case p.kind == codeParam:
		return []key{keyOf(kind, p.name, "value", code)}, nil
	case code == "" && system == "":
		return nil, problemf(http.StatusBadRequest, "value", "%s: a bar needs a system or a code beside it", p.name)
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

// setTotal reads _total. An estimate costs what the count costs.
func (s *search) setTotal(text string) error {
	switch text {
	case "none", "estimate", "accurate":
		s.uncounted = text == "none"
		return nil
	}
	return problemf(http.StatusBadRequest, "value", "_total is none, estimate or accurate")
}

// setSort reads _sort; the order of creation breaks ties. More than one key, or
// one without an index, is not known here: it sorts nothing.
func (s *search) setSort(text string) (known bool) {
	name, descending := strings.CutPrefix(text, "-")
	p, _, _ := s.param(name)
	switch {
	case name == "_lastUpdated":
		s.sort = "r.updated"
	case p == nil || p.kind != dateParam || p.name != name:
		return false
	case descending:
		s.sort = "r.date_to"
	default:
		s.sort = "r.date_from"
	}
	s.descending = descending
	return true
}
