package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"time"
)

// change is a Flag that opened or closed while the console ran.
type change struct {
	ID, Href, Name string
	Opened         bool
	Flag           flagView
	Seen           string
}

// look asks the history and renders the ward.
func (h *hub) look(ctx context.Context) ([]fragment, state, error) {
	st := state{stages: h.cfg.stages()}
	standings, err := h.cfg.History.Worklist(ctx, MaxRows)
	if err != nil {
		return nil, st, err
	}
	flags, err := h.cfg.History.OpenFlags(ctx)
	if err != nil {
		return nil, st, err
	}
	if st.shown, err = h.cfg.History.Freshness(ctx); err != nil {
		return nil, st, err
	}
	if h.polls%lettersEvery == 0 {
		if h.letters, err = h.cfg.History.DeadLetters(ctx); err != nil {
			return nil, st, err
		}
	}
	now := h.cfg.now()
	st.letters, st.polled = h.letters, now
	for i := range flags {
		if flags[i].Technical {
			st.flags[1]++
		} else {
			st.flags[0]++
		}
	}
	h.compare(standings, flags, now)
	all, err := h.render(h.cfg.wardOf(standings, flags, st.shown, now), &st, now)
	return all, st, err
}

// compare notes the Flags that have opened and closed since the last poll. Those
// that were open when the console began are no news.
func (h *hub) compare(standings []Standing, flags []Flag, now time.Time) {
	names := map[string]string{}
	for i := range standings {
		names[standings[i].Patient] = patientName(standings[i].Identifier, standings[i].Patient)
	}
	open := make(map[string]change, len(flags))
	var news []change
	for i := range flags {
		f := &flags[i]
		c := change{ID: domID("c-", f.ID, "opened"), Href: patientPath(f.Patient), Name: patientName(names[f.Patient], f.Patient),
			Opened: true, Flag: h.cfg.flagView(f, 0, now), Seen: now.UTC().Format("15:04:05")}
		open[f.ID] = c
		if _, ok := h.known[f.ID]; !ok {
			news = append(news, c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.known)) {
		if _, ok := open[id]; !ok {
			c := h.known[id]
			c.ID, c.Opened, c.Seen = domID("c-", id, "closed"), false, now.UTC().Format("15:04:05")
			news = append(news, c)
		}
	}
	if h.known != nil && len(news) > 0 {
		all := append(news, h.changes...)
		h.changes = all[:min(len(all), MaxChanges)]
	}
	h.known = open
}

// render makes the fragments of the ward's page; what has not changed is taken
// from the last time.
func (h *hub) render(w ward, st *state, now time.Time) ([]fragment, error) {
	h.mu.Lock()
	old := h.ward
	h.mu.Unlock()
	list, err := renderRows(w.rows, find(old, worklistID))
	if err != nil {
		return nil, err
	}
	all := []fragment{list}
	for _, p := range []struct {
		id   string
		data any
	}{
		{noticeID, ""}, {"summary", w.summary}, {changesID, append([]change{}, h.changes...)},
		{stagesID, h.cfg.stageRows(st.stages, st.letters, now)}, {"letters", byCount(st.letters)},
	} {
		f, err := render(p.id, p.id, p.data, find(old, p.id))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// Ids of elements that are more than a fragment.
const (
	worklistID = "worklist"
	changesID  = "changes"
	noticeID   = "notice"
	stagesID   = "stages"
)

func renderRows(rows []row, old *fragment) (fragment, error) {
	list := fragment{id: worklistID, rows: []fragment{}}
	var before []fragment
	if old != nil {
		before = old.rows
	}
	byID := make(map[string]*fragment, len(before))
	for i := range before {
		byID[before[i].id] = &before[i]
	}
	parts := make([]template.HTML, len(rows))
	for i := range rows {
		f, err := render("row", rows[i].ID, rows[i], byID[rows[i].ID])
		if err != nil {
			return list, err
		}
		list.rows = append(list.rows, f)
		parts[i] = template.HTML(f.html) // made by the template "row" just before
	}
	var err error
	list.html, err = execute(worklistID, parts)
	return list, err
}

// withNotice returns the last state of the ward with a line above it that says
// how old it is; how the stages do is known nevertheless.
func (h *hub) withNotice(st *state) []fragment {
	text := "The warehouse does not answer. There is nothing to show yet."
	if !st.polled.IsZero() {
		text = "The warehouse does not answer. The page shows the state of " + st.polled.UTC().Format("15:04:05") + " UTC."
	}
	all := slices.Clone(h.ward)
	for _, p := range []struct {
		id   string
		data any
	}{{noticeID, text}, {stagesID, h.cfg.stageRows(st.stages, st.letters, h.cfg.now())}} {
		old := find(all, p.id)
		if f, err := render(p.id, p.id, p.data, old); err == nil {
			*old = f
		}
	}
	return all
}

// onlyCommon returns the fragments that stand on every page.
func onlyCommon(all []fragment) []fragment {
	var out []fragment
	for _, f := range all {
		if f.id == changesID || f.id == noticeID {
			out = append(out, f)
		}
	}
	return out
}

// refresh looks at one patient and pushes what has changed.
func (h *hub) refresh(ctx context.Context, v *view) {
	fragments, series, err := h.cfg.patient(ctx, v.key, v.fragments)
	if err != nil {
		return // the ward's notice says so, or the patient is gone; the page keeps what it has
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var m []byte
	if diff := changed(v.fragments, fragments); len(diff) > 0 {
		m = message("", diff)
	}
	if !bytes.Equal(series, v.series) {
		m = append(m, event("series", strconv.Itoa(h.polls))...)
	}
	v.fragments, v.series = fragments, series
	if len(m) > 0 {
		h.send(m, func(c *client) bool { return c.view == v })
	}
}

// patient renders one patient's page.
func (c *Config) patient(ctx context.Context, k viewKey, old []fragment) ([]fragment, []byte, error) {
	course, err := c.History.Course(ctx, k.patient, hoursTicks(k.hours))
	if err != nil {
		return nil, nil, err
	}
	v := c.patientOf(&course, k.hours, c.now())
	series, err := json.Marshal(v.drawing)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a drawing: %w", err)
	}
	v.drawing = drawing{} // what the templates do not show must not make them differ
	for i := range v.Charts {
		v.Charts[i].points = nil
	}
	var all []fragment
	for _, id := range []string{"who", "flags", "scores", "vitals"} {
		f, err := render(id, id, v, find(old, id))
		if err != nil {
			return nil, nil, err
		}
		all = append(all, f)
	}
	return all, series, nil
}
