package sim

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits on recordings.
const (
	maxRecordings   = 10_000
	maxRowsEach     = 1_000_000
	maxRecordBytes  = 64 << 20 // of one file
	bidmcRows       = "_Numerics.csv"
	bidmcRecordings = "bidmc_"
)

// RecordingStart is when every recording begins: their dates are not known.
var RecordingStart = time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC)

// bidmcRow is one second of one recording.
type bidmcRow struct {
	second    int
	recording int
	cells     []string
}

// BIDMC reads the numerics of the BIDMC recordings in a folder, one message a
// row, all recordings side by side. Cells without a value are left out.
func BIDMC(dir fs.FS) (iter.Seq[Message], error) {
	files, err := fs.Glob(dir, bidmcRecordings+"*"+bidmcRows)
	if err != nil {
		return nil, fmt.Errorf("listing recordings: %w", err)
	}
	if len(files) == 0 || len(files) > maxRecordings {
		return nil, fmt.Errorf("listing recordings: found %d files %s*%s, want 1 to %d", len(files), bidmcRecordings, bidmcRows, maxRecordings)
	}
	slices.Sort(files)
	var rows []bidmcRow
	var ids []string
	var names [][]string
	for i, file := range files {
		header, more, err := readBIDMC(dir, file, i)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		number := strings.TrimSuffix(strings.TrimPrefix(file, bidmcRecordings), bidmcRows)
		rows, ids, names = append(rows, more...), append(ids, "bidmc-"+number), append(names, header)
	}
	slices.SortStableFunc(rows, func(a, b bidmcRow) int { return a.second - b.second })
	return func(yield func(Message) bool) {
		for _, r := range rows {
			if !yield(r.message(ids[r.recording], names[r.recording])) {
				return
			}
		}
	}, nil
}

// readBIDMC reads one file: its column names without the first, and its rows.
func readBIDMC(dir fs.FS, file string, recording int) (header []string, rows []bidmcRow, err error) {
	f, err := dir.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r := csv.NewReader(io.LimitReader(f, maxRecordBytes))
	r.TrimLeadingSpace = true
	if header, err = r.Read(); err != nil {
		return nil, nil, err
	}
	for len(rows) < maxRowsEach {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return header[1:], rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
		second, err := strconv.Atoi(strings.TrimSpace(record[0]))
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, bidmcRow{second, recording, record[1:]})
	}
	return nil, nil, fmt.Errorf("more than %d rows", maxRowsEach)
}

func (r *bidmcRow) message(id string, names []string) Message {
	at := RecordingStart.Add(time.Duration(r.second) * time.Second)
	b := make([]byte, 0, 128)
	b = appendText(append(b, `{"recordId":`...), id)
	b = appendText(append(b, `,"time":`...), at.Format(time.RFC3339))
	for i, cell := range r.cells {
		cell = strings.TrimSpace(cell)
		if cell == "" || strings.EqualFold(cell, "NaN") {
			continue
		}
		b = appendText(append(b, ','), names[i])
		b = appendValue(append(b, ':'), cell)
	}
	return Message{At: at, Device: id, Key: id, Body: append(b, '}'), Headers: messageHeaders}
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return append(b, text...)
}

// appendValue appends a cell as it stands when it is a JSON number, else as a
// string.
func appendValue(b []byte, cell string) []byte {
	if c := cell[0]; (c == '-' || c >= '0' && c <= '9') && json.Valid([]byte(cell)) {
		return append(b, cell...)
	}
	return appendText(b, cell)
}

// PhysioNet reads a tar.gz of Challenge 2012 records, one message a row, record
// after record, rows as they stand in the file, none left out. ids picks
// records; none picks all. The sequence ends with an error when the archive
// cannot be read on.
func PhysioNet(archive io.Reader, ids []string) iter.Seq2[Message, error] {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	return func(yield func(Message, error) bool) {
		if err := readPhysioNet(archive, wanted, yield); err != nil && !errors.Is(err, errEnough) {
			yield(Message{}, fmt.Errorf("reading the archive: %w", err))
		}
	}
}

// errEnough ends the reading when the caller wants no more.
var errEnough = errors.New("no more wanted")

func readPhysioNet(archive io.Reader, wanted map[string]bool, yield func(Message, error) bool) error {
	z, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		id, isRecord := strings.CutSuffix(path.Base(h.Name), ".txt")
		if h.Typeflag != tar.TypeReg || !isRecord || len(wanted) > 0 && !wanted[id] {
			continue
		}
		if err := readRecord(io.LimitReader(t, maxRecordBytes), id, yield); err != nil {
			return err
		}
	}
}

// readRecord reads the rows Time,Parameter,Value of one record.
func readRecord(r io.Reader, id string, yield func(Message, error) bool) error {
	s := bufio.NewScanner(r)
	for row := 0; s.Scan(); row++ {
		if row == 0 || strings.TrimSpace(s.Text()) == "" {
			continue
		}
		parts := strings.Split(strings.TrimSpace(s.Text()), ",")
		if len(parts) != 3 {
			return fmt.Errorf("record %s, row %d: %d columns, want Time,Parameter,Value", id, row, len(parts))
		}
		at, err := recordTime(parts[0])
		if err != nil {
			return fmt.Errorf("record %s, row %d: %w", id, row, err)
		}
		b := make([]byte, 0, 96)
		b = appendText(append(b, `{"recordId":`...), id)
		b = appendText(append(b, `,"time":`...), at.Format(time.RFC3339))
		b = appendText(append(b, `,"parameter":`...), parts[1])
		if parts[2] != "" {
			b = appendValue(append(b, `,"value":`...), parts[2])
		}
		if !yield(Message{At: at, Device: id, Key: id, Body: append(b, '}'), Headers: messageHeaders}, nil) {
			return errEnough
		}
	}
	return s.Err()
}

// recordTime reads HH:mm since admission; hours go beyond 24.
func recordTime(s string) (time.Time, error) {
	hours, minutes, ok := strings.Cut(s, ":")
	h, err1 := strconv.Atoi(hours)
	m, err2 := strconv.Atoi(minutes)
	if !ok || err1 != nil || err2 != nil || h < 0 || m < 0 || m > 59 {
		return time.Time{}, fmt.Errorf("%q is no time HH:mm", s)
	}
	return RecordingStart.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute), nil
}
