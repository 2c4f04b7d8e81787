package main

import (
	"fmt"
	"text/tabwriter"
)

// levels are the targets of the mapping: CPU from bytes in to Avro bytes out,
// relative to json.Valid on the same bytes in the same run.
var levels = []struct {
	name string
	most map[string]float64 // by workload
}{
	{"must", map[string]float64{"W1": 0.45, "W2": 0.65, "W3": 0.85, "W4": 0.40, "W5": 0.60}},
	{"goal", map[string]float64{"W1": 0.25, "W2": 0.40, "W3": 0.50, "W4": 0.22, "W5": 0.33}},
	{"moonshot", map[string]float64{"W1": 0.12, "W2": 0.28, "W3": 0.40, "W4": 0.12, "W5": 0.18}},
}

// Other targets.
const (
	mostAdded   = 1.15 // 19 templates that do not match, relative to without them
	mostGeneral = 6.0  // median of the cases, relative to json.Valid
	mostGrowth  = 1.5  // a byte of the longest message, relative to one of the shortest
)

// reached returns the highest level that a ratio meets, or "none".
func reached(workload string, ratio float64) string {
	best := "none"
	for _, l := range levels {
		if ratio <= l.most[workload] {
			best = l.name
		}
	}
	return best
}

// verdict says whether a target is met.
func verdict(found, most float64) string {
	if found <= most {
		return "met"
	}
	return "NOT met"
}

func (b *mappingBench) printMachine() {
	fmt.Fprintln(b.out, machine())
	fmt.Fprintf(b.out, "lower quartile of %d rounds", b.rounds)
	if load := machineLoad(); load != "" {
		fmt.Fprintf(b.out, "; load of the machine at the start: %s", load)
	}
	fmt.Fprintln(b.out)
}

// printWorkloads prints the tables of one form.
func (b *mappingBench) printWorkloads(f form, all []*workloadFigures) {
	var columns []*workloadFigures
	for _, w := range all {
		if w.form == f {
			columns = append(columns, w)
		}
	}
	if len(columns) == 0 {
		return
	}
	t := &table{tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight), columns}
	t.printRatios(f)
	t.printCosts("CPU ns a message", "%.0f", func(r reading) float64 { return r.nanos })
	t.printCosts("allocations a message", "%.2f", func(r reading) float64 { return r.allocs })
	t.printCosts("spread of the rounds, %", "%.0f", func(r reading) float64 { return 100 * r.spread })
	_ = t.Flush() // a terminal that is gone
	for _, w := range columns {
		for _, e := range contenders {
			if err, ok := w.refused[e.name]; ok {
				fmt.Fprintf(b.out, "%s is refused by %s: %v\n", w.workload, e.name, err)
			}
		}
	}
}

// table has a column for each workload.
type table struct {
	*tabwriter.Writer
	columns []*workloadFigures
}

// row prints one line.
func (t *table) row(name string, cell func(*workloadFigures) string) {
	fmt.Fprintf(t, "%s\t", name)
	for _, w := range t.columns {
		fmt.Fprintf(t, "%s\t", cell(w))
	}
	fmt.Fprintln(t)
}

func (t *table) heading(title string) {
	fmt.Fprintf(t, "\n%s\n", title)
	t.row("", func(w *workloadFigures) string { return w.workload })
}

// printRatios prints what the targets are about.
func (t *table) printRatios(f form) {
	t.heading("Form " + string(f) + ": CPU relative to json.Valid on the same bytes")
	t.row("messages", func(w *workloadFigures) string { return fmt.Sprint(w.messages) })
	t.row("bytes a message", func(w *workloadFigures) string { return fmt.Sprint(w.bytes) })
	for _, e := range contenders {
		t.row(e.name, func(w *workloadFigures) string {
			return w.cell(e.name, "%.2f", func(r reading) float64 { return r.nanos / w.valid.nanos })
		})
	}
	for _, l := range levels {
		t.row(l.name, func(w *workloadFigures) string { return fmt.Sprintf("%.2f", l.most[w.workload]) })
	}
	t.row(oursName+" reaches", func(w *workloadFigures) string {
		return w.judge(func(r reading) string { return reached(w.workload, r.nanos/w.valid.nanos) })
	})
	t.row("0 allocations a message", func(w *workloadFigures) string {
		return w.judge(func(r reading) string { return verdict(r.allocs, 0) })
	})
}

// printCosts prints a figure of json.Valid and of all contenders.
func (t *table) printCosts(title, format string, figure func(reading) float64) {
	t.heading(title)
	t.row("json.Valid", func(w *workloadFigures) string { return fmt.Sprintf(format, figure(w.valid)) })
	for _, e := range contenders {
		t.row(e.name, func(w *workloadFigures) string { return w.cell(e.name, format, figure) })
	}
}

// cell prints a figure of a contender.
func (w *workloadFigures) cell(contender, format string, figure func(reading) float64) string {
	r, ok := w.readings[contender]
	if !ok {
		return "refused"
	}
	return fmt.Sprintf(format, figure(r))
}

// judge says how the contender that the targets are for has done.
func (w *workloadFigures) judge(say func(reading) string) string {
	r, ok := w.readings[oursName]
	if !ok {
		return "refused"
	}
	return say(r)
}
