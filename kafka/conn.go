package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"auscult/schemas"
)

// Limits of what is sent and held.
const (
	// MaxRequestBytes is below the 1,046,528 bytes at which Event Hubs closes
	// the connection; an idempotent producer would try the same again for ever.
	MaxRequestBytes = 1_000_000
	// MaxBatchBytes leaves room in a request for its frame. A record that does
	// not fit is MESSAGE_TOO_LARGE before it is sent.
	MaxBatchBytes = 900_000
	// MaxBufferedBytes is how much a client holds that is not acknowledged.
	MaxBufferedBytes = 64 << 20
	// maxFetchBytes bounds one answer of a broker, maxFetchPartitionBytes the
	// part of one partition in it.
	maxFetchBytes          = 16 << 20
	maxFetchPartitionBytes = 2 << 20
	// fetchMaxWait is how long a broker holds a fetch that has nothing to answer:
	// as long may a partition wait that is resumed beside an idle one.
	fetchMaxWait = 100 * time.Millisecond
	// CommitInterval keeps us below the 4 commits a second and partition that
	// Event Hubs allows.
	CommitInterval = time.Second
	clientID       = "auscult"
)

// Conn is one broker as this process uses it: how to reach it and how topics
// and groups are called there.
type Conn struct {
	cfg     Config
	source  SourceConfig // Topic and Group are empty for the river
	options []kgo.Opt
	client  *kgo.Client
	admin   *kadm.Client
}

// Dial returns the river's connection. Brokers are reached when they are first
// needed.
func Dial(cfg Config) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return dial(SourceConfig{Config: cfg})
}

// DialSource returns the source's connection: there devicedata is called as
// the configuration says.
func DialSource(cfg SourceConfig) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return dial(cfg)
}

func dial(source SourceConfig) (*Conn, error) {
	if err := CheckPartitioner(); err != nil {
		return nil, err
	}
	cfg := source.WithDefaults()
	options, err := connOptions(cfg)
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, source: source, options: options}
	if c.client, err = c.Client(); err != nil {
		return nil, err
	}
	c.admin = kadm.NewClient(c.client)
	return c, nil
}

// Close lets go of the broker. Clients made by Client live on.
func (c *Conn) Close() { c.client.Close() }

// Config returns the configuration, defaults filled in.
func (c *Conn) Config() Config { return c.cfg }

// Client returns a client of its own with everything set that the profile asks
// for; extra options come after ours.
func (c *Conn) Client(extra ...kgo.Opt) (*kgo.Client, error) {
	// kgo sorts the list of codecs in place: each client needs its own.
	compression := kgo.ProducerBatchCompression(limitsOf(c.cfg.Profile).compression...)
	client, err := kgo.NewClient(slices.Concat(c.options, []kgo.Opt{compression}, extra)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	return client, nil
}

// Admin returns the shared administrative client; it is closed with c.
func (c *Conn) Admin() *kadm.Client { return c.admin }

// Topic returns the name that the broker knows a topic by.
func (c *Conn) Topic(bare string) string {
	if bare == schemas.TopicDeviceData && c.source.Topic != "" {
		return c.source.Topic
	}
	return c.cfg.Prefix + bare
}

// Bare returns the name that we know a topic of the broker by.
func (c *Conn) Bare(name string) string {
	if name == c.source.Topic && name != "" {
		return schemas.TopicDeviceData
	}
	return strings.TrimPrefix(name, c.cfg.Prefix)
}

// Group returns the name of a stage's consumer group. A source with a group of
// its own gives it to Normalize, who is the one reader that it expects.
func (c *Conn) Group(stage string) string {
	switch {
	case c.source.Group == "":
		return c.cfg.Prefix + stage
	case stage == "normalize":
		return c.source.Group
	}
	return c.source.Group + "-" + stage
}

// Generation returns what tells this topic from an earlier one of the same
// name (rule G6): its id, or the configured generation where the broker gives
// no ids.
func (c *Conn) Generation(ctx context.Context, bare string) (string, error) {
	name := c.Topic(bare)
	topic, err := c.describe(ctx, name)
	if err != nil {
		return "", err
	}
	if id := topic.ID; id != (kadm.TopicID{}) {
		return hex.EncodeToString(id[:]), nil
	}
	if c.cfg.Generation == "" {
		return "", &ConfigError{Path: "generation", Text: fmt.Sprintf("topic %s has no id on this broker: set generation, for example to 2026-01, and change it when topics are created anew", name)}
	}
	return c.cfg.Generation, nil
}

// describe asks what the broker knows of a topic.
func (c *Conn) describe(ctx context.Context, name string) (kadm.TopicDetail, error) {
	topics, err := c.admin.ListTopics(ctx, name)
	if err == nil {
		err = topics[name].Err
	}
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("asking for topic %s: %w", name, err)
	}
	return topics[name], nil
}

// groupOptions makes a client a member of a stage's group: eager, because a
// session ends as a whole; range, because the inputs of a keyed stage must be
// given out together; and never jumping over what retention has removed.
func (c *Conn) groupOptions(stage string) []kgo.Opt {
	options := []kgo.Opt{
		kgo.ConsumerGroup(c.Group(stage)),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(c.cfg.SessionTimeout),
		kgo.HeartbeatInterval(c.cfg.SessionTimeout / 10),
		kgo.RebalanceTimeout(max(time.Minute, c.cfg.SessionTimeout)),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Commits carry metadata (rule G15), which automatic ones cannot.
		kgo.DisableAutoCommit(),
	}
	if c.cfg.Instance != "" {
		options = append(options, kgo.InstanceID(c.cfg.Instance))
	}
	return options
}

// limits are the settings in which the profiles differ.
type limits struct {
	compression    []kgo.CompressionCodec
	dialTimeout    time.Duration
	produceTimeout time.Duration // the broker's
	overhead       time.Duration // ours on top of the broker's time limit
}

func limitsOf(p Profile) limits {
	switch p {
	case EventHubsStandard: // refuses every compression
		return limits{[]kgo.CompressionCodec{kgo.NoCompression()}, 10 * time.Second, time.Minute, 30 * time.Second}
	case EventHubsPremium: // takes gzip only
		return limits{[]kgo.CompressionCodec{kgo.GzipCompression(), kgo.NoCompression()}, 10 * time.Second, time.Minute, 30 * time.Second}
	case EmbeddedProfile: // same machine: compression only costs
		return limits{[]kgo.CompressionCodec{kgo.NoCompression()}, 2 * time.Second, 10 * time.Second, 3 * time.Second}
	}
	// Short limits: a dead broker of a cluster is found in seconds.
	return limits{[]kgo.CompressionCodec{kgo.Lz4Compression(), kgo.NoCompression()}, 2 * time.Second, 10 * time.Second, 3 * time.Second}
}

func connOptions(cfg Config) ([]kgo.Opt, error) {
	l := limitsOf(cfg.Profile)
	options := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(clientID),
		kgo.DisableClientMetrics(),
		kgo.DialTimeout(l.dialTimeout),
		// Azure cuts connections that are idle for 240 s.
		kgo.ConnIdleTimeout(3 * time.Minute),
		kgo.MetadataMaxAge(3 * time.Minute),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.RequestTimeoutOverhead(l.overhead),
		kgo.ProduceRequestTimeout(l.produceTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.BrokerMaxWriteBytes(MaxRequestBytes),
		kgo.ProducerBatchMaxBytes(MaxBatchBytes),
		kgo.MaxBufferedBytes(MaxBufferedBytes),
		kgo.RecordPartitioner(partitioner()),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchMaxBytes(maxFetchBytes),
		kgo.FetchMaxPartitionBytes(maxFetchPartitionBytes),
	}
	if !cfg.Profile.EventHubs() {
		// What a transaction took back was never said. Event Hubs has no
		// transactions to read around.
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	auth, err := authOptions(cfg)
	if err != nil {
		return nil, err
	}
	return append(options, auth...), nil
}

// partitioner is the one rule by which every producer of ours chooses a
// partition: schemas.PartitionOf.
func partitioner() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int {
			// Looked at, not kept: the bytes need not be copied into a string.
			return int(schemas.PartitionOf(unsafe.String(unsafe.SliceData(r.Key), len(r.Key)), int32(n)))
		}
	})
}

// partitionerChecks is how many keys CheckPartitioner compares.
const partitionerChecks = 1000

// CheckPartitioner compares our rule with Goka's hash. A difference would put
// rows and their changelog on different partitions and lose state silently.
func CheckPartitioner() error {
	for i := range partitionerChecks {
		key := fmt.Sprintf("device-%d", i*i)
		h := goka.DefaultHasher()()
		h.Write([]byte(key))
		for n := int32(1); n <= MaxPartitions; n *= 2 {
			// Goka computes the partition of a key in this way in its views.
			want := int32(h.Sum32()) % n
			if want < 0 {
				want = -want
			}
			if got := schemas.PartitionOf(key, n); got != want {
				return fmt.Errorf("checking the partitioner: key %q of %d partitions goes to %d, with Goka's hash to %d; this build must not run", key, n, got, want)
			}
		}
	}
	return nil
}
