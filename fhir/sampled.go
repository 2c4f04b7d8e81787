package fhir

import (
	"strings"

	"auscult/schemas"
)

// maxSamples is how many slots one SampledData may have: an hour at 250 Hz.
const maxSamples = 1_000_000

// noSample stands in a slot without a value.
const noSample = "E"

// sample is one value of a series. Its text is copied as it is.
type sample struct {
	time schemas.Ticks
	text string
}

// layOut writes samples, ordered by time, as SampledData.data: slot i holds
// the last sample in [start+i*step, start+(i+1)*step). Samples outside
// [start, end] are not in the series.
func layOut(samples []sample, start, end, step schemas.Ticks) (data string, ok bool) {
	slots := int64((end-start)/step) + 1
	if end < start || slots > maxSamples {
		return "", false
	}
	var b strings.Builder
	next := 0
	for i := range slots {
		if i > 0 {
			b.WriteByte(' ')
		}
		slotEnd := start + schemas.Ticks(i+1)*step
		last := noSample
		for ; next < len(samples) && samples[next].time < slotEnd; next++ {
			if samples[next].time >= start && samples[next].time <= end {
				last = samples[next].text
			}
		}
		b.WriteString(last)
	}
	return trim(b.String()), true
}

// readData reads SampledData.data back: element i at start + i*step.
func readData(data string, start, step schemas.Ticks) []sample {
	data = trim(data)
	if data == "" {
		return nil
	}
	var samples []sample
	for i, s := range strings.Split(data, " ") {
		if s != noSample {
			samples = append(samples, sample{start + schemas.Ticks(i)*step, s})
		}
	}
	return samples
}

// union merges two ordered series; where both have a value the second wins.
func union(old, new []sample) []sample {
	out := make([]sample, 0, len(old)+len(new))
	for len(old) > 0 && len(new) > 0 {
		switch {
		case old[0].time < new[0].time:
			out, old = append(out, old[0]), old[1:]
		case old[0].time == new[0].time:
			old = old[1:]
		default:
			out, new = append(out, new[0]), new[1:]
		}
	}
	return append(append(out, old...), new...)
}
