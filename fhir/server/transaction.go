package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

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
	read := 0
	for _, i := range sequence {
		if err := steps[i].run(ctx, w, &read); err != nil {
			return err
		}
		if steps[i].problem != nil {
			return steps[i].problem.inEntry(i)
		}
	}
	return nil
}

// join settles which resource each entry means and lets the entries refer to
// each other: by fullUrl, by Type/id, by Type?search.
func (w *writer) join(ctx context.Context, steps []*step) error {
	address := map[string]string{} // fullUrl -> Type/id
	beside := map[string]bool{}    // Type/id of what is written here, false for what is deleted
	conditions := map[string]bool{}
	for i, st := range steps {
		if st.prepared == nil {
			continue
		}
		change := &st.prepared.change
		if err := w.settle(ctx, st.prepared); err != nil {
			return inEntry(err, i)
		}
		target := change.kind + "/" + change.id
		condition := st.prepared.condition()
		if _, twice := beside[target]; twice || conditions[condition] {
			return invalid("", "two entries mean one resource").inEntry(i)
		}
		if condition != "" {
			conditions[condition] = true
		}
		beside[target] = st.call.method != http.MethodDelete
		change.beside = beside
		if st.fullURL == "" {
			continue
		}
		if address[st.fullURL] != "" {
			return invalid("", "two entries have one fullUrl").inEntry(i)
		}
		address[st.fullURL] = target
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
		if err := by.readCondition(m[2], true); err != nil {
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
	if err := validate(resource, p.change.kind); err != nil {
		return err // what a urn:uuid stands for is known only here
	}
	x, err := indexOf(p.change.kind, resource)
	p.change.resource, p.change.index = resource, x
	return err
}
