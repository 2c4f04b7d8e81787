package lake

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Temporary files begin with a dot, which readers of folders leave alone.
const (
	tempPrefix  = ".writing-"
	tempPattern = tempPrefix + "*"
	extension   = ".avro"
)

// file is one container of a partition.
type file struct {
	path       string
	ours       bool   // else Capture's
	unnamed    bool   // the path says nothing: whose it is stands in its header
	generation string // ours: of the topic; Capture's: namespace/hub
	partition  int32
	first      int64  // ours: offset of the first record
	at         string // Capture's: year to second, which sorts
}

var (
	ourName     = regexp.MustCompile(`^(\d{20})\.avro$`)
	ourPath     = regexp.MustCompile(`([^/]+)/(\d{5,10})/(\d{20})\.avro$`)
	capturePath = regexp.MustCompile(`([^/]+)/([^/]+)/(\d{1,5})/(\d{4}/\d{2}/\d{2}/\d{2}/\d{2}/\d{2})\.avro$`)
)

func fileName(first int64) string { return fmt.Sprintf("%020d%s", first, extension) }

func partitionName(partition int32) string { return fmt.Sprintf("%05d", partition) }

// firstOffset reads the name of a file of ours.
func firstOffset(name string) (int64, bool) {
	m := ourName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	first, err := strconv.ParseInt(m[1], 10, 64)
	return first, err == nil
}

// escape makes one folder name of a generation.
func escape(generation string) (string, error) {
	name := url.PathEscape(generation)
	if name == "" || strings.Trim(name, ".") == "" {
		return "", fmt.Errorf("the generation %q of the topic cannot name a folder: set source.generation", generation)
	}
	return name, nil
}

// fileOf reads what the path of a container says, ours or Capture's.
func fileOf(path string) (file, error) {
	slashed := filepath.ToSlash(path)
	if m := ourPath.FindStringSubmatch(slashed); m != nil {
		generation, err := url.PathUnescape(m[1])
		partition, err2 := strconv.ParseInt(m[2], 10, 32)
		first, err3 := strconv.ParseInt(m[3], 10, 64)
		if err := errors.Join(err, err2, err3); err != nil {
			return file{}, &FileError{path, err}
		}
		return file{path: path, ours: true, generation: generation, partition: int32(partition), first: first}, nil
	}
	if m := capturePath.FindStringSubmatch(slashed); m != nil {
		partition, err := strconv.ParseInt(m[3], 10, 32)
		if err != nil {
			return file{}, &FileError{path, err}
		}
		return file{path: path, generation: m[1] + "/" + m[2], partition: int32(partition), at: m[4]}, nil
	}
	return file{}, &FileError{path, errors.New("its path is neither {generation}/{partition}/{offset}.avro " +
		"nor {Namespace}/{EventHub}/{PartitionId}/{Year}/{Month}/{Day}/{Hour}/{Minute}/{Second}.avro")}
}
