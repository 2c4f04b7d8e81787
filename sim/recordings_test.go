package sim

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"iter"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const data = "../../shared/data/"

// TestBIDMC reads all recordings: every row once, every cell that holds a
// value, in order of time.
func TestBIDMC(t *testing.T) {
	if _, err := os.Stat(data + "bidmc/bidmc_01_Numerics.csv"); err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	messages, err := BIDMC(os.DirFS(data + "bidmc"))
	if err != nil {
		t.Fatal(err)
	}
	rows, cells := 0, 0
	devices := map[string]bool{}
	var last time.Time // one recording begins a second before zero
	for m := range messages {
		var body map[string]json.RawMessage
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		if m.At.Before(last) {
			t.Fatalf("%s after %s", m.At, last)
		}
		last = m.At
		rows++
		cells += len(body) - 2
		devices[m.Device] = true
	}
	if rows != 25_493 || cells != 4*25_493-413 || len(devices) != 53 || !devices["bidmc-01"] || !devices["bidmc-53"] {
		t.Errorf("%d rows, %d cells, %d devices", rows, cells, len(devices))
	}
}

func TestBIDMCMessage(t *testing.T) {
	dir := fstest.MapFS{
		"bidmc_02_Numerics.csv": {Data: []byte("Time [s], HR, PULSE, RESP, SpO2\n0,94,93,25,97\n1,NaN, ,25,9.70\n")},
		"bidmc_01_Numerics.csv": {Data: []byte("Time [s], HR, PULSE, RESP, SpO2\n1,60,61,12,99\n")},
		"bidmc_01_Breaths.csv":  {Data: []byte("nothing of this kind")},
	}
	messages, err := BIDMC(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"recordId":"bidmc-02","time":"2012-01-01T00:00:00Z","HR":94,"PULSE":93,"RESP":25,"SpO2":97}
{"recordId":"bidmc-01","time":"2012-01-01T00:00:01Z","HR":60,"PULSE":61,"RESP":12,"SpO2":99}
{"recordId":"bidmc-02","time":"2012-01-01T00:00:01Z","RESP":25,"SpO2":9.70}
`
	var got strings.Builder
	for m := range messages {
		got.Write(append(m.Body, '\n'))
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if _, err := BIDMC(fstest.MapFS{}); err == nil {
		t.Error("an empty folder was accepted")
	}
}

// archive packs files the way the challenge does.
func archive(t *testing.T, files ...string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func collect(messages iter.Seq2[Message, error]) string {
	var got strings.Builder
	for m, err := range messages {
		if err != nil {
			got.WriteString("error: " + err.Error() + "\n")
			continue
		}
		got.Write(append(m.Body, '\n'))
	}
	return got.String()
}

func TestPhysioNetMessage(t *testing.T) {
	rows := "Time,Parameter,Value\n00:00,RecordID,132539\n00:07,HR,73\n00:07,HR,-1\n25:30,Urine,1.011e+04\n25:30,Temp,.5\n25:31,GCS,\n"
	files := []string{"set-a/132539.txt", rows, "set-a/1.txt", "Time,Parameter,Value\n00:00,HR,1\n", "set-a/readme", "x"}
	want := `{"recordId":"132539","time":"2012-01-01T00:00:00Z","parameter":"RecordID","value":132539}
{"recordId":"132539","time":"2012-01-01T00:07:00Z","parameter":"HR","value":73}
{"recordId":"132539","time":"2012-01-01T00:07:00Z","parameter":"HR","value":-1}
{"recordId":"132539","time":"2012-01-02T01:30:00Z","parameter":"Urine","value":1.011e+04}
{"recordId":"132539","time":"2012-01-02T01:30:00Z","parameter":"Temp","value":".5"}
{"recordId":"132539","time":"2012-01-02T01:31:00Z","parameter":"GCS"}
`
	if got := collect(PhysioNet(archive(t, files...), []string{"132539"})); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := collect(PhysioNet(archive(t, files...), nil)); !strings.HasPrefix(got, want) || !strings.Contains(got, `"recordId":"1"`) {
		t.Errorf("all records: got\n%s", got)
	}
	for range PhysioNet(archive(t, files...), nil) {
		break // stopping early is no error
	}
	for _, bad := range []string{"x\n00:00,HR\n", "x\nsoon,HR,1\n"} {
		if got := collect(PhysioNet(archive(t, "1.txt", bad), nil)); !strings.Contains(got, "error: reading the archive: record 1, row 1") {
			t.Errorf("%q: got %s", bad, got)
		}
	}
	if got := collect(PhysioNet(strings.NewReader("no archive"), nil)); !strings.Contains(got, "error") {
		t.Errorf("got %s", got)
	}
}

// TestPhysioNet reads the chosen records of the real archive.
func TestPhysioNet(t *testing.T) {
	ids, err := os.ReadFile(data + "physionet2012/news2_complete_patients.txt")
	if err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	f, err := os.Open(data + "physionet2012/set-a.tar.gz")
	if err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	defer f.Close()
	records, rows := map[string]bool{}, 0
	for m, err := range PhysioNet(f, strings.Fields(string(ids))) {
		if err != nil {
			t.Fatal(err)
		}
		records[m.Device] = true
		rows++
	}
	t.Logf("%d rows of %d records", rows, len(records))
	if len(records) != 171 {
		t.Errorf("%d records, want 171", len(records))
	}
}
