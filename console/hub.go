package console

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limits of what is pushed and to whom.
const (
	// MaxClients is how many browsers may listen at once.
	MaxClients = 256
	// MaxViews is how many patients' pages are kept up to date at once.
	MaxViews = 64
	// viewsPerPoll bounds the work of one poll; with more pages open, each is
	// looked at less often.
	viewsPerPoll = 8
	// maxQueued is how many messages wait for one client. One who does not take
	// them is dropped; when he comes again he gets all at once.
	maxQueued = 16
	// MaxChanges is how many opened and closed Flags the page lists.
	MaxChanges = 8
	// MaxRows is how many standings the worklist shows.
	MaxRows = 200
)

// How often the hub looks.
const (
	pollEvery    = time.Second
	pollTimeout  = 5 * time.Second
	lettersEvery = 10 // polls: counting dead letters costs more than the rest
	beatEvery    = 5  // polls
	// pollShare is how many times longer than its work the hub rests: the
	// console must not take the machine from the river.
	pollShare = 10
)

var errFull = errors.New("too many browsers are connected")

// hub asks the history once for all who watch. Everything below mu is shared;
// the rest belongs to the goroutine of Run.
type hub struct {
	cfg *Config

	polls   int
	letters []LetterCount
	known   map[string]change // open Flags, as of the last poll; nil before the first
	changes []change

	mu      sync.Mutex
	running bool
	epoch   string
	seq     int64
	ward    []fragment
	state   state
	clients map[*client]struct{}
	views   map[viewKey]*view
	dropped int64
}

// state is what metrics and probes say.
type state struct {
	polled   time.Time // last success
	failing  error
	letters  []LetterCount
	stages   []StageStatus
	shown    Freshness
	flags    [2]int // clinical, technical
	pollTook time.Duration
}

// client is one browser that listens.
type client struct {
	out  chan []byte // closed when the client is dropped
	view *view       // nil on the ward's page
}

// viewKey is one patient's page.
type viewKey struct {
	patient string
	hours   int
}

// view is a patient's page that somebody looks at.
type view struct {
	key       viewKey
	watchers  int
	polled    int // number of the poll that looked last
	fragments []fragment
	series    []byte // the drawing, JSON
}

func newHub(cfg *Config) *hub {
	h := &hub{cfg: cfg, clients: map[*client]struct{}{}, views: map[viewKey]*view{}}
	var err error
	if h.ward, err = h.render(ward{}, &state{}, cfg.now()); err != nil {
		panic("console: " + err.Error()) // an embedded template is broken
	}
	return h
}

// run polls until ctx ends, then lets everybody go.
func (h *hub) run(ctx context.Context) {
	h.begin()
	defer h.stop()
	for ctx.Err() == nil {
		began := time.Now()
		h.poll(ctx)
		rest := time.NewTimer(max(pollEvery, pollShare*time.Since(began)))
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		rest.Stop()
	}
}

func (h *hub) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = true
	h.epoch = strconv.FormatInt(h.cfg.now().UnixMilli(), 36)
}

func (h *hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = false
	for c := range h.clients {
		h.drop(c)
	}
}

// drop lets a client go; mu is held.
func (h *hub) drop(c *client) {
	if _, ok := h.clients[c]; !ok {
		return
	}
	delete(h.clients, c)
	close(c.out)
	if c.view != nil {
		if c.view.watchers--; c.view.watchers == 0 {
			delete(h.views, c.view.key)
		}
	}
}

// poll looks once and pushes what has changed.
func (h *hub) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	began := time.Now()
	now, st, err := h.look(ctx)
	st.pollTook = time.Since(began)
	if ctx.Err() != nil && err == nil {
		err = ctx.Err()
	}
	h.publish(now, st, err)
	for _, v := range h.due() {
		h.refresh(ctx, v)
	}
	h.polls++
}

// publish makes what was seen the present and pushes the difference.
func (h *hub) publish(now []fragment, st state, failing error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if failing != nil {
		st.letters, st.polled, st.shown, st.flags = h.state.letters, h.state.polled, h.state.shown, h.state.flags
		now = h.withNotice(&st)
	}
	if (failing == nil) != (h.state.failing == nil) && h.cfg.Failed != nil {
		h.cfg.Failed(failing)
	}
	st.failing = failing
	h.state = st
	diff := changed(h.ward, now)
	h.ward = now
	common := onlyCommon(diff)
	if len(diff) > 0 {
		h.seq++
		h.send(message(h.id(), diff), func(c *client) bool { return c.view == nil })
	}
	if len(common) > 0 {
		h.send(message("", common), func(c *client) bool { return c.view != nil })
	}
	if h.polls%beatEvery == 0 {
		h.send(beat(h.cfg.now()), func(*client) bool { return true })
	}
}

// id names the present state of the ward; mu is held.
func (h *hub) id() string { return h.epoch + "." + strconv.FormatInt(h.seq, 10) }

// send queues a message for some clients; one who has not taken those before is
// dropped. mu is held.
func (h *hub) send(m []byte, to func(*client) bool) {
	for c := range h.clients {
		if !to(c) {
			continue
		}
		select {
		case c.out <- m:
		default:
			h.dropped++
			h.drop(c)
		}
	}
}

// due returns the views to look at in this poll: those not looked at for
// longest.
func (h *hub) due() []*view {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.Collect(maps.Values(h.views))
	slices.SortFunc(all, func(a, b *view) int { return a.polled - b.polled })
	all = all[:min(viewsPerPoll, len(all))]
	for _, v := range all {
		v.polled = h.polls
	}
	return all
}

// join adds a client. Its first message is all that differs from the state that
// it says it shows.
func (h *hub) join(k *viewKey, shows string) (*client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running || len(h.clients) >= MaxClients {
		return nil, errFull
	}
	c := &client{out: make(chan []byte, maxQueued)}
	if k != nil {
		v := h.views[*k]
		if v == nil {
			if len(h.views) >= MaxViews {
				return nil, errFull
			}
			v = &view{key: *k, polled: -1}
			h.views[*k] = v
		}
		v.watchers++
		c.view = v
	}
	h.clients[c] = struct{}{}
	c.out <- h.greeting(c, shows)
	return c, nil
}

// greeting brings a client up to date; mu is held.
func (h *hub) greeting(c *client, shows string) []byte {
	m := beat(h.cfg.now())
	switch {
	case c.view != nil:
		all := append(onlyCommon(h.ward), c.view.fragments...)
		if len(all) > 0 {
			m = append(m, message("", all)...)
		}
		if len(c.view.series) > 0 {
			m = append(m, event("series", "now")...)
		}
	case shows != h.id() && len(h.ward) > 0:
		m = append(m, message(h.id(), h.ward)...)
	}
	return m
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(c)
}

// page returns the ward as it is, and the name of that state.
func (h *hub) page() (all []fragment, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ward, h.id()
}

// series returns the drawing of a page that somebody watches, nil when nobody
// does.
func (h *hub) series(k viewKey) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := h.views[k]; v != nil {
		return v.series
	}
	return nil
}
