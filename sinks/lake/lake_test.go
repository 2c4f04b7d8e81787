package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"auscult/schemas"
)

var start = time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

// message returns a plausible device message.
func message(offset int64) schemas.Raw {
	return schemas.Raw{Topic: schemas.TopicDeviceData, Partition: 3, Offset: offset, Key: []byte("dev-1"),
		Value: fmt.Appendf(nil, `{"hr": %d}`, offset), Timestamp: start.Add(time.Duration(offset) * time.Millisecond)}
}

func messages(from, to int64) []schemas.Raw {
	var all []schemas.Raw
	for o := from; o < to; o++ {
		all = append(all, message(o))
	}
	return all
}

func share(end int64) *schemas.Share {
	return &schemas.Share{Topic: schemas.TopicDeviceData, Partition: 3, Generation: "c1/topic 9", End: end}
}

func open(t *testing.T, folder string) *Zone {
	t.Helper()
	z, err := Open(Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// assign and write fail the test on errors; they return the next offset.
func assign(t *testing.T, z *Zone, s *schemas.Share) int64 {
	t.Helper()
	next, err := z.Assigned(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func write(t *testing.T, z *Zone, records []schemas.Raw) int64 {
	t.Helper()
	next, err := z.Write(t.Context(), schemas.Batch{Share: share(1 << 40), Records: records})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// readAll returns the records of the only partition below a folder.
func readAll(t *testing.T, folder string) []schemas.Raw {
	t.Helper()
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Partitions) != 1 {
		t.Fatalf("%d partitions", len(f.Partitions))
	}
	records, err := collect(f.Partitions[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func collect(p *Partition, from int64) (records []schemas.Raw, err error) {
	for r, err := range p.Records(context.Background(), from) {
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}

func same(t *testing.T, got, want []schemas.Raw) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !g.Timestamp.Equal(w.Timestamp) {
			t.Errorf("offset %d: timestamp %s, want %s", w.Offset, g.Timestamp, w.Timestamp)
		}
		g.Timestamp = w.Timestamp
		if !reflect.DeepEqual(g, w) {
			t.Errorf("got  %+v\nwant %+v", g, w)
		}
	}
}

// names returns the files below a folder, temporary ones too.
func names(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(folder, path)
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	headers := func(h ...schemas.Header) func(*schemas.Raw) { return func(r *schemas.Raw) { r.Headers = h } }
	cases := []struct {
		name   string
		change func(*schemas.Raw)
	}{
		{"plain", func(*schemas.Raw) {}},
		{"no key", func(r *schemas.Raw) { r.Key = nil }},
		{"empty key", func(r *schemas.Raw) { r.Key = []byte{} }},
		{"key that is no text", func(r *schemas.Raw) { r.Key = []byte{0xff, 0, 1} }},
		{"tombstone", func(r *schemas.Raw) { r.Value = nil }},
		{"empty body", func(r *schemas.Raw) { r.Value = []byte{} }},
		{"binary body", func(r *schemas.Raw) { r.Value = []byte{0, 0xff, 0xc3, 1} }},
		{"headers in order", headers(schemas.Header{Key: "a", Value: []byte("1")}, schemas.Header{Key: "b", Value: []byte{}})},
		{"headers out of order", headers(schemas.Header{Key: "b", Value: []byte("1")}, schemas.Header{Key: "a", Value: []byte("2")})},
		{"one header twice", headers(schemas.Header{Key: "a", Value: []byte("1")}, schemas.Header{Key: "a", Value: []byte("2")})},
		{"null header", headers(schemas.Header{Key: "a"}, schemas.Header{Key: "b", Value: []byte{}})},
		{"header without name", headers(schemas.Header{Key: "", Value: []byte("x")})},
		{"header name that is no text", headers(schemas.Header{Key: "\xff", Value: []byte("x")})},
		{"headers like system properties", headers(schemas.Header{Key: "x-opt-partition-key", Value: []byte("spoof")}, schemas.Header{Key: "auscult-headers", Value: []byte{0xff}})},
		{"AMQP header", headers(schemas.Header{Key: "iothub-connection-device-id", Value: []byte("\xa1\x03dev")})},
		{"before 1970", func(r *schemas.Raw) { r.Timestamp = time.Date(1931, 1, 1, 0, 0, 0, 1_000_000, time.UTC) }},
		{"no timestamp", func(r *schemas.Raw) { r.Timestamp = time.UnixMilli(-1) }},
		{"year 9999", func(r *schemas.Raw) { r.Timestamp = schemas.MaxTicks.Time().Truncate(time.Millisecond) }},
	}
	folder := t.TempDir()
	var want []schemas.Raw
	for i, c := range cases {
		r := message(int64(i))
		c.change(&r)
		want = append(want, r)
	}
	write(t, open(t, folder), want)
	same(t, readAll(t, folder), want)
}

func TestRandomHeadersRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var want []schemas.Raw
	for i := range int64(2500) {
		r := message(i)
		for range rng.IntN(5) {
			h := schemas.Header{Key: string(rune('a' + rng.IntN(3))), Value: make([]byte, rng.IntN(300))}
			if rng.IntN(8) == 0 {
				h.Value = nil
			}
			r.Headers = append(r.Headers, h)
		}
		want = append(want, r)
	}
	folder := t.TempDir()
	write(t, open(t, folder), want)
	same(t, readAll(t, folder), want)
}

func TestLayout(t *testing.T) {
	folder := t.TempDir()
	z := open(t, folder)
	if next := assign(t, z, share(100)); next != -1 {
		t.Errorf("an empty zone goes on at %d", next)
	}
	if next := write(t, z, messages(7, 10)); next != 10 {
		t.Errorf("next is %d", next)
	}
	if next := write(t, z, messages(10, 11)); next != 11 {
		t.Errorf("next is %d", next)
	}
	want := []string{"c1%2Ftopic%209/00003/00000000000000000007.avro", "c1%2Ftopic%209/00003/00000000000000000010.avro"}
	if got := names(t, folder); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if next := assign(t, open(t, folder), share(100)); next != 11 {
		t.Errorf("after a restart next is %d", next)
	}
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Partitions[0]; p.Generation != "c1/topic 9" || p.Number != 3 || p.Files() != 2 || len(f.Generations()) != 1 {
		t.Errorf("got %+v", p)
	}
}

// Any Avro reader must see Capture's schema and values.
func TestGoavroReadsItAsCapture(t *testing.T) {
	folder := t.TempDir()
	r := message(12)
	r.Headers = []schemas.Header{{Key: "a", Value: []byte("first")}, {Key: "a", Value: []byte("last")}}
	write(t, open(t, folder), []schemas.Raw{r})
	in, err := os.Open(filepath.Join(folder, names(t, folder)[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ocf, err := goavro.NewOCFReader(in)
	if err != nil {
		t.Fatal(err)
	}
	if !ocf.Scan() {
		t.Fatal(ocf.Err())
	}
	event, err := ocf.Read()
	if err != nil {
		t.Fatal(err)
	}
	got := event.(map[string]any)
	if got["SequenceNumber"] != int64(12) || got["Offset"] != "12" || got["EnqueuedTimeUtc"] != "3/4/2026 5:06:07 AM" {
		t.Errorf("got %v", got)
	}
	if key := got["SystemProperties"].(map[string]any)[propertyKey]; !reflect.DeepEqual(key, goavro.Union("string", "dev-1")) {
		t.Errorf("key %v", key)
	}
	if a := got["Properties"].(map[string]any)["a"]; !reflect.DeepEqual(a, goavro.Union("bytes", []byte("last"))) {
		t.Errorf("property %v", a)
	}
	if body := got["Body"]; !reflect.DeepEqual(body, goavro.Union("bytes", r.Value)) {
		t.Errorf("body %v", body)
	}
	if ocf.Scan() {
		t.Error("a second record")
	}
}

// Samples of Capture readers take files of at most 508 bytes for empty.
func TestHeaderStaysShort(t *testing.T) {
	codec, err := goavro.NewCodec(eventData)
	if err != nil {
		t.Fatal(err)
	}
	var ours, plain bytes.Buffer
	if err := encode(&ours, codec, messages(9_999_999_999_999_999, 10_000_000_000_000_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &plain, Codec: codec}); err != nil {
		t.Fatal(err)
	}
	ocf, err := goavro.NewOCFReader(&ours)
	if err != nil {
		t.Fatal(err)
	}
	extra := len(goavro.CompressionDeflateLabel) - len(goavro.CompressionNullLabel)
	for name, value := range ocf.MetaData() {
		if !strings.HasPrefix(name, "avro.") {
			extra += 2 + len(name) + len(value)
		}
	}
	if plain.Len()+extra > 508 || extra >= 26 {
		t.Errorf("an empty file has %d bytes, ours adds %d", plain.Len(), extra)
	}
}

// A crash after the temporary file and before the link leaves nothing to read,
// and the same records are written again.
func TestG13CrashBeforeLink(t *testing.T) {
	folder := t.TempDir()
	write(t, open(t, folder), messages(0, 5))
	partition := filepath.Join(folder, "c1%2Ftopic%209", "00003")
	old, young := filepath.Join(partition, tempPrefix+"1"), filepath.Join(partition, tempPrefix+"2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half a file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	z := open(t, folder)
	if next := assign(t, z, share(100)); next != 5 {
		t.Fatalf("next is %d", next)
	}
	write(t, z, messages(5, 8))
	same(t, readAll(t, folder), messages(0, 8))
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("what the crash left is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("the file of somebody who may still be writing is gone")
	}
}

// The owner before has written fewer records of the same beginning.
func TestG13ShorterFileOfAZombie(t *testing.T) {
	folder := t.TempDir()
	zombie, owner := open(t, folder), open(t, folder)
	write(t, zombie, messages(0, 10))
	if next := assign(t, owner, share(100)); next != 10 {
		t.Fatalf("next is %d", next)
	}
	write(t, zombie, messages(10, 13))
	if next := write(t, owner, messages(10, 20)); next != 20 {
		t.Errorf("the owner's next is %d", next)
	}
	if next := write(t, zombie, messages(13, 15)); next != 20 {
		t.Errorf("the zombie's next is %d", next)
	}
	if next := write(t, zombie, messages(15, 18)); next != 20 {
		t.Errorf("a batch that is stored already: next is %d", next)
	}
	same(t, readAll(t, folder), messages(0, 20))
	if got := len(names(t, folder)); got != 3 {
		t.Errorf("%d files", got)
	}
}

// Between the two owners the topic loses records, so they begin with different
// ones. They must still meet under one name.
func TestG13OwnersMeetAtOnePositionDespiteAGap(t *testing.T) {
	folder := t.TempDir()
	zombie, owner := open(t, folder), open(t, folder)
	write(t, zombie, messages(0, 10))
	assign(t, owner, share(100))
	write(t, zombie, messages(12, 30))
	if next := write(t, owner, messages(15, 40)); next != 40 {
		t.Errorf("next is %d", next)
	}
	same(t, readAll(t, folder), append(messages(0, 10), messages(12, 40)...))
}

func TestG13ManyOwnersAtOnce(t *testing.T) {
	folder := t.TempDir()
	var wg sync.WaitGroup
	for seed := range uint64(6) {
		wg.Go(func() {
			z, err := Open(Config{Folder: folder})
			if err != nil {
				t.Error(err)
				return
			}
			rng := rand.New(rand.NewPCG(seed, 3))
			for at := int64(0); at < 200; {
				end := min(at+1+rng.Int64N(20), 200)
				next, err := z.Write(context.Background(), schemas.Batch{Share: share(200), Records: messages(at, end)})
				if err != nil {
					t.Error(err)
					return
				}
				at = max(next, end)
			}
		})
	}
	wg.Wait()
	same(t, readAll(t, folder), messages(0, 200))
	for _, name := range names(t, folder) {
		if strings.Contains(name, tempPrefix) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestFilesAreCut(t *testing.T) {
	for name, cfg := range map[string]Config{"by records": {MaxFileRecords: 4}, "by bytes": {MaxFileBytes: 4 * len(`dev-1{"hr": 0}`)}} {
		cfg.Folder = t.TempDir()
		z, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if next := write(t, z, messages(0, 10)); next != 10 {
			t.Errorf("%s: next is %d", name, next)
		}
		if got := len(names(t, cfg.Folder)); got != 3 {
			t.Errorf("%s: %d files", name, got)
		}
		same(t, readAll(t, cfg.Folder), messages(0, 10))
	}
}

func TestFitting(t *testing.T) {
	big := schemas.Raw{Value: make([]byte, 100), Headers: []schemas.Header{{Key: "k", Value: make([]byte, 9)}}}
	records := []schemas.Raw{big, big, big}
	for _, c := range []struct{ maxRecords, maxBytes, want int }{{9, 1000, 3}, {2, 1000, 2}, {9, 220, 2}, {9, 219, 1}, {9, 1, 1}, {1, 1000, 1}} {
		if got := fitting(records, c.maxRecords, c.maxBytes); got != c.want {
			t.Errorf("%d records, %d bytes: %d, want %d", c.maxRecords, c.maxBytes, got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	folder := t.TempDir()
	z := open(t, folder)
	write(t, z, messages(0, 10))
	ctx := t.Context()
	shorter := share(9)
	shorter.AssignedAt = time.Now()
	if next, err := z.Assigned(ctx, shorter); err != nil || next != 10 {
		t.Errorf("G13: the owner before has just written: %d, %v", next, err)
	}
	shorter.AssignedAt = time.Now().Add(2 * handover)
	if _, err := z.Assigned(ctx, shorter); err == nil || !strings.Contains(err.Error(), "source.generation") {
		t.Errorf("G6: a topic that ends before the raw zone: %v", err)
	}
	if _, err := z.Assigned(ctx, &schemas.Share{Topic: schemas.TopicWindows, Generation: "g"}); err == nil {
		t.Error("it took windows")
	}
	for _, generation := range []string{"", ".", ".."} {
		s := share(9)
		s.Generation = generation
		if _, err := z.Assigned(ctx, s); err == nil {
			t.Errorf("generation %q made a folder", generation)
		}
		if _, err := z.Write(ctx, schemas.Batch{Share: s, Records: messages(0, 1)}); err == nil {
			t.Errorf("generation %q made a folder", generation)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := z.Write(ended, schemas.Batch{Share: share(99), Records: messages(10, 11)}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	err := Config{MaxFileRecords: -1, MaxFileBytes: -1}.Validate()
	for _, option := range []string{"folder", "maxFileRecords", "maxFileBytes"} {
		if err == nil || !strings.Contains(err.Error(), option) {
			t.Errorf("%s is not named in %v", option, err)
		}
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("it opened no folder")
	}
}

// A new topic under the same name begins at 0 again, in a folder of its own.
func TestG6GenerationsStayApart(t *testing.T) {
	folder := t.TempDir()
	z := open(t, folder)
	write(t, z, messages(0, 3))
	next := share(99)
	next.Generation = "c1/next"
	if at := assign(t, z, next); at != -1 {
		t.Errorf("the new topic goes on at %d", at)
	}
	if _, err := z.Write(t.Context(), schemas.Batch{Share: next, Records: messages(0, 2)}); err != nil {
		t.Fatal(err)
	}
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Generations(); !reflect.DeepEqual(got, []string{"c1/next", "c1/topic 9"}) {
		t.Errorf("got %v", got)
	}
}

func TestEncodeStopsWithItsWriter(t *testing.T) {
	codec, err := goavro.NewCodec(eventData)
	if err != nil {
		t.Fatal(err)
	}
	if err := encode(full{}, codec, messages(0, 1)); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func BenchmarkWrite(b *testing.B) {
	folder := b.TempDir()
	z, err := Open(Config{Folder: folder})
	if err != nil {
		b.Fatal(err)
	}
	const n = 10_000
	at := int64(0)
	for b.Loop() {
		if _, err := z.Write(context.Background(), schemas.Batch{Share: share(1 << 40), Records: messages(at, at+n)}); err != nil {
			b.Fatal(err)
		}
		at += n
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
