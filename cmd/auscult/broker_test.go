package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"auscult/fhir/server"
	"auscult/kafka"
	"auscult/schemas"
)

const partitions = 4 // of the demo's configuration

// embedded starts a broker in this process and a connection to it.
func embedded(t *testing.T) (string, *kafka.Conn) {
	t.Helper()
	b, err := kafka.StartEmbedded(kafka.EmbeddedConfig{Listen: "127.0.0.1:0", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	conn, err := kafka.Dial(kafka.Config{Profile: kafka.EmbeddedProfile, Brokers: []string{b.Addr()}, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return b.Addr(), conn
}

func send(t *testing.T, conn *kafka.Conn, outs ...schemas.Out) {
	t.Helper()
	s, err := conn.NewSender()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outs {
		if err := s.Send(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// values returns what a topic holds.
func values(t *testing.T, conn *kafka.Conn, topic string) []string {
	t.Helper()
	ends, err := conn.Ends(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = conn.ReadSpans(context.Background(), topic, ends, func(r schemas.Raw) error {
		all = append(all, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTopics(t *testing.T) {
	broker, _ := embedded(t)
	config := configuration(t, broker, "ward-", "")
	got := auscult(t, "topics", "plan", "--config", config)
	if got.code != 0 || strings.Count(got.out, "missing\n") != len(schemas.Topics) || !strings.Contains(got.out, "`auscult topics apply`") {
		t.Errorf("before: %+v", got)
	}
	if got := auscult(t, "run", "--config", config); got.code != exitError || !strings.Contains(got.errs, "fhir.baseURL is empty") {
		t.Errorf("run without a FHIR server: %+v", got)
	}
	// Nobody listens at this address: the topics are looked at first.
	t.Setenv("AUSCULT_FHIR_BASEURL", "http://127.0.0.1:1/fhir")
	if got := auscult(t, "run", "--config", config); got.code != exitError || !strings.Contains(got.errs, "create the topics with `auscult topics apply`") {
		t.Errorf("run without topics: %+v", got)
	}
	for range 2 { // the second time there is nothing to do
		if got := auscult(t, "topics", "apply", "--config", config); got.code != 0 || got.out != "all topics are there\n" {
			t.Errorf("apply: %+v", got)
		}
	}
	got = auscult(t, "topics", "plan", "--config", config)
	if got.code != 0 || strings.Count(got.out, "as planned\n") != len(schemas.Topics) || !strings.Contains(got.out, "ward-normalize") {
		t.Errorf("after: %+v", got)
	}
	t.Setenv("AUSCULT_RIVER_PARTITIONS", "8")
	got = auscult(t, "topics", "apply", "--config", config)
	if got.code != exitError || !strings.Contains(got.errs, "topic ward-measurements has 4 partitions, the configuration says 8") {
		t.Errorf("with other partitions: %+v", got)
	}
}

// TestNobodyThere names a broker that does not exist, and topics and stages that
// nobody has.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	broker, conn := embedded(t)
	nobody := configuration(t, "127.0.0.1:1", "", "http://127.0.0.1:1/fhir")
	here := configuration(t, broker, "", "http://127.0.0.1:1/fhir")
	prefixed := configuration(t, broker, "no-", "http://127.0.0.1:1/fhir")
	for _, test := range []struct{ args, config, want string }{
		{"run", nobody, "reaching the broker at 127.0.0.1:1:"},
		{"run", nobody, "start it, or correct brokers, profile, tls or sasl of river"},
		{"topics plan", nobody, "reaching the broker at 127.0.0.1:1:"},
		{"dead-letters list", nobody, "reaching the broker at 127.0.0.1:1:"},
		{"simulate", nobody, "correct brokers, profile, tls or sasl of source"},
		{"simulate", prefixed, "topic no-devicedata does not exist: create it, the river's own with `auscult topics apply`"},
		{"run", prefixed, "topic no-devicedata does not exist: create the topics with `auscult topics apply`"},
		{"run --stages observe,predict", here, `there is no stage "predict"; the stages are normalize`},
		{"run --stages predict", nobody, `there is no stage "predict"; the stages are normalize`},
		{"replay --run x --topic-range all", nobody, "start it, or correct brokers, profile, tls or sasl of river"},
		{"replay --run x --topic-range 1-2", nobody, "such as 0:100-2000"},
		{"replay --run live --topic-range all", nobody, `--run "live": a replay needs a name of its own`},
		{"replay --run= --topic-range all", nobody, `--run "": a replay needs a name of its own`},
		{"run --stages load", here, "stage load has nowhere to write to: set warehouse.path"},
		{"replay --run x", here, "choose one of --topic-range and --capture"},
		{"replay --run x --topic-range 1-2", here, "such as 0:100-2000"},
		{"replay --run x --topic-range 9:0-1", here, "topic devicedata has no partition 9"},
	} {
		got := auscult(t, append(strings.Fields(test.args), "--config", test.config)...)
		if got.code != exitError || !strings.Contains(got.errs, test.want) || got.out != "" {
			t.Errorf("%s: %+v, want %s", test.args, got, test.want)
		}
	}
	if all := values(t, conn, schemas.TopicDeviceData); len(all) != 0 {
		t.Errorf("devicedata holds %q", all)
	}
}

// TestFHIRServerDown: a stage that has nobody to write to tries again, says so,
// and can be stopped.
func TestFHIRServerDown(t *testing.T) {
	t.Parallel()
	broker, _ := embedded(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cmd := root()
	said := make(chan string, 1)
	cmd.SetErr(writer(func(text string) {
		select {
		case said <- text:
		default:
		}
	}))
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, cmd, []string{"run", "--config", configuration(t, broker, "", "http://127.0.0.1:1/fhir")})
	}()
	if line := <-said; !strings.Contains(line, "stage=deliver-hot") || !strings.Contains(line, "calling the FHIR server: dial tcp 127.0.0.1:1") {
		t.Errorf("it says %s", line)
	}
	began := time.Now()
	stop()
	if code := <-ended; code != 0 || time.Since(began) > stopWithin {
		t.Errorf("ended with %d after %s", code, time.Since(began))
	}
}

type writer func(string)

func (w writer) Write(b []byte) (int, error) { w(string(b)); return len(b), nil }

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	broker, conn := embedded(t)
	config := configuration(t, broker, "", "")
	letter := func(offset int64, reason, value string) schemas.Out {
		d := schemas.DeadLetterFor("normalize", reason, "it is not JSON", "correct the device",
			schemas.Raw{Topic: schemas.TopicDeviceData, Offset: offset, Key: []byte("same"), Value: []byte(value),
				Headers: []schemas.Header{{Key: "h", Value: []byte("v")}}})
		return schemas.DeadLetters.Out("same", &d)
	}
	send(t, conn, letter(7, "message", "{broken"), letter(8, "mapping", "{}"))
	list := auscult(t, "dead-letters", "list", "--config", config)
	lines := strings.Split(strings.TrimSpace(list.out), "\n")
	if list.code != 0 || len(lines) != 3 || !strings.Contains(lines[1], "devicedata/0:7") {
		t.Fatalf("list: %+v", list)
	}
	first, second := strings.Fields(lines[1])[0], strings.Fields(lines[2])[0]
	t.Run("list chooses", func(t *testing.T) {
		got := auscult(t, "dead-letters", "list", "--config", config, "--reason", "mapping")
		if got.code != 0 || strings.Contains(got.out, first+" ") || !strings.Contains(got.out, second+" ") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("show", func(t *testing.T) {
		got := auscult(t, "dead-letters", "show", first, "--config", config)
		var d struct {
			Value, Reason, Action, Key string
			Offset                     int64
			Headers                    []shownHeader
		}
		if err := json.Unmarshal([]byte(got.out), &d); err != nil || got.code != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		if d.Value != "{broken" || d.Offset != 7 || d.Key != "same" || len(d.Headers) != 1 || *d.Headers[0].Value != "v" || d.Action != "correct the device" {
			t.Errorf("got %+v", d)
		}
		for none, want := range map[string]string{"0:99": "no dead letter at 0:99", "77:0": "no partition 77"} {
			if got := auscult(t, "dead-letters", "show", none, "--config", config); got.code != exitError || !strings.Contains(got.errs, want) {
				t.Errorf("show %s: %+v, want %s", none, got, want)
			}
		}
	})
	t.Run("retry", func(t *testing.T) {
		got := auscult(t, "dead-letters", "retry", second, "--config", config)
		if got.code != 0 || got.out != "sent 1 again\n" {
			t.Errorf("got %+v", got)
		}
		if all := values(t, conn, schemas.TopicDeviceData); len(all) != 1 || all[0] != "{}" {
			t.Errorf("devicedata holds %q", all)
		}
		if got := auscult(t, "dead-letters", "retry", "0:99", "--config", config); got.code != exitError || !strings.Contains(got.errs, "there is no dead letter at 0:99") {
			t.Errorf("got %+v", got)
		}
		for _, choice := range []string{"--stage=normalize", "--all"} {
			if got := auscult(t, "dead-letters", "retry", choice, "--config", config); got.code != 0 || got.out != "sent 2 again\n" {
				t.Errorf("%s: %+v", choice, got)
			}
		}
		if got := auscult(t, "dead-letters", "retry", first, second, first, "--config", config); got.code != 0 || got.out != "sent 2 again\n" {
			t.Errorf("named: %+v", got)
		}
	})
}

// fhirServer serves an empty store.
func fhirServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(filepath.Join(t.TempDir(), server.FileName))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		s.Close()
	})
	return "http://" + l.Addr().String() + server.Base
}

// TestUntilDrained sends a good message and a bad one: the river drains, the
// good one arrives, and the exit code tells of the other.
func TestUntilDrained(t *testing.T) {
	t.Parallel() // it waits for commits, stage by stage
	broker, conn := embedded(t)
	base := fhirServer(t)
	body := `{"deviceId":"d","patientId":"p","time":"` + time.Now().UTC().Format(time.RFC3339) + `","hr":71}`
	for _, b := range []string{body, "{broken"} {
		send(t, conn, schemas.Out{Topic: schemas.TopicDeviceData, Key: "d", Value: []byte(b)})
	}
	path := configuration(t, broker, "", base)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "warehouse: {path: "+filepath.Join(t.TempDir(), "warehouse.db")+"}\nconsole: {listen: 127.0.0.1:0}\n"...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := auscult(t, "run", "--until-drained", "--config", path)
	if got.code != exitDeadLetters || !strings.HasPrefix(got.out, "console http://127.0.0.1:") || !strings.Contains(got.errs, "1; see `auscult dead-letters list`") {
		t.Errorf("got %+v", got)
	}
	var found struct{ Total int }
	get(t, base+"/Observation?code=8867-4", &found)
	if found.Total != 1 {
		t.Errorf("%d Observations, want 1", found.Total)
	}
}

// TestStoppedBroker looks into the data folder of a broker that does not run. A
// configuration that lies in it counts, as the demo's does.
func TestStoppedBroker(t *testing.T) {
	t.Parallel()
	data := filepath.Dir(configuration(t, "127.0.0.1:1", "", ""))
	b, err := kafka.StartEmbedded(kafka.EmbeddedConfig{Dir: filepath.Join(data, brokerFolder), Listen: "127.0.0.1:0", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	if got := auscult(t, "topics", "plan", "--data", data); got.code != exitError || !strings.Contains(got.errs, "in use by another broker") {
		t.Errorf("while it runs: %+v", got)
	}
	b.Close()
	got := auscult(t, "topics", "plan", "--data", data)
	if got.code != 0 || strings.Count(got.out, "as planned\n") != len(schemas.Topics) {
		t.Errorf("after it has stopped: %+v", got)
	}
	if got := auscult(t, "dead-letters", "list", "--data", data); got.code != 0 || strings.Count(got.out, "\n") != 1 {
		t.Errorf("dead letters: %+v", got)
	}
}
