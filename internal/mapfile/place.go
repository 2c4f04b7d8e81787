package mapfile

import "slices"

// Place is where something stands in a file.
type Place struct {
	At           int    // byte position
	Line, Column int    // from 1; columns count characters
	Pointer      string // JSON pointer
}

// Locate sets the lines and columns of places by their byte positions.
func (r *Report) Locate(places []*Place) {
	sorted := slices.Clone(places)
	slices.SortFunc(sorted, func(a, b *Place) int { return a.At - b.At })
	p := place{line: 1, column: 1}
	for _, to := range sorted {
		p.advance(r.text, min(to.At, len(r.text)))
		to.Line, to.Column = p.line, p.column
	}
}
