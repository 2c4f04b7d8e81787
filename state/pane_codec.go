package state

import (
	"encoding/binary"

	"auscult/schemas"
)

// Bits of a pane's head.
const (
	paneFinal = 1 << iota
	paneSealed
)

// Bits of a point's head.
const (
	pointFraction    = 1 << iota // its distance in time is no whole number of seconds
	pointPartition               // it came through another partition than the pane's first
	pointCorrelation             // it has a correlation id
	pointImplausible             // it has no text
)

// load decodes the panes of s, once. A damaged series counts as empty and sets
// d.err, so that the row is not written.
func (d *Device) load(s *paneSeries) {
	if s.loaded {
		return
	}
	s.loaded = true
	r := reader{b: s.raw}
	start := paneOrigin
	for range r.count(MaxRowBytes) {
		head := r.byte()
		p := openPane{final: head&paneFinal != 0, sealed: head&paneSealed != 0}
		start += schemas.Ticks(r.zigzag()) * d.pane
		p.start, p.revision = start, int32(uint32(r.uint()))
		p.plausible, p.implausible = int(r.int()), int(r.int())
		p.last = p.start + readLength(&r)
		p.partition = int32(uint32(r.uint()))
		p.raw = r.bytes(MaxRowBytes)
		s.panes = append(s.panes, p)
	}
	if err := r.done(); err != nil {
		d.err, s.panes = err, s.panes[:0]
	}
}

// appendPanes appends the panes of s as load reads them: their starts in steps
// of a pane, the first from the origin, so that it does not move with the clock.
func (d *Device) appendPanes(dst []byte, s *paneSeries) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.panes)))
	start := paneOrigin
	for i := range s.panes {
		p := &s.panes[i]
		dst = append(dst, bitIf(p.final, paneFinal)|bitIf(p.sealed, paneSealed))
		dst = appendZigzag(dst, int64((p.start-start)/d.pane))
		start = p.start
		dst = binary.AppendUvarint(dst, uint64(uint32(p.revision)))
		dst = binary.AppendUvarint(dst, uint64(p.plausible))
		dst = binary.AppendUvarint(dst, uint64(p.implausible))
		dst = appendLength(dst, p.last-p.start)
		dst = binary.AppendUvarint(dst, uint64(uint32(p.partition)))
		dst = binary.AppendUvarint(dst, uint64(len(p.raw)+len(p.tail)))
		dst = append(append(dst, p.raw...), p.tail...)
	}
	return dst
}

// appendLength appends a length of time: most are whole seconds.
func appendLength(dst []byte, t schemas.Ticks) []byte {
	if t%schemas.TicksPerSecond == 0 {
		return binary.AppendUvarint(dst, uint64(t/schemas.TicksPerSecond)<<1)
	}
	return binary.AppendUvarint(dst, uint64(t)<<1|1)
}

func readLength(r *reader) schemas.Ticks {
	v := r.uint()
	if v&1 == 0 {
		return schemas.Ticks(v>>1) * schemas.TicksPerSecond
	}
	return schemas.Ticks(v >> 1)
}

// appendPoint appends a point of p that comes after one at last.
func (p *openPane) appendPoint(dst []byte, last schemas.Ticks, point *valuePoint) []byte {
	span := point.t - last
	head := bitIf(point.partition != p.partition, pointPartition) | bitIf(point.correlation != "", pointCorrelation) |
		bitIf(point.implausible, pointImplausible)
	if span%schemas.TicksPerSecond == 0 {
		span /= schemas.TicksPerSecond
	} else {
		head |= pointFraction
	}
	dst = append(dst, head)
	dst = binary.AppendUvarint(dst, uint64(span))
	if head&pointPartition != 0 {
		dst = binary.AppendUvarint(dst, uint64(uint32(point.partition)))
	}
	if head&pointCorrelation != 0 {
		dst = appendText(dst, point.correlation)
	}
	if head&pointImplausible == 0 {
		dst = appendText(dst, point.text)
	}
	return dst
}

// appendPoints decodes the points of p behind dst. Damage sets d.err.
func (d *Device) appendPoints(dst []valuePoint, p *openPane) []valuePoint {
	last := p.start
	for _, part := range [...][]byte{p.raw, p.tail} {
		for r := (reader{b: part}); len(r.b) > 0; {
			head := r.byte()
			span := schemas.Ticks(r.int())
			if head&pointFraction == 0 {
				span *= schemas.TicksPerSecond
			}
			last += span
			point := valuePoint{t: last, partition: p.partition, implausible: head&pointImplausible != 0}
			if head&pointPartition != 0 {
				point.partition = int32(uint32(r.uint()))
			}
			if head&pointCorrelation != 0 {
				point.correlation = r.text()
			}
			if !point.implausible {
				point.text = r.text()
			}
			if r.err != nil {
				d.err = r.err
				return dst
			}
			dst = append(dst, point)
		}
	}
	return dst
}
