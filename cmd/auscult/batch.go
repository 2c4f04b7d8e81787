package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"auscult/internal/dryrun"
)

// maxBatchLine is how long a line of a batch file may be: about three times the
// largest mapping files and message together, since in JSON they are escaped.
const maxBatchLine = 64 << 20

// mapBatch answers the lines of a file, or of in for -.
func mapBatch(ctx context.Context, path string, in io.Reader, out io.Writer) error {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("opening the batch: %w", err)
		}
		defer file.Close()
		in = file
	}
	return answerLines(ctx, in, out, maxBatchLine)
}

// answerLines writes one line for each line that it reads, in order. It holds
// one line at a time. Answers are handed on when no further line is waiting, so
// that a program at the other end may ask one by one.
func answerLines(ctx context.Context, in io.Reader, out io.Writer, limit int) error {
	lines := lineReader{in: bufio.NewReaderSize(in, 1<<16), limit: limit}
	answers := bufio.NewWriterSize(out, 1<<16)
	var answerer dryrun.Answerer
	for ctx.Err() == nil {
		line, long, err := lines.next()
		if errors.Is(err, io.EOF) {
			return answers.Flush()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("reading the batch: %w", err), answers.Flush())
		}
		var answer []byte
		if long {
			answer = dryrun.Refuse(line, fmt.Sprintf("the line is longer than %d bytes: shorten the mapping or the message", limit))
		} else {
			answer = answerer.Answer(line)
		}
		if _, err := answers.Write(append(answer, '\n')); err != nil {
			return fmt.Errorf("writing an answer: %w", err)
		}
		if lines.in.Buffered() == 0 {
			if err := answers.Flush(); err != nil {
				return fmt.Errorf("writing an answer: %w", err)
			}
		}
	}
	return errors.Join(ctx.Err(), answers.Flush())
}

// lineReader reads lines that end with \n and with nothing else.
type lineReader struct {
	in    *bufio.Reader
	line  []byte
	limit int
}

// next returns a line, valid until the following one. long tells that it is the
// beginning of one over the limit, whose rest is passed over. The error is
// io.EOF when there is no further line.
func (r *lineReader) next() (line []byte, long bool, err error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if room := r.limit + 1 - len(r.line); len(part) <= room {
			r.line = append(r.line, part...)
		} else {
			r.line, long = append(r.line, part[:room]...), true
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(r.line, []byte("\n")), long, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(r.line) > 0:
			return r.line, long || len(r.line) > r.limit, nil
		default:
			return nil, false, err
		}
	}
}
