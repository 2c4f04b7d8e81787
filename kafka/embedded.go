package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Settings of the embedded broker.
const (
	// cleanerBackoff is how often tables are compacted.
	cleanerBackoff = time.Minute
	// offsetsRetention keeps what groups have committed: a demo that is started
	// again after a year goes on where it was.
	offsetsRetention = 10 * 365 * 24 * time.Hour
	embeddedStart    = 30 * time.Second
)

// EmbeddedConfig says where the embedded broker listens and keeps its log.
type EmbeddedConfig struct {
	Dir    string // created when it is not there; empty = in memory
	Listen string // host:port; port 0 takes a free one
	// Advertise is the host:port under which clients reach it, when Listen does
	// not say so (0.0.0.0).
	Advertise  string
	Partitions int
	Prefix     string
	// Sync writes each batch through to the disk before it is acknowledged.
	// Without it a crash of the process loses nothing, one of the machine may.
	Sync bool

	options []kfake.Opt // of tests: faults, impersonation
}

// Embedded is a Kafka broker inside this process: one copy on one disk, for
// trying, for tests and for one-box sites.
type Embedded struct {
	cluster *kfake.Cluster
	addr    string
	lock    *os.File
}

// StartEmbedded starts the broker and creates the river's topics. It goes on
// with what the directory holds, also after an unclean stop.
func StartEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	e := &Embedded{}
	if err := e.start(cfg); err != nil {
		e.Close()
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return e, nil
}

func (e *Embedded) start(cfg EmbeddedConfig) error {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return fmt.Errorf("address %q is not host:port", cfg.Listen)
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("auscult-embedded"),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return e.listen(network, cfg) }),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms":    millis(cleanerBackoff),
			"offsets.retention.minutes": strconv.Itoa(int(offsetsRetention.Minutes())),
		}),
	}
	if cfg.Dir != "" {
		if err := e.lockDir(cfg.Dir); err != nil {
			return err
		}
		options = append(options, kfake.DataDir(cfg.Dir))
	}
	if cfg.Sync {
		options = append(options, kfake.SyncWrites())
	}
	if e.cluster, err = kfake.NewCluster(append(options, cfg.options...)...); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %s of %s is taken: stop the program that listens there, or choose another port (0 picks a free one): %w", port, host, err)
		}
		return err
	}
	conn, err := Dial(Config{Profile: EmbeddedProfile, Brokers: []string{e.addr}, Prefix: cfg.Prefix, Partitions: cfg.Partitions})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), embeddedStart)
	defer cancel()
	return ApplyTopics(ctx, conn, nil)
}

// listen opens the broker's port. Clients are sent to the address of the
// listener, so that is where it says who it is.
func (e *Embedded) listen(network string, cfg EmbeddedConfig) (net.Listener, error) {
	l, err := net.Listen(network, cfg.Listen)
	if err != nil {
		return nil, err
	}
	e.addr = l.Addr().String()
	if cfg.Advertise != "" {
		e.addr = cfg.Advertise
	}
	return advertised{l, e.addr}, nil
}

// advertised is a listener under another address.
type advertised struct {
	net.Listener
	addr string
}

// Addr returns the address that clients are told.
func (a advertised) Addr() net.Addr { return namedAddr(a.addr) }

type namedAddr string

// Network returns tcp.
func (namedAddr) Network() string { return "tcp" }

// String returns host:port.
func (a namedAddr) String() string { return string(a) }

// lockName is the file that keeps a second broker out of a directory.
const lockName = "auscult.lock"

func (e *Embedded) lockDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return fmt.Errorf("the data directory %s is in use by another broker: stop it or choose another directory", dir)
	}
	e.lock = f
	return nil
}

// Addr returns the host:port at which clients reach the broker.
func (e *Embedded) Addr() string { return e.addr }

// Close stops the broker and saves its state. Close on a broker that is closed
// does nothing.
func (e *Embedded) Close() {
	if e.cluster != nil {
		e.cluster.Close()
	}
	if e.lock != nil {
		e.lock.Close()
		e.lock = nil
	}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
