package examples

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// observation is what TestEverySampleArrivesOnce compares.
type observation struct {
	Subject, Device struct{ Reference string }
	Code            struct {
		Coding []struct{ System, Code string }
	}
	EffectivePeriod struct{ Start, End string }
	ValueQuantity   struct {
		Value        json.Number
		System, Code string
	}
}

// bidmcCodes are the columns of a recording: LOINC and UCUM code.
var bidmcCodes = map[string][2]string{
	"HR": {"8867-4", "/min"}, "PULSE": {"8889-8", "/min"}, "RESP": {"9279-1", "/min"}, "SpO2": {"59408-5", "%"},
}

func TestEverySampleArrivesOnce(t *testing.T) {
	data := asked(t, "data/bidmc")
	out := run(t, "bidmc/run.sh", data)
	want := bidmcCells(t, data)
	base := serve(t, out, "fhir-server")
	names := referenceNames(t, base)
	got := map[string]string{}
	n := all(t, base+"/Observation?_count=1000", func(o observation) {
		loinc := ""
		for _, c := range o.Code.Coding {
			if c.System == "http://loinc.org" {
				loinc = c.Code
			}
		}
		who := names[o.Subject.Reference]
		if names[o.Device.Reference] != who {
			who += " by " + names[o.Device.Reference]
		}
		if o.EffectivePeriod.Start != o.EffectivePeriod.End {
			t.Errorf("an Observation lasts from %s to %s", o.EffectivePeriod.Start, o.EffectivePeriod.End)
		}
		at, err := time.Parse(time.RFC3339Nano, o.EffectivePeriod.Start)
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s %s %d", who, loinc, at.Sub(t0)/time.Second)] =
			o.ValueQuantity.Value.String() + " " + o.ValueQuantity.System + " " + o.ValueQuantity.Code
	})
	if n != 101559 || len(want) != 101559 {
		t.Errorf("%d Observations for %d cells, want 101559", n, len(want))
	}
	compare(t, "Observation", got, want)
	drained(t, out)
}

// referenceNames maps Patient/x and Device/x to their identifiers.
func referenceNames(t *testing.T, base string) map[string]string {
	t.Helper()
	type named struct {
		ResourceType, ID string
		Identifier       []struct{ Value string }
	}
	names := map[string]string{}
	for _, kind := range []string{"Patient", "Device"} {
		all(t, base+"/"+kind+"?_count=1000", func(r named) {
			if len(r.Identifier) > 0 {
				names[kind+"/"+r.ID] = r.Identifier[0].Value
			}
		})
	}
	return names
}

// bidmcCells reads every present cell of the recordings.
func bidmcCells(t *testing.T, data string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "bidmc_*_Numerics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]string{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		r := csv.NewReader(f)
		r.TrimLeadingSpace, r.FieldsPerRecord = true, -1
		lines, err := r.ReadAll()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		who := "bidmc-" + strings.Split(filepath.Base(file), "_")[1]
		for _, line := range lines[1:] {
			for i, name := range lines[0][1:] {
				code := bidmcCodes[strings.TrimSpace(name)]
				if i+1 >= len(line) {
					continue
				}
				if v := strings.TrimSpace(line[i+1]); v != "" && v != "NaN" {
					// One recording counts its first second as -0.
					cells[fmt.Sprintf("%s %s %d", who, code[0], int(number(t, strings.TrimSpace(line[0]))))] = v + " http://unitsofmeasure.org " + code[1]
				}
			}
		}
	}
	return cells
}

// drained asks `topics plan` of the stopped broker: every group has committed
// the ends of what it reads.
func drained(t *testing.T, out string) {
	t.Helper()
	text, err := exec.Command(filepath.Join(out, "auscult"), "topics", "plan", "--data", out).CombinedOutput()
	if err != nil {
		t.Fatalf("topics plan: %v\n%s", err, text)
	}
	readers := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if _, err := strconv.Atoi(f[len(f)-1]); len(f) != 5 || err != nil {
			continue // the plan above, and topics that nobody reads
		}
		readers++
		if f[2] != f[4] {
			t.Errorf("topics plan: group %s has committed %s of %s/%s, which ends at %s", f[3], f[4], f[0], f[1], f[2])
		}
	}
	if readers == 0 {
		t.Errorf("topics plan names no group:\n%s", text)
	}
}
