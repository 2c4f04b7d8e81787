package schemas

import (
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/linkedin/goavro/v2"
)

// released holds every schema that a release has written, for ever: topics and
// rows outlive the binary that filled them. A changed record gets a new file
// with the next number; the old one stays as it is.
//
//go:embed avsc/*.avsc
var released embed.FS

// Limits of what goavro may allocate for a block of a hostile record or file.
// Its own are 2^31.
const (
	maxBlockItems = 1 << 20
	maxBlockBytes = 64 << 20
)

// soeBytes is the length of the single-object header: two magic bytes and the
// fingerprint.
const soeBytes = 10

// ErrNotAvro says that bytes do not begin with the single-object header.
var ErrNotAvro = errors.New("not an Avro single-object record: it does not begin with C3 01 and a fingerprint")

// UnknownSchemaError says that a record was written with a schema that this
// binary does not hold.
type UnknownSchemaError struct {
	Record      string // which record was expected
	Fingerprint uint64
}

// Error says what to do.
func (e *UnknownSchemaError) Error() string {
	return fmt.Sprintf("reading %s: schema %016x is not known to this version: "+
		"the writer is newer, or it is no writer of ours; upgrade this process, then retry its dead letters", e.Record, e.Fingerprint)
}

// OtherRecordError says that a record is one of ours, but not the one that was
// expected: it was written to the wrong topic.
type OtherRecordError struct{ Record, Found string }

// Error says what to do.
func (e *OtherRecordError) Error() string {
	return fmt.Sprintf("reading %s: the record is a %s; look for a producer that writes to the wrong topic", e.Record, e.Found)
}

// writer is one released schema.
type writer struct {
	record string // name without namespace
	avsc   string
	codec  *goavro.Codec
}

// schema is what a record is written with now.
type schema struct {
	writer
	header      [soeBytes]byte
	fingerprint uint64
	headers     []Header // content type, shared by all records
}

// writers are all released schemas by fingerprint.
var writers = parseReleased()

// The current schemas.
var (
	measurementSchema = current("measurement.1")
	identitySchema    = current("identity.1")
	windowSchema      = current("window.1")
	scoreSchema       = current("score.1")
	resourceSchema    = current("resource.1")
	deadLetterSchema  = current("deadletter.1")
)

// parseReleased gives goavro its limits and lets it parse all schemas. A broken
// one is our own bug and stops the process before it does anything.
func parseReleased() map[uint64]writer {
	goavro.MaxBlockCount = maxBlockItems
	goavro.MaxBlockSize = maxBlockBytes
	all := map[uint64]writer{}
	names, err := fs.Glob(released, "avsc/*.avsc")
	if err != nil {
		panic(fmt.Sprintf("listing embedded schemas: %v", err))
	}
	for _, name := range names {
		w := parse(name)
		if same, ok := all[w.codec.Rabin]; ok {
			panic(fmt.Sprintf("schema %s equals an earlier one of %s: delete it", name, same.record))
		}
		all[w.codec.Rabin] = w
	}
	return all
}

func parse(name string) writer {
	text, err := released.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("reading embedded schema: %v", err))
	}
	codec, err := goavro.NewCodec(string(text))
	if err != nil {
		panic(fmt.Sprintf("parsing schema %s: %v", name, err))
	}
	full := codec.TypeName()
	record := full.String()
	return writer{record[strings.LastIndexByte(record, '.')+1:], string(text), codec}
}

func current(name string) *schema {
	s := &schema{writer: parse("avsc/" + name + ".avsc")}
	s.fingerprint = s.codec.Rabin
	s.header[0], s.header[1] = 0xC3, 0x01
	binary.LittleEndian.PutUint64(s.header[2:], s.fingerprint)
	s.headers = []Header{{Key: HeaderContentType, Value: fmt.Appendf(nil, "avro/binary+%016x", s.fingerprint)}}
	return s
}

// open returns the body of a record as this version writes it. Records of an
// earlier version go through goavro: it reads them by the schema that wrote
// them and writes them by ours, which drops what we no longer have and fills
// defaults.
func (s *schema) open(b []byte) ([]byte, error) {
	if len(b) < soeBytes || b[0] != 0xC3 || b[1] != 0x01 {
		return nil, fmt.Errorf("reading %s: %w", s.record, ErrNotAvro)
	}
	fingerprint := binary.LittleEndian.Uint64(b[2:])
	if fingerprint == s.fingerprint {
		return b[soeBytes:], nil
	}
	w, ok := writers[fingerprint]
	if !ok {
		return nil, &UnknownSchemaError{s.record, fingerprint}
	}
	if w.record != s.record {
		return nil, &OtherRecordError{s.record, w.record}
	}
	return s.translate(w, b[soeBytes:])
}

func (s *schema) translate(w writer, body []byte) ([]byte, error) {
	native, rest, err := w.codec.NativeFromBinary(body)
	if err != nil {
		return nil, fmt.Errorf("reading %s as schema %016x: %w", s.record, w.codec.Rabin, err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("reading %s as schema %016x: %w", s.record, w.codec.Rabin, errTrailing)
	}
	ours, err := s.codec.BinaryFromNative(nil, native)
	if err != nil {
		return nil, fmt.Errorf("reading %s of schema %016x as %016x: %w", s.record, w.codec.Rabin, s.fingerprint, err)
	}
	return ours, nil
}
