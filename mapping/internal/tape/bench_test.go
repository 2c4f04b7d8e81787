package tape

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// workloads are the shared messages, and the names that their mappings mention.
var workloads = []struct {
	name, file string
	names      []string
}{
	{"W1", "W1_single", []string{"heartRate", "deviceId", "endDate"}},
	{"W2", "W2_multi4", []string{"telemetry", "HeartRate", "RespiratoryRate", "BloodPressure", "BodyTemperature", "Systolic", "Diastolic", "deviceId", "enqueuedTime"}},
	{"W3", "W3_array100", []string{"heartRate", "deviceId", "endDate"}},
	{"W4", "W4_20tmpl", []string{"heartRate", "stepCount", "bloodGlucose", "height", "restingHeartRate", "deviceId", "endDate"}},
	{"W5", "W5_calc", []string{"unit", "height", "deviceId", "endDate"}},
}

// messages reads the lines of a workload; it skips the test without them.
func messages(tb testing.TB, file string) [][]byte {
	tb.Helper()
	all, err := os.ReadFile(filepath.Join("../../../../shared/workloads", file+".messages.jsonl"))
	if err != nil {
		tb.Skip("the shared workloads are absent: ", err)
	}
	return bytes.Split(bytes.TrimSpace(all), []byte("\n"))
}

// quartiles times passes over messages, one subject after the other in every
// round, and returns the lower quartile of each: a pass is short, so most are
// not disturbed even on a busy machine.
func quartiles(b *testing.B, lines [][]byte, subjects ...func([]byte) bool) []float64 {
	times := make([][]float64, len(subjects))
	for b.Loop() {
		for i, subject := range subjects {
			start := time.Now()
			for _, line := range lines {
				if !subject(line) {
					b.Fatalf("refused: %s", line)
				}
			}
			times[i] = append(times[i], float64(time.Since(start))/float64(len(lines)))
		}
	}
	lower := make([]float64, len(subjects))
	for i := range times {
		slices.Sort(times[i])
		lower[i] = times[i][len(times[i])/4]
	}
	return lower
}

// BenchmarkParse compares the parser with json.Valid, which only checks.
func BenchmarkParse(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			subjects := []func([]byte) bool{json.Valid}
			for _, keep := range levels {
				tape := newTape(keep, w.names...)
				subjects = append(subjects, func(line []byte) bool {
					tape.Reset(line)
					return tape.Parse() == nil
				})
			}
			shaped := newTape(KeepNamed, w.names...)
			shaped.UseShapes()
			subjects = append(subjects, func(line []byte) bool {
				shaped.Reset(line)
				return shaped.Parse() == nil
			})
			q := quartiles(b, messages(b, w.file), subjects...)
			b.ReportMetric(q[0], "ns/valid")
			b.ReportMetric(q[1], "ns/named")
			b.ReportMetric(q[1]/q[0], "named/valid")
			b.ReportMetric(q[2]/q[0], "elements/valid")
			b.ReportMetric(q[3]/q[0], "all/valid")
			b.ReportMetric(q[4]/q[0], "shaped/valid")
		})
	}
}
