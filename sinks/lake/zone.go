package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/linkedin/goavro/v2"

	"auscult/schemas"
)

// Config says where the raw zone is and how it is cut into files. A file never
// spans two calls of Write: how long records wait for company is the driver's
// batch size and wait.
type Config struct {
	Folder         string `yaml:"folder"`
	MaxFileRecords int    `yaml:"maxFileRecords"`
	MaxFileBytes   int    `yaml:"maxFileBytes"` // of keys, values and headers, uncompressed
}

// What a file holds at most, unless the configuration says otherwise.
const (
	DefaultMaxFileRecords = 100_000
	DefaultMaxFileBytes   = 64 << 20
)

// ConfigError says which option is wrong, and what to change.
type ConfigError struct{ path, text string }

// Error says what to change.
func (e *ConfigError) Error() string { return e.path + ": " + e.text }

// ConfigPath returns the option, relative to Config.
func (e *ConfigError) ConfigPath() string { return e.path }

// Validate returns all that is wrong, joined.
func (c Config) Validate() error {
	var wrong []error
	if c.Folder == "" {
		wrong = append(wrong, &ConfigError{"folder", "name the folder in which the raw zone is kept"})
	}
	if c.MaxFileRecords < 0 {
		wrong = append(wrong, &ConfigError{"maxFileRecords", fmt.Sprintf("must be above 0; leave it out for %d", DefaultMaxFileRecords)})
	}
	if c.MaxFileBytes < 0 {
		wrong = append(wrong, &ConfigError{"maxFileBytes", fmt.Sprintf("must be above 0; leave it out for %d", DefaultMaxFileBytes)})
	}
	return errors.Join(wrong...)
}

// leftoverAge is how old a temporary file must be before it counts as left by a
// crash. A younger one may belong to an owner who does not know yet that he has
// lost the partition.
const leftoverAge = time.Hour

// Zone is the sink. It may be used by many goroutines.
type Zone struct {
	cfg   Config
	codec *goavro.Codec

	mu   sync.Mutex
	next map[place]int64 // end of the last file seen, by partition
}

// place is one partition of one generation of the source topic.
type place struct {
	generation string
	partition  int32
}

// Open makes the folder when it is missing. A limit of 0 is the default.
func Open(cfg Config) (*Zone, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("opening the raw zone: %w", err)
	}
	if cfg.MaxFileRecords == 0 {
		cfg.MaxFileRecords = DefaultMaxFileRecords
	}
	if cfg.MaxFileBytes == 0 {
		cfg.MaxFileBytes = DefaultMaxFileBytes
	}
	codec, err := goavro.NewCodec(eventData)
	if err != nil {
		return nil, fmt.Errorf("opening the raw zone: %w", err)
	}
	if err := os.MkdirAll(cfg.Folder, 0o755); err != nil {
		return nil, fmt.Errorf("opening the raw zone: %w", err)
	}
	return &Zone{cfg: cfg, codec: codec, next: map[place]int64{}}, nil
}

// handover is how long the owner before may go on writing after the partition
// was assigned anew. What he has just written may lie beyond the end that the
// topic had at assignment; that does not make it another topic.
const handover = 5 * time.Minute

// Assigned returns the offset behind the last file of the partition, or -1 when
// there is none. It reads that file through: nothing may be built on a damaged
// one.
func (z *Zone) Assigned(_ context.Context, s *schemas.Share) (int64, error) {
	if s.Topic != schemas.TopicDeviceData {
		return 0, &TopicError{fmt.Sprintf("assigning %s to the raw zone: it keeps %s only", s.Topic, schemas.TopicDeviceData)}
	}
	next, written, err := z.recover(place{s.Generation, s.Partition})
	if err != nil {
		return 0, err
	}
	if next > s.End && written.Before(s.AssignedAt.Add(-handover)) {
		return 0, &TopicError{fmt.Sprintf("assigning %s/%d: the raw zone ends with offset %d, the topic with %d: the topic is a new one; "+
			"set source.generation to a new name (rule G6)", s.Topic, s.Partition, next-1, s.End-1)}
	}
	z.move(place{s.Generation, s.Partition}, next)
	return next, nil
}

// recover finds the end of a partition's last file and when it was written, and
// sweeps what crashes have left.
func (z *Zone) recover(p place) (next int64, written time.Time, err error) {
	folder, err := z.folder(p)
	if err != nil {
		return 0, written, err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, written, nil
	}
	if err != nil {
		return 0, written, fmt.Errorf("listing the raw zone: %w", err)
	}
	last := file{first: -1}
	for _, e := range entries {
		if first, ok := firstOffset(e.Name()); ok && first > last.first {
			last = file{path: filepath.Join(folder, e.Name()), ours: true, partition: p.partition, first: first}
		}
		if err := sweep(folder, e); err != nil {
			return 0, written, err
		}
	}
	if last.first < 0 {
		return -1, written, nil
	}
	stat, err := os.Stat(last.path)
	if err != nil {
		return 0, written, fmt.Errorf("listing the raw zone: %w", err)
	}
	next, err = end(last)
	return next, stat.ModTime(), err
}

func sweep(folder string, e fs.DirEntry) error {
	if !strings.HasPrefix(e.Name(), tempPrefix) {
		return nil
	}
	stat, err := e.Info()
	if err == nil && time.Since(stat.ModTime()) > leftoverAge {
		err = os.Remove(filepath.Join(folder, e.Name()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cleaning the raw zone: %w", err)
	}
	return nil
}

// end returns the offset behind a file.
func end(f file) (int64, error) {
	next := int64(-1)
	err := scan(f, 0, func(r schemas.Raw) bool {
		next = r.Offset + 1
		return true
	})
	return next, err
}

// Write stores a batch in files of its own and returns the offset from which to
// go on. Records that the raw zone has already are not written again.
func (z *Zone) Write(ctx context.Context, b schemas.Batch) (int64, error) {
	p := place{b.Share.Generation, b.Share.Partition}
	next, err := z.position(p)
	if err != nil {
		return 0, err
	}
	folder, err := z.ready(p)
	if err != nil {
		return 0, err
	}
	for records := behind(b.Records, next); len(records) > 0; records = behind(records, next) {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("writing to the raw zone: %w", err)
		}
		if next < 0 {
			next = records[0].Offset
		}
		part := records[:fitting(records, z.cfg.MaxFileRecords, z.cfg.MaxFileBytes)]
		next, err = z.store(file{path: filepath.Join(folder, fileName(next)), ours: true, partition: p.partition, first: next}, part)
		if err != nil {
			return 0, err
		}
		z.move(p, next)
	}
	return next, nil
}

// store writes one file and returns the offset behind it, or behind the one
// that another owner has written in its place. The name is where the partition
// stands, not what comes first: every owner at that position takes the same
// name, whatever the topic has lost in between.
func (z *Zone) store(f file, records []schemas.Raw) (int64, error) {
	err := publish(f.path, z.codec, records)
	if errors.Is(err, errTaken) {
		return end(f)
	}
	return records[len(records)-1].Offset + 1, err
}

// behind returns the records at and behind an offset.
func behind(records []schemas.Raw, next int64) []schemas.Raw {
	for len(records) > 0 && records[0].Offset < next {
		records = records[1:]
	}
	return records
}

// position returns where a partition stands, looking it up when nobody has
// asked before.
func (z *Zone) position(p place) (int64, error) {
	z.mu.Lock()
	next, known := z.next[p]
	z.mu.Unlock()
	if known {
		return next, nil
	}
	next, _, err := z.recover(p)
	return next, err
}

func (z *Zone) move(p place, next int64) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.next[p] = next
}

func (z *Zone) folder(p place) (string, error) {
	generation, err := escape(p.generation)
	return filepath.Join(z.cfg.Folder, generation, partitionName(p.partition)), err
}

// ready makes the partition's folder, durably.
func (z *Zone) ready(p place) (string, error) {
	folder, err := z.folder(p)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("writing to the raw zone: %w", err)
	}
	return folder, errors.Join(syncFolder(filepath.Dir(folder)), syncFolder(z.cfg.Folder), syncFolder(filepath.Dir(z.cfg.Folder)))
}
