package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// looking is a hub that polls when the test says so.
func looking(t *testing.T, f *fakeHistory) *hub {
	t.Helper()
	cfg := testConfig(f)
	h := newHub(&cfg)
	h.begin()
	h.poll(context.Background())
	t.Cleanup(h.stop)
	return h
}

func join(t *testing.T, h *hub, k *viewKey, shows string) *client {
	t.Helper()
	c, err := h.join(k, shows)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// heard returns all that waits for a client.
func heard(c *client) string {
	var b strings.Builder
	for {
		select {
		case m, ok := <-c.out:
			if !ok {
				return b.String() + "(gone)"
			}
			b.Write(m)
		default:
			return b.String()
		}
	}
}

// targets returns which elements messages replace, in order.
func targets(messages string) string {
	var ids []string
	for _, part := range strings.Split(messages, `hx-target="#`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

func TestOnlyWhatChangesIsPushed(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	_, id := h.page()
	c := join(t, h, nil, id)
	if got := heard(c); targets(got) != "" || !strings.HasPrefix(got, "event: beat\ndata: 2026-03-05T12:04:00Z\n\n") {
		t.Fatalf("a page that shows the present was told %q", got)
	}
	h.poll(context.Background())
	if got := heard(c); targets(got) != "" {
		t.Errorf("nothing has changed, and it was told %q", got)
	}
	bed9 := domID("p-", "id-Bed 9", "news2")
	f.change(func(f *fakeHistory) { f.standings[4].Inputs[0].Value = "19" })
	h.poll(context.Background())
	got := heard(c)
	if targets(got) != bed9 || !strings.Contains(got, "19 /min") || !strings.Contains(got, "id: "+h.id()+"\n") {
		t.Errorf("one value has changed, and it was told %q", got)
	}
	f.change(func(f *fakeHistory) { f.standings[3], f.standings[4] = f.standings[4], f.standings[3] })
	h.poll(context.Background())
	if got := heard(c); targets(got) != worklistID {
		t.Errorf("the order has changed, and %q was replaced", targets(got))
	}
	f.change(func(f *fakeHistory) { f.standings = f.standings[:6] })
	h.poll(context.Background())
	if got := targets(heard(c)); got != "worklist summary" {
		t.Errorf("a patient has left, and %q was replaced", got)
	}
}

func TestReconnect(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	_, id := h.page()
	f.change(func(f *fakeHistory) { f.standings[0].Min, f.standings[0].Max = 10, 10 })
	h.poll(context.Background())
	late := targets(heard(join(t, h, nil, id)))
	if late != "worklist notice summary changes stages letters" {
		t.Errorf("a page that shows an earlier state gets %q", late)
	}
	if got := targets(heard(join(t, h, nil, "another-process.7"))); got != late {
		t.Errorf("a page of an earlier process gets %q", got)
	}
	if got := targets(heard(join(t, h, nil, h.id()))); got != "" {
		t.Errorf("a page that has missed nothing gets %q", got)
	}
}

func TestFlagsAreNews(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	ward, patient := join(t, h, nil, h.id()), join(t, h, &viewKey{"id-Bed 1", 8}, "")
	if got := heard(ward); strings.Contains(got, "opened") {
		t.Errorf("Flags that were open when the console began are news: %q", got)
	}
	heard(patient)
	f.change(func(f *fakeHistory) {
		f.flags = append(f.flags[1:], Flag{ID: "flag-7", Patient: "id-Bed 2", Rule: "news2", Opened: at(0), MaxScore: 7})
	})
	h.poll(context.Background())
	for name, c := range map[string]*client{"the ward's page": ward, "another patient's page": patient} {
		got := heard(c)
		if !strings.Contains(got, `Bed 2</a>: NEWS2 Flag <strong>opened</strong>, score 7, since 12:00 UTC`) ||
			!strings.Contains(got, `Bed 4</a>: NEWS2 Flag closed`) {
			t.Errorf("%s was told %q", name, got)
		}
	}
	for i := range 2 * MaxChanges {
		f.change(func(f *fakeHistory) {
			f.flags = append(f.flags, Flag{ID: fmt.Sprint("more", i), Patient: "id-Bed 2", Rule: "news2", Opened: at(0)})
		})
		h.poll(context.Background())
	}
	if len(h.changes) != MaxChanges {
		t.Errorf("%d changes are kept", len(h.changes))
	}
}

func TestPatientsPageIsPushed(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	k := viewKey{"id-Bed 4", 8}
	c := join(t, h, &k, "")
	h.poll(context.Background())
	got := heard(c)
	if targets(got) != "changes notice who flags scores vitals" && targets(got) != "notice changes who flags scores vitals" {
		t.Errorf("first: %q", targets(got))
	}
	if !strings.Contains(got, "event: series\n") {
		t.Error("the page was not told that there is something to draw")
	}
	h.poll(context.Background())
	if got := heard(c); targets(got) != "" || strings.Contains(got, "series") {
		t.Errorf("nothing has changed, and it was told %q", got)
	}
	f.change(func(f *fakeHistory) {
		x := f.courses["id-Bed 4"]
		x.Series[0].Panes[479].Last = "133"
		f.courses["id-Bed 4"] = x
	})
	h.poll(context.Background())
	if got := heard(c); !strings.Contains(targets(got), "vitals") || !strings.Contains(got, "event: series\n") {
		t.Errorf("a value has changed, and it was told %q", targets(got))
	}
	if h.series(k) == nil {
		t.Error("there is no drawing for a page that somebody watches")
	}
	h.leave(c)
	if h.series(k) != nil || len(h.views) != 0 {
		t.Error("a page that nobody watches is kept")
	}
}

// Every page in turn: with more open than one poll looks at, none is left out.
func TestViewsTakeTurns(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	var all []*client
	for _, s := range f.standings[:6] {
		for _, hours := range spans {
			all = append(all, join(t, h, &viewKey{s.Patient, hours}, ""))
		}
	}
	for range (len(all) + viewsPerPoll - 1) / viewsPerPoll {
		h.poll(context.Background())
	}
	for i, c := range all {
		if !strings.Contains(heard(c), "event: series") {
			t.Errorf("page %d was not looked at", i)
		}
	}
}

func TestSlowClientIsDropped(t *testing.T) {
	f := testWard()
	h := looking(t, f)
	slow, quick := join(t, h, nil, ""), join(t, h, nil, "")
	for i := range maxQueued + 1 {
		f.change(func(f *fakeHistory) { f.standings[0].Min, f.standings[0].Max = float64(i), float64(i) })
		h.poll(context.Background())
		heard(quick)
	}
	if got := heard(slow); !strings.HasSuffix(got, "(gone)") {
		t.Error("a client who takes no message is kept")
	}
	if len(h.clients) != 1 || h.dropped != 1 {
		t.Errorf("%d clients, %d dropped", len(h.clients), h.dropped)
	}
	h.leave(slow) // what its handler does on the way out
}

func TestClientsAreBounded(t *testing.T) {
	h := looking(t, testWard())
	for range MaxClients {
		join(t, h, nil, "")
	}
	if _, err := h.join(nil, ""); !errors.Is(err, errFull) {
		t.Errorf("one more got %v", err)
	}
	h.stop()
	for i := range MaxViews {
		h.views[viewKey{fmt.Sprint(i), 8}] = &view{}
	}
	h.begin()
	if _, err := h.join(&viewKey{"x", 8}, ""); !errors.Is(err, errFull) {
		t.Errorf("one more patient's page got %v", err)
	}
}

func TestHistoryFails(t *testing.T) {
	f := testWard()
	var told []error
	cfg := testConfig(f)
	cfg.Failed = func(err error) { told = append(told, err) }
	now := noon
	cfg.Clock = func() time.Time { return now }
	h := newHub(&cfg)
	h.begin()
	h.poll(context.Background())
	c := join(t, h, nil, h.id())
	heard(c)
	broken := errors.New("disk on fire")
	f.change(func(f *fakeHistory) { f.failing = broken })
	now = noon.Add(time.Minute)
	h.poll(context.Background())
	h.poll(context.Background())
	got := heard(c)
	if !strings.Contains(got, "The page shows the state of 12:04:00 UTC.") || strings.Contains(got, "fire") {
		t.Errorf("the page was told %q", got)
	}
	if all, _ := h.page(); !strings.Contains(find(all, worklistID).html, "Bed 4") {
		t.Error("the page forgot the ward")
	}
	f.change(func(f *fakeHistory) { f.failing = nil })
	h.poll(context.Background())
	if got := heard(c); !strings.Contains(got, `<div id="notice" role="alert"></div>`) {
		t.Errorf("the notice stays: %q", got)
	}
	if len(told) != 2 || !errors.Is(told[0], broken) || told[1] != nil {
		t.Errorf("the process was told %v", told)
	}
}

// Every line of a message must be a data line, or the browser would lose it.
func TestMessageFraming(t *testing.T) {
	m := string(message("e.1", []fragment{{id: "a", html: "<p id=\"a\">\n\n  two\r\n lines</p>\n"}}))
	want := "id: e.1\ndata: <hx-partial hx-target=\"#a\" hx-swap=\"outerMorph\"><p id=\"a\">\ndata: two\ndata: lines</p>\ndata: </hx-partial>\n\n"
	if m != want {
		t.Errorf("got  %q\nwant %q", m, want)
	}
}

func BenchmarkPoll(b *testing.B) {
	f := testWard()
	for i := range MaxRows {
		f.standings = append(f.standings, standing(fmt.Sprint("Bed ", 100+i), "low", 2, 2, [7]string{"18", "95", "air", "131", "94", "A", "37.0"}, [7]float64{}, 1, 2, 3))
	}
	cfg := testConfig(f)
	h := newHub(&cfg)
	h.begin()
	for i := 0; b.Loop(); i++ {
		f.standings[3].Min, f.standings[3].Max = float64(i), float64(i)
		h.poll(context.Background())
	}
}
