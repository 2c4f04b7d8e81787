package kafka

import (
	"fmt"
	"testing"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

func TestNamesOnTheBroker(t *testing.T) {
	t.Parallel()
	riverConn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: []string{"127.0.0.1:1"}, Prefix: "ward7."})
	if err != nil {
		t.Fatal(err)
	}
	defer riverConn.Close()
	sourceConn, err := DialSource(SourceConfig{Config: Config{Profile: EmbeddedProfile, Brokers: []string{"127.0.0.1:1"}}, Topic: "iothub-ehub", Group: "auscult"})
	if err != nil {
		t.Fatal(err)
	}
	defer sourceConn.Close()
	for _, c := range []struct{ got, want string }{
		{riverConn.Topic(schemas.TopicWindows), "ward7.windows"},
		{riverConn.Bare("ward7.windows"), "windows"},
		{riverConn.Group("observe"), "ward7.observe"},
		{sourceConn.Topic(schemas.TopicDeviceData), "iothub-ehub"},
		{sourceConn.Bare("iothub-ehub"), "devicedata"},
		{sourceConn.Group("normalize"), "auscult"},
		{sourceConn.Group("load-raw"), "auscult-load-raw"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestOnePartitioner(t *testing.T) {
	if err := CheckPartitioner(); err != nil {
		t.Fatal(err)
	}
	hasher := goka.DefaultHasher()
	p := partitioner().ForTopic("t")
	for i := range 2000 {
		key := fmt.Sprintf("patient/%d", i*7919)
		h := hasher()
		h.Write([]byte(key))
		want := int(int32(h.Sum32()) % 16)
		if want < 0 {
			want = -want
		}
		if got := p.Partition(&kgo.Record{Key: []byte(key)}, 16); got != want || !p.RequiresConsistency(nil) {
			t.Fatalf("key %s goes to %d, want %d", key, got, want)
		}
	}
	r := &kgo.Record{Key: []byte("a device id of more than thirty-two bytes")}
	if n := testing.AllocsPerRun(100, func() { p.Partition(r, 8) }); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
	if p.Partition(&kgo.Record{}, 8) < 0 {
		t.Error("a record without key has no partition")
	}
}
