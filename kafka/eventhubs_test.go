package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"auscult/schemas"
)

// eventHubsVersions is what a live namespace of Azure Event Hubs advertised on
// 2026-04-27: the highest version of each request.
var eventHubsVersions = map[int16]int16{
	0: 7, 1: 12, 2: 8, 3: 9, 8: 8, 9: 8, 10: 4, 11: 9, 12: 4, 13: 5, 14: 5, 15: 5, 16: 4, 17: 1, 18: 3, 19: 7, 20: 6, 21: 2, 22: 4, 23: 4,
	24: 3, 25: 3, 26: 3, 27: 1, 28: 3, 32: 2, 33: 2, 36: 2, 37: 1, 42: 2, 44: 1, 47: 0, 61: 0, 65: 0, 66: 0,
}

const (
	eventHubsMaxRequest = 1_046_528
	eventHubsMaxTopics  = 10
	connectionString    = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=s"
)

// eventHubs makes the embedded broker behave like a Standard namespace: its
// versions (so no topic ids), TLS and SASL, no compression, connections cut when
// idle, ten topics. The cap on requests has a test of its own.
type eventHubs struct {
	t          *testing.T
	cluster    *kfake.Cluster
	files      certificates
	compressed atomic.Int64 // batches refused
}

func newEventHubs(t *testing.T) *eventHubs {
	t.Helper()
	h := &eventHubs{t: t, files: makeCertificates(t)}
	v := &kversion.Versions{}
	for key, highest := range eventHubsVersions {
		v.SetMaxKeyVersion(key, highest)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(v), kfake.EnableSASL(), kfake.TLS(h.files.server),
		kfake.Superuser("PLAIN", "$ConnectionString", connectionString),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, "127.0.0.1:0")
			return idleListener{l}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	h.cluster = cluster
	cluster.ControlKey(int16(kmsg.Produce), h.produce)
	cluster.ControlKey(int16(kmsg.CreateTopics), h.create)
	return h
}

// produce refuses compressed batches.
func (h *eventHubs) produce(req kmsg.Request) (kmsg.Response, error, bool) {
	h.cluster.KeepControl()
	p := req.(*kmsg.ProduceRequest)
	for _, topic := range p.Topics {
		for _, partition := range topic.Partitions {
			if len(partition.Records) > 23 && binary.BigEndian.Uint16(partition.Records[21:])&7 != 0 {
				h.compressed.Add(1)
				return refuse(p, kerr.UnsupportedForMessageFormat), nil, true
			}
		}
	}
	return nil, nil, false
}

// create refuses the eleventh event hub.
func (h *eventHubs) create(req kmsg.Request) (kmsg.Response, error, bool) {
	h.cluster.KeepControl()
	c := req.(*kmsg.CreateTopicsRequest)
	have := 0
	for _, t := range schemas.Topics {
		if h.cluster.TopicInfo(t.Name) != nil {
			have++
		}
	}
	if have+len(c.Topics) <= eventHubsMaxTopics {
		return nil, nil, false
	}
	resp := c.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range c.Topics {
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode = t.Topic, kerr.PolicyViolation.Code
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil, true
}

func (h *eventHubs) config() Config {
	return Config{
		Profile: EventHubsStandard, Brokers: h.cluster.ListenAddrs(), Partitions: riverPartitions, Generation: "2026-01",
		SASL: SASL{Mechanism: MechanismPlain, User: "$ConnectionString", Password: connectionString},
		TLS:  TLS{CAFile: h.files.ca},
	}
}

// idleListener cuts connections that are idle.
type idleListener struct{ net.Listener }

func (l idleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return idleConn{c}, err
}

type idleConn struct{ net.Conn }

const eventHubsIdle = 800 * time.Millisecond // 240 s in Azure

func (c idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(eventHubsIdle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// TestEventHubs runs a stage on a broker that behaves like Event Hubs
// Standard.
func TestEventHubs(t *testing.T) {
	t.Parallel()
	h := newEventHubs(t)
	conn, err := Dial(h.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	ctx := context.Background()
	if err := ApplyTopics(ctx, conn, nil); err != nil {
		t.Fatal(err)
	}
	if g, err := conn.Generation(ctx, schemas.TopicDeviceData); err != nil || g != "2026-01" {
		t.Errorf("generation %q, %v: without topic ids it is the configured one", g, err)
	}
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &river{t: t, conn: conn, client: client}
	w := run(t, r.echo())
	for round := range 2 {
		r.send(schemas.TopicDeviceData, round*200, 200)
		eventually(t, "everything arrives", func() bool { return r.count(schemas.TopicMeasurements) == (round+1)*200 })
		time.Sleep(eventHubsIdle + 300*time.Millisecond) // longer than it lets a connection idle
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if n := h.compressed.Load(); n != 0 {
		t.Errorf("%d compressed batches", n)
	}
}

func TestEventHubsRefusesCompression(t *testing.T) {
	t.Parallel()
	h := newEventHubs(t)
	cfg := h.config()
	cfg.Profile = EventHubsPremium // gzip: the wrong tier was configured
	conn, err := Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := ApplyTopics(context.Background(), conn, nil); err != nil {
		t.Fatal(err)
	}
	o := outbox{conn: conn, stage: "echo", hooks: &Hooks{}}
	t.Cleanup(o.close)
	out := schemas.Out{Topic: schemas.TopicMeasurements, Key: "k", Value: []byte(strings.Repeat("compressible ", 1000))}
	err = o.send(context.Background(), newHeart(time.Minute, func() {}), []schemas.Out{out})
	if !errors.Is(err, kerr.UnsupportedForMessageFormat) || !strings.Contains(err.Error(), "profile") {
		t.Errorf("ended with %v", err)
	}
}

// TestRequestsStayBelowTheCap sends far more than fits into one request; the
// broker's side counts the bytes of each.
func TestRequestsStayBelowTheCap(t *testing.T) {
	t.Parallel()
	var over, biggest atomic.Int64
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(32, "in"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return frameListener{l, &over, &biggest}, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	conn, err := Dial(Config{Profile: Kafka, Brokers: cluster.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := conn.Client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, 2000)
	records := make([]*kgo.Record, 8000)
	for i := range records {
		records[i] = &kgo.Record{Topic: "in", Key: fmt.Appendf(nil, "d%d", i), Value: value}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if over.Load() != 0 || biggest.Load() < MaxRequestBytes/2 {
		t.Errorf("%d requests over the cap, the biggest has %d bytes", over.Load(), biggest.Load())
	}
}

// frameListener cuts a connection whose request is over Event Hubs' cap.
type frameListener struct {
	net.Listener
	over, biggest *atomic.Int64
}

func (l frameListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &frameConn{Conn: c, over: l.over, biggest: l.biggest}, nil
}

type frameConn struct {
	net.Conn
	over, biggest *atomic.Int64
	left          int64 // of the present frame
	head          []byte
}

func (c *frameConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.left > 0 {
			k := min(c.left, int64(len(b)))
			c.left -= k
			b = b[k:]
			continue
		}
		k := min(4-len(c.head), len(b))
		c.head = append(c.head, b[:k]...)
		b = b[k:]
		if len(c.head) < 4 {
			break
		}
		c.left = int64(binary.BigEndian.Uint32(c.head))
		c.head = c.head[:0]
		if c.left > c.biggest.Load() {
			c.biggest.Store(c.left)
		}
		if c.left > eventHubsMaxRequest {
			c.over.Add(1)
			c.Close()
			return 0, errors.New("request over the cap")
		}
	}
	return n, err
}
