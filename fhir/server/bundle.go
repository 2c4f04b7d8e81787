package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxEntries is how many entries a bundle may have, as Microsoft's server.
const maxEntries = 500

// bundleWriter writes a Bundle by hand: resources go in as they are stored.
type bundleWriter struct {
	kind    string
	total   int64
	links   []byte
	entries []byte
}

func quoted(text string) []byte {
	b, _ := json.Marshal(text) // a string always has a JSON form
	return b
}

func (b *bundleWriter) link(relation, address string, query url.Values) {
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	if b.links != nil {
		b.links = append(b.links, ',')
	}
	b.links = append(append(append(b.links, `{"relation":"`+relation+`","url":`...), quoted(address)...), '}')
}

func (b *bundleWriter) begin() {
	if b.entries != nil {
		b.entries = append(b.entries, ',')
	}
	b.entries = append(b.entries, '{')
}

func (b *bundleWriter) match(base string, s *stored) {
	b.begin()
	b.entries = append(b.entries, `"fullUrl":"`+base+"/"+s.kind+"/"+s.id+`","resource":`...)
	b.entries = append(append(b.entries, s.body...), `,"search":{"mode":"match"}}`...)
}

func (b *bundleWriter) version(base string, s *stored) {
	b.begin()
	b.entries = append(b.entries, `"fullUrl":"`+base+"/"+s.kind+"/"+s.id+`",`...)
	method, status := "PUT", "200 OK"
	switch {
	case s.deleted:
		method, status = "DELETE", "204 No Content"
	case s.version == 1:
		status = "201 Created"
	}
	if !s.deleted {
		b.entries = append(append(append(b.entries, `"resource":`...), s.body...), ',')
	}
	b.entries = append(b.entries, `"request":{"method":"`+method+`","url":"`+s.kind+"/"+s.id+`"},"response":{"status":"`+status+`"`...)
	b.entries = append(b.entries, s.versionMembers()...)
	b.entries = append(b.entries, "}}"...)
}

func (s *stored) versionMembers() string {
	return `,"etag":"W/\"` + strconv.FormatInt(s.version, 10) + `\"","lastModified":"` + s.lastUpdated() + `"`
}

// response writes what became of one entry of a batch or transaction.
func (b *bundleWriter) response(base string, a *answer, p *problem) {
	b.begin()
	if p != nil {
		b.entries = append(b.entries, `"response":{"status":"`+statusLine(p.status)+`","outcome":`...)
		b.entries = append(append(b.entries, p.outcome()...), "}}"...)
		return
	}
	if a.body != nil {
		b.entries = append(append(append(b.entries, `"resource":`...), a.body...), ',')
	}
	b.entries = append(b.entries, `"response":{"status":"`+statusLine(a.status)+`"`...)
	if s := a.resource; s != nil {
		b.entries = append(b.entries, `,"location":"`+base+"/"+s.location()+`"`+s.versionMembers()...)
	}
	b.entries = append(b.entries, "}}"...)
}

func statusLine(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }

func (b *bundleWriter) bytes() []byte {
	out := make([]byte, 0, len(b.entries)+len(b.links)+128)
	out = append(out, `{"resourceType":"Bundle","type":"`+b.kind+`"`...)
	if b.kind == "searchset" || b.kind == "history" {
		out = append(out, `,"total":`+strconv.FormatInt(b.total, 10)...)
	} else {
		out = append(out, `,"meta":{"lastUpdated":"`+instant(time.Now().UnixMilli())+`"}`...)
	}
	if b.links != nil {
		out = append(append(append(out, `,"link":[`...), b.links...), ']')
	}
	if b.entries != nil {
		out = append(append(append(out, `,"entry":[`...), b.entries...), ']')
	}
	return append(out, '}')
}

// bundle runs a batch or a transaction.
func (s *Server) bundle(ctx context.Context, c *call) (*answer, error) {
	if c.method != http.MethodPost {
		return nil, problemf(http.StatusMethodNotAllowed, "not-supported", "send a Bundle by POST; a search names a type")
	}
	if got := c.resource.get("resourceType").text(); got != "Bundle" {
		return nil, invalid("resourceType", "the base address takes a Bundle, not %q", got)
	}
	var entries []*value
	c.resource.get("entry").each(func(e *value) { entries = append(entries, e) })
	if len(entries) > maxEntries {
		return nil, problemf(http.StatusRequestEntityTooLarge, "too-costly", "a Bundle has at most %d entries", maxEntries)
	}
	switch kind := c.resource.get("type").text(); kind {
	case "batch":
		return s.batch(ctx, c, entries)
	case "transaction":
		return s.transaction(ctx, c, entries)
	default:
		return nil, invalid("Bundle.type", "Bundle.type is batch or transaction, not %q", kind)
	}
}

// entryCall reads the request of an entry.
func entryCall(c *call, entry *value) (*call, error) {
	request := entry.get("request")
	e := &call{method: request.get("method").text(), base: c.base, minimal: c.minimal, strict: c.strict,
		ifMatch: request.get("ifMatch").text(), ifNoneMatch: request.get("ifNoneMatch").text(), ifNoneExist: request.get("ifNoneExist").text(),
		resource: entry.get("resource")}
	path, query, _ := strings.Cut(request.get("url").text(), "?")
	var err error
	if e.query, err = url.ParseQuery(query); err != nil {
		return nil, invalid("request.url", "request.url: %v", err)
	}
	if path == "" {
		return nil, invalid("request.url", "an entry needs request.method and request.url")
	}
	return e, e.address(strings.TrimPrefix(strings.TrimPrefix(path, c.base), "/"))
}

// step is one entry of a bundle on its way.
type step struct {
	fullURL  string
	call     *call
	prepared *prepared // nil for a GET
	answer   *answer
	problem  *problem
}

func newStep(c *call, entry *value) *step {
	st := &step{fullURL: entry.get("fullUrl").text()}
	e, err := entryCall(c, entry)
	if err == nil && e.method != http.MethodGet {
		st.prepared, err = prepare(e)
	}
	st.call = e
	if err != nil {
		st.problem = problemOf(err)
	}
	return st
}

// run does the entry inside the transaction. Only faults of the store are
// errors; what is wrong with the entry is its problem.
func (st *step) run(ctx context.Context, w *writer) error {
	if st.problem != nil {
		return nil
	}
	var err error
	if st.prepared == nil {
		st.answer, err = w.get(ctx, st.call)
	} else {
		st.answer, err = w.apply(ctx, st.prepared)
	}
	if err == nil {
		return nil
	}
	p := problemOf(err)
	if p.status >= http.StatusInternalServerError {
		return err
	}
	st.answer, st.problem = nil, p
	return nil
}

// newSteps reads all entries, before the writer is asked for.
func newSteps(c *call, entries []*value) []*step {
	steps := make([]*step, len(entries))
	for i, e := range entries {
		steps[i] = newStep(c, e)
	}
	return steps
}

// again returns copies that a job may alter: it may run twice.
func again(steps []*step) []*step {
	copies := make([]*step, len(steps))
	for i, st := range steps {
		one := *st
		if st.prepared != nil {
			p := *st.prepared
			one.prepared = &p
		}
		copies[i] = &one
	}
	return copies
}

// batch runs each entry for itself, in one SQLite transaction.
func (s *Server) batch(ctx context.Context, c *call, entries []*value) (*answer, error) {
	ready := newSteps(c, entries)
	var steps []*step
	err := s.write(ctx, false, func(ctx context.Context, w *writer) error {
		steps = again(ready)
		for _, st := range steps {
			if err := st.run(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return responses("batch-response", c.base, steps), nil
}

func responses(kind, base string, steps []*step) *answer {
	b := bundleWriter{kind: kind}
	for _, st := range steps {
		b.response(base, st.answer, st.problem)
	}
	return &answer{status: http.StatusOK, body: b.bytes()}
}

// order is the sequence in which R4 runs the entries of a transaction.
var order = map[string]int{http.MethodDelete: 0, http.MethodPost: 1, http.MethodPut: 2, http.MethodGet: 3}

// transaction runs all entries or none.
func (s *Server) transaction(ctx context.Context, c *call, entries []*value) (*answer, error) {
	ready := newSteps(c, entries)
	sequence := make([]int, len(ready))
	for i, st := range ready {
		if st.problem != nil {
			return nil, st.problem.inEntry(i)
		}
		sequence[i] = i
	}
	slices.SortStableFunc(sequence, func(a, b int) int { return order[ready[a].call.method] - order[ready[b].call.method] })
	var steps []*step
	err := s.write(ctx, true, func(ctx context.Context, w *writer) error {
		steps = again(ready)
		return w.transaction(ctx, steps, sequence)
	})
	if err != nil {
		return nil, err
	}
	return responses("transaction-response", c.base, steps), nil
}

func (w *writer) transaction(ctx context.Context, steps []*step, sequence []int) error {
	if err := w.join(ctx, steps); err != nil {
		return err
	}
	for _, i := range sequence {
		if err := steps[i].run(ctx, w); err != nil {
			return err
		}
		if steps[i].problem != nil {
			return steps[i].problem.inEntry(i)
		}
	}
	return nil
}

// inEntry says which entry of a transaction the problem lies in.
func (p *problem) inEntry(i int) *problem {
	q := *p
	q.expression = fmt.Sprintf("Bundle.entry[%d]", i)
	q.text = fmt.Sprintf("entry %d: %s", i, p.text)
	return &q
}

// join settles which resource each entry means and lets the entries refer to
// each other: by fullUrl, by Type/id, by Type?search.
func (w *writer) join(ctx context.Context, steps []*step) error {
	address := map[string]string{} // fullUrl -> Type/id
	beside := map[string]bool{}    // Type/id of what is written here
	for i, st := range steps {
		if st.prepared == nil {
			continue
		}
		change := &st.prepared.change
		existing, err := w.resolve(ctx, st.prepared)
		if err != nil {
			return inEntry(err, i)
		}
		switch {
		case existing != nil:
			change.id = existing.id
		case change.id == "":
			if change.id = change.resource.get("id").text(); change.id == "" {
				change.id = newID()
			}
		}
		target := change.kind + "/" + change.id
		if beside[target] {
			return invalid("", "two entries mean one resource").inEntry(i)
		}
		beside[target] = st.call.method != http.MethodDelete
		change.beside = beside
		if st.fullURL != "" {
			address[st.fullURL] = target
		}
	}
	for i, st := range steps {
		if st.prepared == nil || st.prepared.change.resource == nil {
			continue
		}
		if err := w.rewrite(ctx, st.prepared, address); err != nil {
			return inEntry(err, i)
		}
	}
	return nil
}

func inEntry(err error, i int) error {
	if p := problemOf(err); p.status < http.StatusInternalServerError {
		return p.inEntry(i)
	}
	return err
}

// conditionalReference is a reference that names its target by a search.
var conditionalReference = regexp.MustCompile(`^([A-Z][A-Za-z]+)\?(.+)$`)

func (w *writer) rewrite(ctx context.Context, p *prepared, address map[string]string) error {
	resource, err := rewriteReferences(p.change.resource, func(reference string) (string, error) {
		if target, ok := address[reference]; ok {
			return target, nil
		}
		if strings.HasPrefix(reference, "urn:uuid:") || strings.HasPrefix(reference, "urn:oid:") {
			return "", invalid("", "reference %s is the fullUrl of no entry", reference)
		}
		m := conditionalReference.FindStringSubmatch(reference)
		if m == nil {
			return reference, nil
		}
		by := prepared{change: change{kind: m[1]}}
		if err := by.condition(m[2], true); err != nil {
			return "", err
		}
		target, err := w.resolve(ctx, &by)
		if err == nil && target == nil {
			err = problemf(http.StatusPreconditionFailed, "not-found", "reference %s matches nothing", reference)
		}
		if err != nil {
			return "", err
		}
		return target.kind + "/" + target.id, nil
	})
	if err != nil || resource == p.change.resource {
		return err
	}
	x, err := indexOf(p.change.kind, resource)
	p.change.resource, p.change.index = resource, x
	return err
}
