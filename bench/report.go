package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"auscult/schemas"
)

// report is everything that a run has found.
type report struct {
	Taken    time.Time `json:"taken"`
	Machine  string    `json:"machine"`
	Load     string    `json:"loadAtTheStart"` // of the machine, by others
	Devices  int       `json:"devices"`
	Messages int       `json:"messages"`
	Emit     string    `json:"emit"`
	Profiled bool      `json:"profiled,omitempty"`

	Stages       []stageFigures `json:"stages,omitempty"`
	StagesBroker float64        `json:"stagesBrokerCPUMicrosPerMessage,omitempty"`
	StagesFHIR   float64        `json:"stagesFHIRServerCPUMicrosPerMessage,omitempty"`

	Topics  []topicFigures   `json:"topics,omitempty"`
	Drain   *drainFigures    `json:"drain,omitempty"`
	Latency []latencyFigures `json:"latency,omitempty"`
	Ticks   []tickFigures    `json:"ticks,omitempty"`
}

func newReport(o *options) *report {
	return &report{
		Taken:   time.Now().UTC().Truncate(time.Second),
		Machine: machine(), Load: machineLoad(),
		Devices: o.devices, Messages: o.messages, Emit: o.emit, Profiled: o.profile != "",
	}
}

// machine says on what a run was made.
func machine() string {
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// machineLoad returns the load averages; empty where there is no /proc.
func machineLoad() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // not everywhere
	for line := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// print writes the figures for a person.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n%d devices, emit: %s", r.Machine, r.Devices, r.Emit)
	if r.Load != "" {
		fmt.Fprintf(w, "; load of the machine at the start: %s", r.Load)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	r.printStages(t)
	r.printDrain(t)
	r.printLatency(t)
	r.printTicks(t)
	_ = t.Flush() // what cannot be printed is still in -out
}

func (r *report) printStages(w io.Writer) {
	if len(r.Stages) == 0 {
		return
	}
	fmt.Fprintf(w, "\nCPU of each stage as a process of its own (rusage), %d messages, us a device message\n", r.Messages)
	fmt.Fprintln(w, "stage\tCPU\tof it start\tfinished after s\t")
	var sum stageFigures
	for _, s := range r.Stages {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t\n", s.Stage, s.CPUMicrosPerMessage, s.StartMicrosPerMessage, s.Seconds)
		sum.CPUMicrosPerMessage += s.CPUMicrosPerMessage
		sum.StartMicrosPerMessage += s.StartMicrosPerMessage
	}
	fmt.Fprintf(w, "all\t%.1f\t%.1f\t\t\n", sum.CPUMicrosPerMessage, sum.StartMicrosPerMessage)
	fmt.Fprintf(w, "broker\t%.1f\t\t\t\nFHIR server\t%.1f\t\t\t\n", r.StagesBroker, r.StagesFHIR)
	printTopics(w, r.Topics)
}

func printTopics(w io.Writer, topics []topicFigures) {
	if len(topics) == 0 {
		return
	}
	fmt.Fprintln(w, "\nAppended to the topics, a device message (key, value and headers, uncompressed)")
	fmt.Fprintln(w, "topic\trecords\tbytes\tbytes a record\t")
	for _, f := range topics {
		name := f.Topic
		if f.changelog() {
			name += " (changelog)"
		}
		if f.Compacted {
			name += " ~"
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.0f\t%.0f\t\n", name, f.RecordsPerMessage, f.BytesPerMessage, f.BytesPerRecord)
	}
}

// changelog reports whether the topic holds the rows of a table.
func (f *topicFigures) changelog() bool {
	return f.Topic == schemas.TopicObserveTable || f.Topic == schemas.TopicAssessTable
}

func (r *report) printDrain(w io.Writer) {
	d := r.Drain
	if d == nil {
		return
	}
	fmt.Fprintf(w, "\nDrain of %d messages, all stages in one process\n", d.Messages)
	fmt.Fprintln(w, "\tmessages/s\tCPU us a message\tmessages/s per core\t")
	fmt.Fprintf(w, "stages\t\t%.1f\t%.0f\t\n", d.CPUMicrosPerMessage, d.PerCoreStages)
	fmt.Fprintf(w, "broker\t\t%.1f\t\t\n", d.BrokerMicros)
	fmt.Fprintf(w, "FHIR server\t\t%.1f\t\t\n", d.FHIRMicros)
	fmt.Fprintf(w, "all\t%.0f\t%.1f\t%.0f\t\n", d.PerSecond, d.CPUMicrosPerMessage+d.BrokerMicros+d.FHIRMicros, d.PerCoreAll)
	if d.DeadLetters > 0 {
		fmt.Fprintf(w, "%d dead letters\n", d.DeadLetters)
	}
}

func (r *report) printLatency(w io.Writer) {
	if len(r.Latency) == 0 {
		return
	}
	fmt.Fprintln(w, "\nLatency in ms, from the scheduled arrival of the message (open loop) to the FHIR server's 2xx;")
	fmt.Fprintln(w, "in brackets from the broker's acknowledgement of the message")
	fmt.Fprintln(w, "\tp50\tp99\tmax\tn\t")
	for _, f := range r.Latency {
		kept := "kept up"
		if !f.KeptUp {
			kept = "DID NOT KEEP UP"
		}
		fmt.Fprintf(w, "%.0f messages/s (%.0f %%)\t%s, finished %.1f s after the last message; cores: stages %.2f, broker %.2f\n",
			f.Rate, 100*f.OfMaximum, kept, f.Settled, f.Stages, f.Broker)
		printSpread(w, "Observation", f.Observation, f.ObservationFromAck)
		if f.Alert.N > 0 || f.MissingAlerts > 0 {
			printSpread(w, "alert", f.Alert, f.AlertFromAck)
		}
		fmt.Fprintf(w, "broker's acknowledgement\t%.1f\t%.1f\t%.1f\t%d\t\n", f.Append.P50, f.Append.P99, f.Append.Max, f.Append.N)
		for _, t := range f.Topics {
			if t.changelog() {
				fmt.Fprintf(w, "changelog of %s: %.0f bytes a message, %.0f a row\n", t.Topic, t.BytesPerMessage, t.BytesPerRecord)
			}
		}
		if f.MissingObservations+f.MissingAlerts+f.EarlyAlerts > 0 {
			fmt.Fprintf(w, "did not come: %d Observations, %d alerts; came without reason: %d alerts\n", f.MissingObservations, f.MissingAlerts, f.EarlyAlerts)
		}
	}
}

func printSpread(w io.Writer, name string, due, ack spread) {
	fmt.Fprintf(w, "%s\t%.1f (%.1f)\t%.1f (%.1f)\t%.1f (%.1f)\t%d\t\n", name, due.P50, ack.P50, due.P99, ack.P99, due.Max, ack.Max, due.N)
}

func (r *report) printTicks(w io.Writer) {
	if len(r.Ticks) == 0 {
		return
	}
	fmt.Fprintf(w, "\nTicks of Observe over %d rows of %.0f bytes\n", r.Ticks[0].Rows, r.Ticks[0].RowBytes)
	fmt.Fprintln(w, "due\tticks\tlongest ms\tus a due row\tCPU ms/s when nothing is due\tseconds to read the table\t")
	for _, f := range r.Ticks {
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", f.Due, f.Ticks, f.Longest, f.PerRow, f.IdleCPU, f.Recovery)
	}
}
