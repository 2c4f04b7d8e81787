package lake

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/linkedin/goavro/v2"

	"auscult/schemas"
)

// How much a block holds before it is compressed: enough to compress well, far
// below what a reader accepts.
const (
	blockRecords = 1000
	blockBytes   = 1 << 20
)

// metaLast is our entry in a file's header. Capture's samples take files of at
// most 508 bytes for empty ones, so header entries must stay short; we write no
// empty file anyway.
const metaLast = "last"

// errTaken says that another owner has written the file.
var errTaken = errors.New("the file exists")

// FileError says which file cannot be read, and what to do.
type FileError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *FileError) Error() string {
	return fmt.Sprintf("reading %s: %v; move the file away, or put a whole copy in its place", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Permanent reports that trying again changes nothing.
func (e *FileError) Permanent() bool { return true }

// TopicError is a topic that does not go with what the raw zone holds.
type TopicError struct{ Text string }

// Error says what to do.
func (e *TopicError) Error() string { return e.Text }

// Permanent reports that trying again changes nothing.
func (e *TopicError) Permanent() bool { return true }

// publish makes the file of records under its final name, whole or not at all.
// errTaken tells that there was one already.
func publish(path string, codec *goavro.Codec, records []schemas.Raw) (err error) {
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, tempPattern)
	if err != nil {
		return fmt.Errorf("making a file in the raw zone: %w", err)
	}
	defer func() {
		if gone := os.Remove(temp.Name()); err == nil && gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = fmt.Errorf("cleaning the raw zone: %w", gone)
		}
	}()
	err = encode(temp, codec, records)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("writing to the raw zone: %w", err)
	}
	if err := link(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

func link(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return errTaken
	}
	if err != nil {
		return fmt.Errorf("publishing to the raw zone (its file system must support hard links): %w", err)
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("syncing the raw zone: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing the raw zone: %w", err)
	}
	return nil
}

// encode writes the container. records are at least one.
func encode(w io.Writer, codec *goavro.Codec, records []schemas.Raw) error {
	buffered := bufio.NewWriterSize(w, blockBytes)
	last := strconv.FormatInt(records[len(records)-1].Offset, 10)
	ocf, err := goavro.NewOCFWriter(goavro.OCFConfig{
		W: buffered, Codec: codec, CompressionName: goavro.CompressionDeflateLabel,
		MetaData: map[string][]byte{metaLast: []byte(last)},
	})
	if err != nil {
		return err
	}
	for len(records) > 0 {
		n := fitting(records, blockRecords, blockBytes)
		block := make([]any, n)
		for i := range block {
			block[i] = eventOf(records[i])
		}
		if ocf.Append(block) != nil {
			// goavro's text holds the record.
			return errors.New("a record does not fit Capture's schema")
		}
		records = records[n:]
	}
	return buffered.Flush()
}

// fitting returns how many of the first records stay within both limits; at
// least one.
func fitting(records []schemas.Raw, maxRecords, maxBytes int) int {
	size := 0
	for i, r := range records {
		size += len(r.Key) + len(r.Value)
		for _, h := range r.Headers {
			size += len(h.Key) + len(h.Value)
		}
		if i > 0 && (i == maxRecords || size > maxBytes) {
			return i
		}
	}
	return len(records)
}

// scan calls yield for each record of a container until it returns false. A file
// of ours must not begin before what its name says, and must end where its
// header says: a container has no end mark, so one that was cut between two
// blocks would pass for whole. One that ends before from is not read.
func scan(f file, from int64, yield func(schemas.Raw) bool) error {
	in, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("reading the raw zone: %w", err)
	}
	defer in.Close()
	ocf, err := goavro.NewOCFReader(bufio.NewReaderSize(in, blockBytes))
	if err != nil {
		return &FileError{f.path, fmt.Errorf("it is no Avro container, or its header is cut: %w", err)}
	}
	if f.unnamed {
		_, f.ours = ocf.MetaData()[metaLast]
	}
	end, err := statedEnd(f, ocf)
	if err != nil {
		return &FileError{f.path, err}
	}
	if f.ours && end < from {
		return nil
	}
	at := int64(-1)
	for ocf.Scan() {
		r, err := next(ocf, f.partition)
		switch {
		case err != nil:
			return &FileError{f.path, fmt.Errorf("after offset %d: %w", at, err)}
		case f.ours && r.Offset < f.first:
			return &FileError{f.path, fmt.Errorf("it holds offset %d, which lies before its name", r.Offset)}
		case at >= 0 && r.Offset <= at:
			return &FileError{f.path, fmt.Errorf("offset %d stands behind %d", r.Offset, at)}
		}
		at = r.Offset
		if !yield(r) {
			return nil
		}
	}
	if err := ocf.Err(); err != nil {
		return &FileError{f.path, fmt.Errorf("after offset %d: it is cut or damaged: %w", at, err)}
	}
	if f.ours && at != end {
		return &FileError{f.path, fmt.Errorf("it ends with offset %d and should end with %d: it is cut", at, end)}
	}
	return nil
}

// next reads a record. goavro's own error may hold what it has read.
func next(ocf *goavro.OCFReader, partition int32) (r schemas.Raw, err error) {
	event, err := ocf.Read()
	if err != nil {
		return r, errors.New("it is damaged, or not of Capture's schema")
	}
	return recordOf(event, partition)
}

// statedEnd returns the last offset as the header of a file of ours has it.
func statedEnd(f file, ocf *goavro.OCFReader) (int64, error) {
	if !f.ours {
		return 0, nil
	}
	end, err := strconv.ParseInt(string(ocf.MetaData()[metaLast]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("its header lacks the entry %q: it was not written by this sink", metaLast)
	}
	return end, nil
}
