package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"auscult/schemas"
)

// capture writes a file as Event Hubs does.
func capture(t *testing.T, folder, path string, events ...map[string]any) {
	t.Helper()
	var b bytes.Buffer
	ocf, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: eventData})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := ocf.Append([]any{e}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(folder, path), b.Bytes())
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func captured(number int64) map[string]any {
	return map[string]any{"SequenceNumber": number, "Offset": fmt.Sprint(number * 400), "EnqueuedTimeUtc": "10/22/2025 9:15:07 AM",
		"SystemProperties": map[string]any{}, "Properties": map[string]any{}, "Body": goavro.Union("bytes", []byte("{}"))}
}

func TestCaptureFiles(t *testing.T) {
	folder := t.TempDir()
	e := captured(41)
	e["SystemProperties"] = map[string]any{
		"x-opt-partition-key":         goavro.Union("string", "dev-7"),
		"x-opt-sequence-number":       goavro.Union("long", 41),
		"x-opt-offset":                goavro.Union("string", "16400"),
		"iothub-connection-device-id": goavro.Union("string", "dev-7"),
	}
	long := strings.Repeat("x", 300)
	e["Properties"] = map[string]any{
		"count": goavro.Union("long", 5), "ratio": goavro.Union("double", 0.5), "raw": goavro.Union("bytes", []byte("as sent")),
		"text": goavro.Union("string", "a"), "long": goavro.Union("string", long),
	}
	capture(t, folder, "ns/hub/11/2025/10/22/09/15/07.avro", e)
	capture(t, folder, "ns/hub/11/2025/10/22/09/20/07.avro") // idle
	capture(t, folder, "ns/hub/11/2025/10/22/10/00/00.avro", captured(43))
	capture(t, folder, "ns/hub/2/2025/10/22/09/15/07.avro", captured(1))
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Partitions) != 2 || f.Partitions[0].Number != 2 || f.Partitions[1].Number != 11 || f.Partitions[0].Generation != "ns/hub" {
		t.Fatalf("got %+v %+v", f.Partitions[0], f.Partitions[1])
	}
	got, err := collect(f.Partitions[1], 0)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2025, 10, 22, 9, 15, 7, 0, time.UTC)
	same(t, got, []schemas.Raw{
		{Topic: schemas.TopicDeviceData, Partition: 11, Offset: 41, Key: []byte("dev-7"), Value: []byte("{}"), Timestamp: at, Headers: []schemas.Header{
			{Key: "iothub-connection-device-id", Value: []byte("\xa1\x05dev-7")},
			{Key: "count", Value: []byte{0x81, 0, 0, 0, 0, 0, 0, 0, 5}},
			{Key: "long", Value: append([]byte{0xb1, 0, 0, 1, 0x2c}, long...)},
			{Key: "ratio", Value: []byte{0x82, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0}},
			{Key: "raw", Value: []byte("as sent")},
			{Key: "text", Value: []byte("\xa1\x01a")},
		}},
		{Topic: schemas.TopicDeviceData, Partition: 11, Offset: 43, Value: []byte("{}"), Timestamp: at},
	})
}

func TestCaptureTimes(t *testing.T) {
	want := time.Date(2025, 10, 22, 21, 15, 7, 0, time.UTC)
	for _, text := range []string{"10/22/2025 9:15:07 PM", "10/22/2025 21:15:07", "2025-10-22T21:15:07Z", "2025-10-22T21:15:07.0000000Z",
		"2025-10-22T23:15:07+02:00", "2025-10-22 21:15:07", "2025-10-22T21:15:07"} {
		if got, err := timeOf(nil, text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []any{"yesterday", "", nil, int64(3)} {
		if _, err := timeOf(nil, text); err == nil {
			t.Errorf("%v was read as a time", text)
		}
	}
}

// A sequence number that goes back is another hub; skipping would lose it.
func TestCaptureOfAHubMadeAgain(t *testing.T) {
	folder := t.TempDir()
	capture(t, folder, "ns/hub/0/2025/10/22/09/15/07.avro", captured(7), captured(8))
	capture(t, folder, "ns/hub/0/2025/10/22/09/20/07.avro", captured(0))
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect(f.Partitions[0], 0)
	var damaged *FileError
	if len(got) != 2 || !errors.As(err, &damaged) || !strings.HasSuffix(damaged.Path, "20/07.avro") {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestRecordsFrom(t *testing.T) {
	folder := t.TempDir()
	z := open(t, folder)
	write(t, z, messages(0, 10))
	write(t, z, messages(10, 20))
	// The first file is damaged, but nothing of it is asked for.
	first := filepath.Join(folder, names(t, folder)[0])
	b, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, b[:len(b)-1])
	// Generation and partition are read from the folder's own path.
	f, err := List(filepath.Dir(first))
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Partitions[0]; p.Generation != "c1/topic 9" || p.Number != 3 {
		t.Errorf("got %+v", p)
	}
	got, err := collect(f.Partitions[0], 12)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, messages(12, 20))
	if _, err := collect(f.Partitions[0], 9); err == nil {
		t.Error("the damaged file was read")
	}
}

func TestReadingStops(t *testing.T) {
	folder := t.TempDir()
	write(t, open(t, folder), messages(0, 10))
	f, err := List(folder)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range f.Partitions[0].Records(t.Context(), 0) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d records", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range f.Partitions[0].Records(ctx, 0) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

// A copy under any name holds what the file holds; only a name that says so
// tells of which partition.
func TestFile(t *testing.T) {
	folder, copies := t.TempDir(), t.TempDir()
	write(t, open(t, folder), messages(4, 9))
	ours := filepath.Join(folder, names(t, folder)[0])
	capture(t, folder, "ns/hub/11/2025/10/22/09/15/07.avro", captured(41), captured(43))
	captures := filepath.Join(folder, "ns/hub/11/2025/10/22/09/15/07.avro")
	for _, test := range []struct {
		path      string
		partition int32
		offsets   []int64
	}{{ours, 3, []int64{4, 5, 6, 7, 8}}, {captures, 11, []int64{41, 43}}} {
		b, err := os.ReadFile(test.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"download (1).avro", "07.avro", "events", ".hidden"} {
			copied := filepath.Join(copies, name)
			put(t, copied, b)
			sameOffsets(t, copied, UnknownPartition, test.offsets)
			put(t, copied, b[:len(b)-1])
			if _, err := collect(single(t, copied), 0); err == nil || !strings.Contains(err.Error(), copied) {
				t.Errorf("%s is cut, but: %v", copied, err)
			}
		}
		sameOffsets(t, test.path, test.partition, test.offsets)
	}
	if _, err := collect(single(t, filepath.Join(copies, "none")), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func single(t *testing.T, path string) *Partition {
	t.Helper()
	p, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sameOffsets(t *testing.T, path string, partition int32, want []int64) {
	t.Helper()
	p := single(t, path)
	records, err := collect(p, 0)
	var got []int64
	for _, r := range records {
		got = append(got, r.Offset)
		if r.Partition != partition || r.Timestamp.IsZero() || len(r.Value) == 0 {
			t.Errorf("%s: got %+v", path, r)
		}
	}
	if err != nil || p.Number != partition || p.Files() != 1 || !slices.Equal(got, want) {
		t.Errorf("%s: partition %d, %v, %v; want %d, %v", path, p.Number, got, err, partition, want)
	}
}

// A copy of ours that was cut between two blocks has the header to tell it by.
func TestFileCutBetweenBlocks(t *testing.T) {
	folder := t.TempDir()
	write(t, open(t, folder), messages(0, 2*blockRecords))
	b, err := os.ReadFile(filepath.Join(folder, names(t, folder)[0]))
	if err != nil {
		t.Fatal(err)
	}
	between := bytes.Index(b[500:], b[len(b)-16:]) + 500 + 16 // behind the first block
	path := filepath.Join(folder, "copy")
	put(t, path, b[:between])
	if got, err := collect(single(t, path), 0); len(got) != blockRecords || err == nil || !strings.Contains(err.Error(), "it is cut") {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// No cut file passes for whole, wherever the cut is.
func TestCutFiles(t *testing.T) {
	codec, err := goavro.NewCodec(eventData)
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := encode(&whole, codec, messages(0, 2*blockRecords)); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "g", "00003", fileName(0))
	step := max(1, whole.Len()/100)
	between := bytes.Index(whole.Bytes()[500:], whole.Bytes()[whole.Len()-16:]) + 500 + 16 // behind the first block
	for _, n := range append(steps(whole.Len(), step), between) {
		put(t, path, whole.Bytes()[:n])
		if _, err := end(file{path: path, ours: true, partition: 3}); err == nil {
			t.Fatalf("the first %d of %d bytes pass for whole", n, whole.Len())
		}
		var damaged *FileError
		if _, err := open(t, folder).Assigned(t.Context(), &schemas.Share{Topic: schemas.TopicDeviceData, Partition: 3, Generation: "g", End: 1 << 40}); !errors.As(err, &damaged) {
			t.Fatalf("%d bytes: Assigned says %v", n, err)
		}
	}
}

func steps(end, step int) []int {
	var all []int
	for n := 0; n < end; n += step {
		all = append(all, n)
	}
	return append(all, end-1)
}

func TestForeignFiles(t *testing.T) {
	type change func(t *testing.T, folder string)
	write1 := func(path, text string) change {
		return func(t *testing.T, folder string) { put(t, filepath.Join(folder, path), []byte(text)) }
	}
	container := func(path, schema string, event any) change {
		return func(t *testing.T, folder string) {
			var b bytes.Buffer
			ocf, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &b, Schema: schema, MetaData: map[string][]byte{metaLast: []byte("0")}})
			if err != nil {
				t.Fatal(err)
			}
			if err := ocf.Append([]any{event}); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(folder, path), b.Bytes())
		}
	}
	named := "g/00000/00000000000000000000.avro"
	cases := []struct {
		name, says string
		make       change
	}{
		{"nothing", "there is no .avro file", func(*testing.T, string) {}},
		{"unknown path", "its path is neither", write1("notes.avro", "")},
		{"empty file", "no Avro container", write1(named, "")},
		{"text", "no Avro container", write1(named, "not Avro at all, just text")},
		{"other schema", "not of Capture's types", container(named, `{"type":"record","name":"X","fields":[{"name":"a","type":"long"}]}`, map[string]any{"a": 1})},
		{"no record", "it is no record", container(named, `"long"`, 1)},
		{"another's name", "lies before its name", func(t *testing.T, folder string) {
			write(t, open(t, folder), messages(5, 6))
			if err := os.Rename(filepath.Join(folder, names(t, folder)[0]), filepath.Join(folder, "c1%2Ftopic%209", "00003", fileName(6))); err != nil {
				t.Fatal(err)
			}
		}},
		{"Capture under our name", "lacks the entry", func(t *testing.T, folder string) { capture(t, folder, named, captured(0)) }},
		{"offsets go back", "offset 3 stands behind 4", func(t *testing.T, folder string) {
			capture(t, folder, "ns/hub/0/2025/10/22/09/15/07.avro", captured(4), captured(3))
		}},
		{"no time", "EnqueuedTimeUtc", func(t *testing.T, folder string) {
			e := captured(4)
			e["EnqueuedTimeUtc"] = "soon"
			capture(t, folder, "ns/hub/0/2025/10/22/09/15/07.avro", e)
		}},
		{"damaged headers", "auscult-headers", func(t *testing.T, folder string) {
			e := captured(4)
			e["SystemProperties"] = map[string]any{propertyHeaders: goavro.Union("bytes", []byte{9, 'a'})}
			capture(t, folder, "ns/hub/0/2025/10/22/09/15/07.avro", e)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			c.make(t, folder)
			f, err := List(folder)
			if err == nil {
				_, err = collect(f.Partitions[0], 0)
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	write(t, open(t, folder), messages(0, 2))
	for _, name := range []string{"_SUCCESS", ".part.avro", "_delta_log/0.avro", "notes.txt", ".snapshot/x.avro"} {
		put(t, filepath.Join(folder, name), []byte("x"))
	}
	same(t, readAll(t, folder), messages(0, 2))
}

func TestDamagedHeaderLists(t *testing.T) {
	whole := appendHeaders(nil, []schemas.Header{{Key: "ab", Value: []byte("c")}, {Key: "d"}})
	headers, err := readHeaders(whole)
	if err != nil || !reflect.DeepEqual(headers, []schemas.Header{{Key: "ab", Value: []byte("c")}, {Key: "d"}}) {
		t.Fatalf("got %v, %v", headers, err)
	}
	ends := map[int]bool{0: true, 5: true, len(whole): true} // between two headers
	for n := range whole {
		if _, err := readHeaders(whole[:n]); (err == nil) != ends[n] {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := readHeaders(bytes.Repeat([]byte{0xff}, 20)); err == nil {
		t.Error("an endless length was read")
	}
}

// A range without a beginning must be known as such (rule G12).
func TestCaptureFilesBeginWithTheirFirstRecord(t *testing.T) {
	for first, want := range map[int64]bool{0: true, 41: false} {
		folder := t.TempDir()
		capture(t, folder, "space/hub/0/2025/10/22/09/10/00.avro") // Capture writes empty files too
		capture(t, folder, "space/hub/0/2025/10/22/09/15/00.avro", captured(first))
		f, err := List(folder)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Partitions[0].Begins(); got != want {
			t.Errorf("files from %d on begin with the topic: %v", first, got)
		}
	}
}
