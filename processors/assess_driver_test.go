package processors

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"auscult/schemas"
	"auscult/state"
)

// assessDriver is Goka made of maps for one stage: it keeps rows and outputs,
// and finishes every message at once unless told to remember what is owed.
type assessDriver struct {
	t      testing.TB
	stage  *Assess
	rows   map[string][]byte
	offset int64
	out    map[string][]schemas.Out // by topic
	bytes  int                      // of rows written
	writes int
	held   bool // nothing is finished: rows go on owing
	ticks  int
}

func newAssessDriver(t testing.TB, c AssessConfig) *assessDriver {
	return &assessDriver{t: t, stage: NewAssess(c), rows: map[string][]byte{}, out: map[string][]schemas.Out{}}
}

// unusedContext is what no callback of ours calls: it is nil.
type unusedContext = goka.Context

// assessCall is the goka.Context of one callback.
type assessCall struct {
	unusedContext
	d      *assessDriver
	topic  string
	key    string
	offset int64
}

func (c *assessCall) Topic() goka.Stream       { return goka.Stream(c.topic) }
func (c *assessCall) Key() string              { return c.key }
func (c *assessCall) Partition() int32         { return 0 }
func (c *assessCall) Offset() int64            { return c.offset }
func (c *assessCall) Timestamp() time.Time     { return time.Time{} }
func (c *assessCall) Context() context.Context { return c.d.t.Context() }
func (c *assessCall) Headers() goka.Headers    { return nil }
func (c *assessCall) Fail(err error)           { c.d.t.Fatal(err) }

func (c *assessCall) Value() any {
	if row, ok := c.d.rows[c.key]; ok {
		return row
	}
	return nil
}

func (c *assessCall) SetValue(v any, _ ...goka.ContextOption) {
	row := append([]byte(nil), v.([]byte)...)
	c.d.rows[c.key] = row
	c.d.bytes += len(row)
	c.d.writes++
}

func (c *assessCall) Emit(topic goka.Stream, key string, v any, _ ...goka.ContextOption) {
	c.d.out[string(topic)] = append(c.d.out[string(topic)], schemas.Out{Topic: string(topic), Key: key, Value: append([]byte(nil), v.([]byte)...)})
}

// Finished implements Progress.
func (c *assessCall) Finished(string) int64 {
	if c.d.held {
		return 0
	}
	return c.offset
}

// Sent implements Progress.
func (c *assessCall) Sent(string, int64) bool { return !c.d.held }

// window sends one Window record, under the next offset.
func (d *assessDriver) window(w *schemas.Window) {
	d.offset++
	d.again(w, d.offset)
}

// again sends a Window record under an offset of its own choice.
func (d *assessDriver) again(w *schemas.Window, offset int64) {
	b := schemas.Windows.Encode(w)
	d.stage.Window(&assessCall{d: d, topic: schemas.TopicWindows, key: w.Patient, offset: offset}, b)
	clear(b) // the message's memory belongs to the reader
	for {
		row := d.rows[w.Patient]
		if state.RowFlags(row)&state.RowWork == 0 {
			return
		}
		if d.ticks++; d.ticks%2 == 0 {
			d.offset++ // meanwhile other messages get finished
		}
		d.tick(w.Patient, TickWork)
	}
}

func (d *assessDriver) tick(key string, kind TickKind) {
	d.stage.Tick(&assessCall{d: d, topic: schemas.TopicWindows, key: key, offset: d.offset}, kind)
}

// scores decodes what was emitted to topic scores.
func (d *assessDriver) scores() []*schemas.Score {
	var all []*schemas.Score
	for _, o := range d.out[schemas.TopicScores] {
		s, err := schemas.Scores.Decode(o.Value)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// resources decodes what was emitted to topic resources-hot.
func (d *assessDriver) resources() []*schemas.Resource {
	var all []*schemas.Resource
	for _, o := range d.out[schemas.TopicResourcesHot] {
		r, err := schemas.ResourcesHot.Decode(o.Value)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
