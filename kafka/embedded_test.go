package kafka

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

// TestEmbeddedGoesOnWhereItWas stops the broker twice: in order, and as a
// crash would (its directory is copied while it runs).
func TestEmbeddedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := StartEmbedded(EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Partitions: riverPartitions})
	if err != nil {
		t.Fatal(err)
	}
	addr := e.Addr()
	open := func(e *Embedded) *river {
		r := &river{t: t, broker: e}
		r.conn = r.dial(Config{})
		if r.client, err = r.conn.Client(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.client.Close)
		return r
	}
	r := open(e)
	r.send(schemas.TopicDeviceData, 0, 100)
	w := run(t, r.echo())
	eventually(t, "everything is committed", func() bool { return sum(r.committed("echo", schemas.TopicDeviceData)) == 100 })
	w.stop()
	generation, err := r.conn.Generation(context.Background(), schemas.TopicDeviceData)
	if err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	if out, err := exec.Command("cp", "-r", dir+"/.", crashed).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	began := time.Now()
	e.Close()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("closing took %s", took)
	}
	e.Close() // a second one does nothing
	for name, again := range map[string]EmbeddedConfig{
		"in order": {Dir: dir, Listen: addr, Partitions: riverPartitions},
		"crashed":  {Dir: crashed, Listen: "127.0.0.1:0", Partitions: riverPartitions},
	} {
		e, err := StartEmbedded(again)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer e.Close()
		r := open(e)
		if _, n := r.values(schemas.TopicMeasurements); n != 100 {
			t.Errorf("%s: %d of 100 messages", name, n)
		}
		if n := sum(r.committed("echo", schemas.TopicDeviceData)); n != 100 {
			t.Errorf("%s: %d of 100 committed", name, n)
		}
		if g, err := r.conn.Generation(context.Background(), schemas.TopicDeviceData); err != nil || g != generation {
			t.Errorf("%s: generation %s, was %s; %v", name, g, generation, err)
		}
	}
}

func TestEmbeddedSaysWhatIsInItsWay(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := StartEmbedded(EmbeddedConfig{Listen: taken.Addr().String(), Partitions: 1}); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("a taken port: %v", err)
	}
	dir := t.TempDir()
	e, err := StartEmbedded(EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StartEmbedded(EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Partitions: 1}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a directory in use: %v", err)
	}
	e.Close()
	if _, err := StartEmbedded(EmbeddedConfig{Dir: dir, Listen: "127.0.0.1:0", Partitions: 2}); err == nil || !strings.Contains(err.Error(), "has 1 partitions") {
		t.Errorf("another number of partitions: %v", err)
	}
	if _, err := StartEmbedded(EmbeddedConfig{Listen: "9092"}); err == nil {
		t.Error("an address without host")
	}
}

func TestEmbeddedAdvertisesAnotherName(t *testing.T) {
	t.Parallel()
	// Clients that come by 127.0.0.1 are sent on to localhost.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	e, err := StartEmbedded(EmbeddedConfig{Listen: "0.0.0.0:" + port, Advertise: "localhost:" + port, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: []string{"127.0.0.1:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	brokers, err := conn.Admin().ListBrokers(context.Background())
	if err != nil || len(brokers) != 1 || brokers[0].Host != "localhost" {
		t.Errorf("brokers %v, %v", brokers, err)
	}
}

func TestClosedWithoutStart(t *testing.T) {
	t.Parallel()
	(&Embedded{}).Close()
	if _, err := os.Stat(lockName); err == nil {
		t.Error("a lock file in the working directory")
	}
}
