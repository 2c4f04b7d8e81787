package main

import (
	"bytes"
	"context"
	stdflag "flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"auscult/kafka"
	"auscult/schemas"
	"auscult/sinks/lake"
)

var rewrite = stdflag.Bool("update", false, "rewrite the golden files")

func mapFile(name string) string { return filepath.Join("testdata", "map", name) }

// told puts all that a command says into one text.
func (s said) told() []byte {
	return []byte("exit code " + string(rune('0'+s.code)) + "\n--- out\n" + s.out + "--- errors\n" + s.errs)
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", path, got, want)
	}
}

func TestMap(t *testing.T) {
	device, fhir, messages, document := mapFile("device.json"), mapFile("fhir.json"), mapFile("messages.jsonl"), mapFile("document.json")
	for name, args := range map[string][]string{
		"lines":        {"--device", device, messages},
		"table":        {"--device", device, "--format", "table", messages, document},
		"observations": {"--device", device, "--fhir", fhir, messages, document},
		"all-table":    {"--device", device, "--fhir", fhir, "--format", "table", document},
		"envelopes":    {"--device", device, "--as", "envelopes", messages},
		"batch":        {"--batch", mapFile("batch.jsonl")},
	} {
		t.Run(name, func(t *testing.T) {
			got := auscult(t, append([]string{"map"}, args...)...)
			golden(t, mapFile(name+".golden"), got.told())
		})
	}
}

// What comes in at the standard input is read as a file is.
func TestMapStandardInput(t *testing.T) {
	text, err := os.ReadFile(mapFile("messages.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	file := auscult(t, "map", "--device", mapFile("device.json"), mapFile("messages.jsonl"))
	for _, args := range [][]string{{"map", "--device", mapFile("device.json")}, {"map", "--device", mapFile("device.json"), "-"}} {
		var out, errs bytes.Buffer
		cmd := root()
		cmd.SetIn(bytes.NewReader(text))
		cmd.SetOut(&out)
		cmd.SetErr(&errs)
		code := execute(context.Background(), cmd, args)
		if code != file.code || out.String() != file.out || strings.ReplaceAll(errs.String(), "-:", mapFile("messages.jsonl")+":") != file.errs {
			t.Errorf("%v: exit code %d\n%s\n%s", args, code, out.String(), errs.String())
		}
	}
}

func TestMapRefusesMappings(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "device.json")
	if err := os.WriteFile(broken, []byte("{\n  \"templateType\": \"x\", \"template\": []}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := auscult(t, "map", "--device", broken, mapFile("messages.jsonl"))
	if got.code != exitError || got.out != "" || !strings.Contains(got.errs, broken+":2:") || !strings.HasSuffix(got.errs, "auscult: 1 error and 0 warnings\n") {
		t.Errorf("got %+v", got)
	}
}

func TestMapTopic(t *testing.T) {
	broker, conn := embedded(t)
	if err := kafka.ApplyTopics(t.Context(), conn, nil); err != nil {
		t.Fatal(err)
	}
	body := func(n string) []byte {
		return []byte(`{"device": "d1", "hr": ` + n + `, "at": "2026-01-31T10:05:00Z"}`)
	}
	for _, n := range []string{"60", "61", "62"} {
		send(t, conn, schemas.Out{Topic: schemas.TopicDeviceData, Key: "d1", Value: body(n),
			Headers: []schemas.Header{{Key: "patient", Value: []byte("p" + n)}}})
	}
	send(t, conn, schemas.Out{Topic: schemas.TopicDeviceData, Key: "d1", Value: []byte("{")})
	args := []string{"map", "--device", mapFile("device.json"), "--topic", schemas.TopicDeviceData, "--brokers", broker}
	line := func(n string) string {
		return `{"Type":"heartrate","OccurrenceTimeUtc":"2026-01-31T10:05:00Z","DeviceId":"d1","PatientId":"p` + n + `","Properties":[{"Name":"hr","Value":"` + n + `"}]}` + "\n"
	}
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for name, test := range map[string]struct {
		more []string
		want string
		code int
	}{
		"all":       {nil, line("60") + line("61") + line("62"), exitError},
		"offsets":   {[]string{"--from", "1", "--to", "2"}, line("61"), 0},
		"times":     {[]string{"--from", past, "--to", future}, line("60") + line("61") + line("62"), exitError},
		"in future": {[]string{"--from", future}, "", 0},
		"long past": {[]string{"--to", past}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := auscult(t, append(args, test.more...)...)
			if got.out != test.want || got.code != test.code {
				t.Errorf("got %+v, want %d %s", got, test.code, test.want)
			}
			if test.code != 0 && !strings.Contains(got.errs, schemas.TopicDeviceData+" ") {
				t.Errorf("it does not say which message: %s", got.errs)
			}
		})
	}
}

func TestMapCapture(t *testing.T) {
	folder := t.TempDir()
	zone, err := lake.Open(lake.Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	share := &schemas.Share{Topic: schemas.TopicDeviceData, Partition: 3, Generation: "g", End: 2}
	if _, err := zone.Assigned(t.Context(), share); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	_, err = zone.Write(t.Context(), schemas.Batch{Share: share, Records: []schemas.Raw{
		{Topic: schemas.TopicDeviceData, Partition: 3, Offset: 0, Timestamp: at, Value: []byte(`{"device": "d1", "hr": 60, "at": "2026-01-31T10:05:00Z"}`),
			Headers: []schemas.Header{{Key: "patient", Value: []byte("p1")}}},
		{Topic: schemas.TopicDeviceData, Partition: 3, Offset: 1, Timestamp: at, Value: []byte(`{"hr": 60}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "*.avro"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range []string{folder, files[0]} {
		got := auscult(t, "map", "--device", mapFile("device.json"), path)
		want := `{"Type":"heartrate","OccurrenceTimeUtc":"2026-01-31T10:05:00Z","DeviceId":"d1","PatientId":"p1","Properties":[{"Name":"hr","Value":"60"}]}` + "\n"
		if got.code != exitError || got.out != want || !strings.HasPrefix(got.errs, path+" 3:1: ") {
			t.Errorf("got %+v", got)
		}
	}
	// A copy tells by its first bytes what it is, but not of which partition.
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"download (1).avro", "download"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, as := range []string{asAuto, asCapture} {
			got := auscult(t, "map", "--device", mapFile("device.json"), "--as", as, path)
			if got.code != exitError || strings.Count(got.out, "\n") != 1 || !strings.HasPrefix(got.errs, path+" 1: ") {
				t.Errorf("got %+v", got)
			}
		}
	}
}

func TestOfflineCommandsSayWhatToChange(t *testing.T) {
	folder := t.TempDir()
	device := " --device " + mapFile("device.json")
	for _, test := range []struct{ args, want string }{
		{"map", "name the device mapping with --device, or lines that have their own with --batch"},
		{"map --batch - --device x", "--batch names mappings and messages in its lines"},
		{"map --batch " + folder + "/none", "opening the batch: open "},
		{"map --device " + folder + "/none", "reading a mapping: open "},
		{"map --as body" + device, `--as "body": write auto, envelopes, bodies or capture`},
		{"map --format csv" + device, `--format "csv": write json or table`},
		{"map --from 5" + device, "go with --topic: name the topic"},
		{"map --topic t" + device, "say where the topic is: one of --config and --brokers"},
		{"map --topic t --brokers b:1 x" + device, "choose one of --topic and files of messages"},
		{"map --topic t --brokers b:1 --as capture" + device, "--as capture is for files"},
		{"map --topic t --brokers b:1 --from yesterday" + device, `--from "yesterday" is neither an offset nor a time`},
		{"map --topic t --brokers b:1 --to -1" + device, `--to "-1" is neither an offset nor a time`},
		{"map" + device + " " + folder + "/none", "opening the messages: open "},
		{"map" + device + " " + folder, "there is no .avro file below"},
		{"map --as bodies" + device + " " + folder, "is a folder: name its files"},
		{"check", "name the mapping files to check, such as devicecontent.json fhirmapping.json"},
		{"check --format xml x", `--format "xml": write text, json or sarif`},
		{"check " + folder + "/none", "reading a mapping: open "},
	} {
		got := auscult(t, strings.Fields(test.args)...)
		if got.code != exitError || got.out != "" || !strings.Contains(got.errs, test.want) {
			t.Errorf("%s: %+v, want %s", test.args, got, test.want)
		}
	}
}
