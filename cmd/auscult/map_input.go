package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"auscult/internal/dryrun"
	"auscult/mapping"
	"auscult/schemas"
	"auscult/sinks/lake"
)

// visitMessage is given each message, and where it stands.
type visitMessage func(where string, msg *mapping.Message, enqueued schemas.Ticks) error

// maxMapLine is how long a message may be here: above what a mapper takes, so
// that the mapper can say so.
const maxMapLine = mapping.MaxMessageBytes + 1<<20

// readMessages reads the messages of files and folders; in is the file -.
func readMessages(ctx context.Context, paths []string, as string, in io.Reader, visit visitMessage) error {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	for _, path := range paths {
		if path == "-" {
			if err := readTexts(ctx, "-", as, in, visit); err != nil {
				return err
			}
			continue
		}
		if err := readPath(ctx, path, as, visit); err != nil {
			return err
		}
	}
	return nil
}

func readPath(ctx context.Context, path, as string, visit visitMessage) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the messages: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening the messages: %w", err)
	}
	switch capture := as == asCapture || as == asAuto && (info.IsDir() || filepath.Ext(path) == ".avro" || isAvro(file)); {
	case capture && info.IsDir():
		folder, err := lake.List(path)
		if err != nil {
			return err
		}
		return readCapture(ctx, path, visit, folder.Partitions...)
	case capture:
		p, err := lake.File(path)
		if err != nil {
			return err
		}
		return readCapture(ctx, path, visit, p)
	case info.IsDir():
		return fmt.Errorf("%s is a folder: name its files, or read it with --as capture", path)
	}
	return readTexts(ctx, path, as, file, visit)
}

// isAvro reports whether a file begins as Avro object containers do. What can
// not be read at a place, such as a pipe, is none.
func isAvro(file io.ReaderAt) bool {
	var begin [4]byte
	n, _ := file.ReadAt(begin[:], 0)
	return string(begin[:n]) == "Obj\x01"
}

// readCapture reads the files of Event Hubs Capture, or of a raw zone.
func readCapture(ctx context.Context, path string, visit visitMessage, partitions ...*lake.Partition) error {
	for _, p := range partitions {
		for r, err := range p.Records(ctx, 0) {
			if err != nil {
				return err
			}
			if err := visitRecord(path, r, asBodies, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// visitRecord visits what a broker has kept. Its headers are properties, unless
// its value is a whole envelope.
func visitRecord(where string, r schemas.Raw, as string, visit visitMessage) error {
	if r.Partition == lake.UnknownPartition {
		where = fmt.Sprintf("%s %d", where, r.Offset)
	} else {
		where = fmt.Sprintf("%s %d:%d", where, r.Partition, r.Offset)
	}
	enqueued := schemas.TicksOf(r.Timestamp)
	if t, ok := mapping.EnqueuedTime(r.Headers); ok {
		enqueued = t
	}
	if as == asEnvelopes {
		return visit(where, &mapping.Message{Body: r.Value, HasBody: true, Whole: true}, enqueued)
	}
	msg := mapping.EnvelopeOf(r)
	return visit(where, &msg, enqueued)
}

// readTexts reads JSON: a text a line when the first line is one, else one text.
func readTexts(ctx context.Context, name, as string, in io.Reader, visit visitMessage) error {
	if as == asCapture {
		return errors.New("the standard input cannot hold Capture files: name the files or their folder")
	}
	first, rest, whole, err := split(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if whole {
		return visit(name, messageOf(first, as), 0)
	}
	lines := lineReader{in: bufio.NewReaderSize(io.MultiReader(bytes.NewReader(first), rest), 1<<16), limit: maxMapLine}
	for n := 1; ctx.Err() == nil; n++ {
		line, long, err := lines.next()
		switch where := fmt.Sprintf("%s:%d", name, n); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading %s: %w", where, err)
		case long:
			return fmt.Errorf("%s: the line is longer than %d bytes: write one message a line", where, maxMapLine)
		case len(bytes.TrimSpace(line)) == 0:
		default:
			if err := visit(where, messageOf(line, as), 0); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// split reads so much that one can tell lines of JSON from one text over many
// lines. whole says that begin is such a text, without anything behind it.
func split(in io.Reader) (begin []byte, rest io.Reader, whole bool, err error) {
	buffered := bufio.NewReaderSize(in, 1<<16)
	lines := lineReader{in: buffered, limit: maxMapLine}
	line, long, err := lines.next()
	if errors.Is(err, io.EOF) {
		return nil, buffered, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	line = bytes.TrimPrefix(line, []byte("\uFEFF")) // Windows editors begin a file with it
	begin = append(bytes.Clone(line), '\n')
	if long || json.Valid(line) {
		return begin, buffered, false, nil
	}
	more, err := io.ReadAll(io.LimitReader(buffered, int64(maxMapLine)))
	begin = append(begin, more...)
	return begin, buffered, json.Valid(begin), err
}

// messageOf makes a message of a text.
func messageOf(text []byte, as string) *mapping.Message {
	envelope := as == asEnvelopes || as == asAuto && dryrun.IsEnvelope(text)
	return &mapping.Message{Body: text, HasBody: true, Whole: envelope}
}
