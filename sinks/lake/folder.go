package lake

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"auscult/schemas"
)

// Folder is a raw zone, or a container of real Capture files, as it was when it
// was listed.
type Folder struct {
	// Partitions are ordered by generation and number.
	Partitions []*Partition
}

// Partition is what one partition has in a folder.
type Partition struct {
	Generation string // of the topic; of Capture files namespace/hub
	Number     int32
	files      []file
}

// List finds the containers below a folder. It may be any folder whose own path
// still names generation and partition. Names that begin with a dot or an
// underscore, and other extensions, are left alone; an .avro file whose path
// says nothing is an error.
func List(folder string) (*Folder, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("listing raw files: %w", err)
	}
	found := map[place]*Partition{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); path != root && strings.ContainsAny(name[:1], "._") {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if e.IsDir() || filepath.Ext(path) != extension {
			return nil
		}
		return add(found, path)
	})
	if err != nil {
		return nil, fmt.Errorf("listing raw files: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("listing raw files: there is no %s file below %s", extension, root)
	}
	return &Folder{sorted(found)}, nil
}

// UnknownPartition is the number of the partition of a file whose path does not
// name it.
const UnknownPartition = -1

// File returns what a single container holds, as a partition of its own: for
// looking at a file, whatever its name. A replay needs to know the partition, so
// List takes only files whose path names it.
func File(path string) (*Partition, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding a raw file: %w", err)
	}
	f, err := fileOf(whole)
	if err != nil {
		f = file{path: whole, unnamed: true, partition: UnknownPartition}
	}
	return &Partition{Generation: f.generation, Number: f.partition, files: []file{f}}, nil
}

func add(found map[place]*Partition, path string) error {
	f, err := fileOf(path)
	if err != nil {
		return err
	}
	p := found[place{f.generation, f.partition}]
	if p == nil {
		p = &Partition{Generation: f.generation, Number: f.partition}
		found[place{f.generation, f.partition}] = p
	}
	if len(p.files) > 0 && p.files[0].ours != f.ours {
		return &FileError{path, fmt.Errorf("it lies among files of another layout, such as %s", p.files[0].path)}
	}
	p.files = append(p.files, f)
	return nil
}

func sorted(found map[place]*Partition) []*Partition {
	var all []*Partition
	for _, p := range found {
		slices.SortFunc(p.files, func(a, b file) int {
			return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.at, b.at), cmp.Compare(a.path, b.path))
		})
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Partition) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Number, b.Number))
	})
	return all
}

// Generations returns the generations in the folder. Offsets of different ones
// cannot be compared, so a replay takes one.
func (f *Folder) Generations() []string {
	var all []string
	for _, p := range f.Partitions {
		all = append(all, p.Generation)
	}
	return slices.Compact(all)
}

// Files returns how many files the partition has.
func (p *Partition) Files() int { return len(p.files) }

// Begins reports whether the files begin with the topic's first record. Names of
// Capture files do not tell their first offset, so the first record does.
func (p *Partition) Begins() bool {
	if len(p.files) > 0 && p.files[0].ours {
		return p.files[0].first == 0
	}
	for r, err := range p.Records(context.Background(), 0) {
		return err == nil && r.Offset == 0
	}
	return false
}

// Records returns the records of the partition at and behind an offset, in
// order. An error ends them. Values and headers stay valid.
func (p *Partition) Records(ctx context.Context, from int64) iter.Seq2[schemas.Raw, error] {
	return func(yield func(schemas.Raw, error) bool) {
		c := cursor{ctx: ctx, from: from, at: -1, yield: yield}
		for _, f := range p.files {
			if !c.read(f) {
				return
			}
		}
	}
}

// cursor walks over the files of a partition.
type cursor struct {
	ctx      context.Context
	from, at int64 // first offset wanted; last offset seen
	yield    func(schemas.Raw, error) bool
}

// read gives the records of one file and reports whether to go on.
func (c *cursor) read(f file) bool {
	more, first := true, true
	var back error
	err := scan(f, c.from, func(r schemas.Raw) bool {
		if first && !f.ours && r.Offset <= c.at {
			back = &FileError{f.path, fmt.Errorf("its sequence number %d is not above %d of the file before: "+
				"the hub failed over or was made again, so read the files before and after apart", r.Offset, c.at)}
			return false
		}
		first = false
		if r.Offset <= c.at || r.Offset < c.from {
			return true // two owners who began apart, on an empty zone, may have written the same records
		}
		c.at = r.Offset
		if c.ctx.Err() != nil {
			return false
		}
		more = c.yield(r, nil)
		return more
	})
	switch {
	case err == nil && back == nil:
		err = c.ctx.Err()
	case err == nil:
		err = back
	}
	if err != nil && more {
		c.yield(schemas.Raw{}, err)
		return false
	}
	return more
}
