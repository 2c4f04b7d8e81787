package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnvironmentOverrides(t *testing.T) {
	c := load(t, least+"observe:\nsignals: {hr: {from: [{type: a, value: b}]}}\n",
		"PATH=/bin", "AUSCULT_TEST_LONG=1", "AUSCULT_BENCH_PROFILE=x",
		"AUSCULT_RIVER_BROKERS=a:1, b:2",
		"AUSCULT_RIVER_PARTITIONS=4",
		"AUSCULT_RIVER_TLS_ENABLED=true",
		"AUSCULT_RIVER_SASL_MECHANISM=SCRAM-SHA-256",
		"AUSCULT_RIVER_SASL_USER=12",
		"AUSCULT_RIVER_SASL_PASSWORD=[1, ': #x",
		"AUSCULT_OBSERVE_IDLEAFTER=1d",
		"AUSCULT_OBSERVE_PARKLIMIT=", // left out by a compose file
		"AUSCULT_MIGRATION_CUTOVER=2028-05-01T00:00:00Z",
		"AUSCULT_FHIR_HEADERS={x: y}",
		"AUSCULT_IDENTITY_FACTS=[{name: spo2-scale-2, codes: [s|c]}]",
		"AUSCULT_CONSOLE_LISTEN=127.0.0.1:0", "AUSCULT_WAREHOUSE_PATH=/w.db",
	)
	if !slices.Equal(c.River.Brokers, []string{"a:1", "b:2"}) || c.River.Partitions != 4 || !c.River.TLS.Enabled {
		t.Errorf("river is %+v", c.River)
	}
	if c.River.SASL.User != "12" || string(c.River.SASL.Password) != "[1, ': #x" {
		t.Error("user or password are not taken as they are")
	}
	if c.Observe.IdleAfter != day || c.Observe.ParkLimit != Default().Observe.ParkLimit {
		t.Errorf("observe is %+v", c.Observe)
	}
	if !c.Migration.Cutover.Equal(time.Date(2028, 5, 1, 0, 0, 0, 0, time.UTC)) || c.FHIR.Headers["x"] != "y" || c.Console.Listen != "127.0.0.1:0" {
		t.Errorf("got %v, %v, %q", c.Migration.Cutover, c.FHIR.Headers, c.Console.Listen)
	}
	if len(c.Identity.Facts) != 1 || c.Identity.Facts[0].Codes[0] != "s|c" {
		t.Errorf("facts are %v", c.Identity.Facts)
	}
	if c := load(t, least, "AUSCULT_RIVER_BROKERS=[a:1, b:2]"); len(c.River.Brokers) != 2 {
		t.Errorf("brokers are %v", c.River.Brokers)
	}
}

// TestEnvironmentLeavesAnchorsAlone: a variable changes the setting that it
// names, not all that share an anchor with it.
func TestEnvironmentLeavesAnchorsAlone(t *testing.T) {
	c := load(t, `river: &broker
  profile: kafka
  brokers: [a:1]
  tls: {enabled: true}
  sasl: &who {mechanism: SCRAM-SHA-512, user: river, password: p}
source:
  start: earliest
  profile: kafka
  brokers: [b:1]
  sasl: *who
`, "AUSCULT_SOURCE_SASL_USER=source")
	if c.River.SASL.User != "river" || c.Source.SASL.User != "source" || c.Source.SASL.Password != "p" {
		t.Errorf("river is %q, source %q", c.River.SASL.User, c.Source.SASL.User)
	}
}

// TestVariablesAreUnambiguous: two settings must not share a variable.
func TestVariablesAreUnambiguous(t *testing.T) {
	n := 0
	var count func(reflect.Type)
	count = func(typ reflect.Type) {
		for f := range fields(typ) {
			if f.typ.Kind() == reflect.Struct && !plain(f.typ) {
				count(f.typ)
			} else {
				n++
			}
		}
	}
	count(reflect.TypeFor[Config]())
	all := Variables()
	if len(all) != n {
		t.Errorf("%d settings have %d variables", n, len(all))
	}
	for name, path := range all {
		if !ours(name) || strings.ToUpper(name) != name {
			t.Errorf("%s of %s is no variable of ours", name, path)
		}
	}
	if all["AUSCULT_RIVER_SASL_PASSWORD"] != "river.sasl.password" {
		t.Errorf("got %v", all)
	}
}
