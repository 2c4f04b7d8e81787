package console

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"auscult/kafka"
	"auscult/schemas"
	"auscult/topology"
)

// StageStatus is how one stage of the river does.
type StageStatus struct {
	Name, About string
	Partitions  int       // that this process has now; 0 when others run the stage
	Lag         int64     // offsets that are not finished
	Records     int64     // finished since the process began
	Message     time.Time // timestamp of the latest finished record; zero when there was none
	// WaitingSince and WaitingFor tell that the stage cannot go on: the other
	// side is down. Zero when it can.
	WaitingSince time.Time
	WaitingFor   string
}

// StagesOf joins the graph with what the drivers of this process say, in the
// river's order.
func StagesOf(g topology.Graph, stats []kafka.PartitionStats, w *Waits) []StageStatus {
	all := make([]StageStatus, len(g))
	for i := range g {
		s := &all[i]
		s.Name, s.About = g[i].Name, g[i].About
		s.WaitingSince, s.WaitingFor = w.of(s.Name)
		for _, p := range stats {
			if p.Stage == s.Name {
				s.add(p)
			}
		}
	}
	return all
}

func (s *StageStatus) add(p kafka.PartitionStats) {
	s.Records += p.Records
	if p.Message.After(s.Message) {
		s.Message = p.Message
	}
	if p.Owned {
		s.Partitions++
		s.Lag += p.Lag()
	}
}

// Waits remembers which stages wait, since when and for what. The zero value
// is ready; a nil one knows of none.
type Waits struct {
	mu    sync.Mutex
	waits map[string]wait
}

type wait struct {
	since time.Time
	what  string
	until time.Time // by then the stage has tried again
}

// waitSlack is how much longer than announced a retry may take before a stage
// that says nothing any more counts as going on.
const waitSlack = 30 * time.Second

// Hooks returns hooks that note what stages wait for and then do what next
// does.
func (w *Waits) Hooks(next kafka.Hooks) kafka.Hooks {
	retry, sent, batch := next.Retry, next.Sent, next.Batch
	next.Retry = func(stage string, err error, pause time.Duration) {
		w.Begin(stage, err.Error(), pause)
		if retry != nil {
			retry(stage, err, pause)
		}
	}
	next.Sent = func(stage string, outputs int, took time.Duration) {
		w.End(stage)
		if sent != nil {
			sent(stage, outputs, took)
		}
	}
	next.Batch = func(stage, topic string, partition int32, records int, took time.Duration) {
		w.End(stage)
		if batch != nil {
			batch(stage, topic, partition, records, took)
		}
	}
	return next
}

// maxWaitBytes is how much of what a stage waits for is shown: servers answer
// with whole pages.
const maxWaitBytes = 240

// Begin notes that a stage waits for something and tries again after pause.
func (w *Waits) Begin(stage, what string, pause time.Duration) {
	if len(what) > maxWaitBytes {
		what = strings.ToValidUTF8(what[:maxWaitBytes], "") + " ..."
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits == nil {
		w.waits = map[string]wait{}
	}
	now := time.Now()
	since := now
	if old, ok := w.waits[stage]; ok && now.Before(old.until) {
		since = old.since
	}
	w.waits[stage] = wait{since: since, what: what, until: now.Add(pause + waitSlack)}
}

// End notes that a stage goes on.
func (w *Waits) End(stage string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waits, stage)
}

func (w *Waits) of(stage string) (since time.Time, what string) {
	if w == nil {
		return since, what
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if x, ok := w.waits[stage]; ok && time.Now().Before(x.until) {
		return x.since, x.what
	}
	return since, what
}

// letters sums the dead letters of one stage.
func letters(all []LetterCount, stage string) (n, late int64, capped bool) {
	for _, c := range all {
		if c.Stage != stage {
			continue
		}
		n += c.N
		capped = capped || c.Capped
		if c.Reason == schemas.ReasonLate {
			late += c.N
		}
	}
	return n, late, capped
}

// byCount orders dead letters for people: the most frequent first.
func byCount(all []LetterCount) []LetterCount {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b LetterCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// stageRow is one line of the table of stages.
type stageRow struct {
	Name, About   string
	Runs          bool // in this process
	Lag, Records  string
	Late, Letters string
	Age           string // when the latest message was; empty when there was none
	Waiting       string // how long; empty when the stage goes on
	For           string
}

func (c *Config) stageRows(all []StageStatus, counts []LetterCount, now time.Time) []stageRow {
	rows := make([]stageRow, len(all))
	for i := range all {
		s := &all[i]
		n, late, capped := letters(counts, s.Name)
		r := stageRow{Name: s.Name, About: s.About, Runs: s.Partitions > 0, Lag: count(s.Lag), Records: count(s.Records),
			Late: count(late), Letters: count(n)}
		if capped {
			r.Letters = "over " + r.Letters
		}
		if !s.Message.IsZero() {
			r.Age = ago(now.Sub(s.Message))
		}
		if !s.WaitingSince.IsZero() {
			r.Waiting, r.For = lasting(calm(now.Sub(s.WaitingSince))), s.WaitingFor
		}
		rows[i] = r
	}
	return rows
}

// ago says when something was.
func ago(d time.Duration) string {
	if d = calm(d); d <= 0 {
		return "now"
	}
	return lasting(d) + " ago"
}

// calm rounds a length of time so that a page need not change each second.
func calm(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Truncate(5 * time.Second)
	}
	return d.Truncate(time.Minute)
}
