package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// generalSlot is the CPU time of one batch of one case: thousands of messages.
const generalSlot = 500 * time.Microsecond

// shownCases bounds the lists of cases and reasons that are printed.
const shownCases = 10

// recordedCase is a line of the recorded cases, as far as it is measured.
type recordedCase struct {
	ID string `json:"id"`
	In struct {
		Device     string          `json:"device"`
		Body       string          `json:"body"`
		Envelope   string          `json:"envelope"`
		Properties json.RawMessage `json:"properties"`
		System     json.RawMessage `json:"system"`
	} `json:"in"`
	Want struct {
		Rule         string            `json:"rule"`
		Measurements []json.RawMessage `json:"measurements"`
	} `json:"want"`
}

// generalFigures is what the cases cost, relative to json.Valid.
type generalFigures struct {
	ratios  []caseRatio
	refused map[string][]string // mappings that do not load, by reason
	wrong   []string            // cases that do not give what was recorded
	bare    int                 // without bytes to parse
}

type caseRatio struct {
	id    string
	ratio float64
	nanos float64
}

// general measures every expression that somebody thought of: the distinct
// cases in which the connector reported no error.
func (b *mappingBench) general(ctx context.Context) error {
	cases, err := readCases(b.cases)
	if err != nil {
		return err
	}
	m := *b.meter
	m.laps, m.slot = 1, generalSlot
	m.settle = func() {} // a collection would take longer than the round
	g := &generalFigures{refused: map[string][]string{}}
	for i := range cases {
		if err := g.measure(ctx, &m, &cases[i]); err != nil {
			return fmt.Errorf("case %s: %w", cases[i].ID, err)
		}
	}
	g.print(b.out)
	return nil
}

// readCases returns the cases to be measured, each pair of mapping and message
// once.
func readCases(path string) ([]recordedCase, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var cases []recordedCase
	seen := map[string]bool{}
	for d := json.NewDecoder(bufio.NewReader(file)); ; {
		var c recordedCase
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			return cases, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading %s behind case %d: %w", path, len(cases), err)
		}
		key := strings.Join([]string{c.In.Device, c.In.Body, c.In.Envelope, string(c.In.Properties), string(c.In.System)}, "\x00")
		if c.Want.Rule == "exact" && !seen[key] {
			seen[key] = true
			cases = append(cases, c)
		}
	}
}

// input returns the message of a case, false when it has no bytes.
func (c *recordedCase) input() (input, bool, error) {
	if c.In.Envelope != "" {
		return wholeInput([]byte(c.In.Envelope)), true, nil
	}
	properties, err1 := readProperties(c.In.Properties)
	system, err2 := readProperties(c.In.System)
	return bodyInput([]byte(c.In.Body), properties, system), c.In.Body != "", errors.Join(err1, err2)
}

// measure adds the figures of one case.
func (g *generalFigures) measure(ctx context.Context, m *meter, c *recordedCase) error {
	msg, some, err := c.input()
	if err != nil {
		return err
	}
	o, err := loadOurs([]byte(c.In.Device), plainMapper)
	switch {
	case err != nil:
		g.refused[err.Error()] = append(g.refused[err.Error()], c.ID)
		return nil
	case !some:
		g.bare++
		return nil
	}
	var out output
	if err := o.apply(&msg, &out); err != nil || len(out.ends) != len(c.Want.Measurements) {
		g.wrong = append(g.wrong, c.ID)
		return nil
	}
	messages := []input{msg}
	readings, err := m.measure(ctx, []subject{yardstick(messages), {oursName, workOf(o, messages)}})
	if err != nil {
		return err
	}
	g.ratios = append(g.ratios, caseRatio{c.ID, readings[1].nanos / readings[0].nanos, readings[1].nanos})
	return nil
}

func (g *generalFigures) print(w io.Writer) {
	fmt.Fprintf(w, "\nAny expression: %s over the recorded cases, CPU relative to json.Valid on the same bytes\n", oursName)
	if n := len(g.ratios); n > 0 {
		slices.SortFunc(g.ratios, func(a, b caseRatio) int { return cmp.Compare(a.ratio, b.ratio) })
		median := percentile(g.ratios, 0.5).ratio
		fmt.Fprintf(w, "%d cases: median %.2f (at most %.0f: %s), 90th percentile %.2f\n",
			n, median, mostGeneral, verdict(median, mostGeneral), percentile(g.ratios, 0.9).ratio)
		fmt.Fprint(w, "slowest:")
		for _, c := range slices.Backward(g.ratios[max(0, n-shownCases):]) {
			fmt.Fprintf(w, " %s %.1f (%.0f ns)", c.id, c.ratio, c.nanos)
		}
		fmt.Fprintln(w)
	}
	if g.bare > 0 {
		fmt.Fprintf(w, "%d cases without bytes to parse are left out\n", g.bare)
	}
	if n := len(g.wrong); n > 0 {
		fmt.Fprintf(w, "%d cases do not give as many measurements as recorded and are left out: %s\n",
			n, strings.Join(g.wrong[:min(n, shownCases)], " "))
	}
	g.printRefused(w)
}

// printRefused lists why mappings do not load, the most frequent reason first.
func (g *generalFigures) printRefused(w io.Writer) {
	var reasons []string
	sum := 0
	for reason, ids := range g.refused {
		reasons = append(reasons, reason)
		sum += len(ids)
	}
	if sum == 0 {
		return
	}
	slices.SortFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(g.refused[b]), len(g.refused[a])), strings.Compare(a, b))
	})
	fmt.Fprintf(w, "%d cases are refused:\n", sum)
	for _, reason := range reasons[:min(len(reasons), shownCases)] {
		ids := g.refused[reason]
		fmt.Fprintf(w, "  %d (%s first): %s\n", len(ids), ids[0], reason)
	}
	if more := len(reasons) - shownCases; more > 0 {
		fmt.Fprintf(w, "  and %d other reasons\n", more)
	}
}
