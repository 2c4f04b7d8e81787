package topology_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"gopkg.in/yaml.v3"

	"auscult/fhir"
	"auscult/internal/config"
	"auscult/internal/scene"
	"auscult/mapping"
	"auscult/processors"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/sinks/warehouse"
	"auscult/topology"
	"auscult/topology/topologytest"
)

// play is one play being put on: a river of real stages in memory, a FHIR
// server in memory, and everything that has left the stages.
type play struct {
	t          *testing.T
	partitions int32
	seed       uint64
	cfg        *config.Config

	rules   *scoring.Rules
	device  *mapping.Device
	fhirMap *fhir.Mapping
	store   *topologytest.Store
	flaky   *topologytest.Flaky // nil in an undisturbed run
	river   *topologytest.River
	// warehouse is nil when the play does not ask for facts.
	warehouse   *warehouse.Warehouse
	factsFolder string
	paused      time.Duration // that Deliver has waited
	told        told
	// logged, when set, hears whatever a stage gives to a log.
	logged func(what string, value any)
}

func newPlay(t *testing.T, partitions int32, seed uint64) *play {
	p := &play{t: t, partitions: partitions, seed: seed, cfg: config.Default(), told: newTold(), logged: func(string, any) {}}
	text, err := os.ReadFile("testdata/auscult.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.overlay(text); err != nil {
		t.Fatal(err)
	}
	return p
}

// overlay reads settings over those that hold.
func (p *play) overlay(text []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	return d.Decode(p.cfg)
}

func (p *play) configure(c scene.Command) (string, error) {
	return "", p.overlay([]byte(strings.Join(c.Lines, "\n")))
}

// model changes the window or the Flag of the model.
func (p *play) model(c scene.Command) (string, error) {
	m := &p.cfg.Scoring.Scoring.Models[0]
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(arg, "=")
		var target any = m
		switch name {
		case "size", "slide", "origin", "grace", "emit":
			target = &m.Window
		case "open", "close", "on", "off", "incomplete":
			target = m.Flag
		}
		d := yaml.NewDecoder(strings.NewReader(name + ": " + value))
		d.KnownFields(true)
		if err := d.Decode(target); err != nil {
			return "", err
		}
	}
	return "", nil
}

// begin builds the river at the first command that needs it.
func (p *play) begin() error {
	if p.river != nil {
		return nil
	}
	p.cfg.Scoring.Pane = p.cfg.Observe.Pane
	var err error
	if p.rules, err = scoring.Compile(p.cfg.Scoring); err != nil {
		return err
	}
	if p.device, err = load("testdata/devicecontent.json", mapping.LoadDevice); err != nil {
		return err
	}
	if p.fhirMap, err = load("testdata/fhirmapping.json", fhir.LoadMapping); err != nil {
		return err
	}
	p.store = topologytest.NewStore()
	if p.seed != 0 {
		p.flaky = topologytest.NewFlaky(p.store, p.seed)
	}
	p.river = topologytest.New(p.stages, p.partitions, p.seed)
	p.river.Trouble = func(err error) { p.logged("trying again", err) }
	p.told.logged = p.logged
	p.river.Tap = func(topic string, _ int32, r *schemas.Raw) {
		p.logged("written", *r)
		if err := p.told.hear(topic, r); err != nil {
			p.t.Error(err)
		}
	}
	p.river.IdleAfter = p.cfg.Observe.IdleAfter
	dawn, err := time.Parse(time.RFC3339, playDawn)
	p.river.Advance(dawn)
	p.store.Now = p.now
	return err
}

// loaded keeps mapping files between plays.
var loaded = map[string]any{}

func load[T any](path string, read func([]byte) (T, error)) (T, error) {
	if v, ok := loaded[path].(T); ok {
		return v, nil
	}
	var v T
	text, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	if v, err = read(text); err == nil {
		loaded[path] = v
	}
	return v, err
}

// server is what Identify and Deliver talk to.
type server interface {
	processors.Directory
	processors.Uploader
}

func (p *play) server() server {
	if p.flaky != nil {
		return p.flaky
	}
	return p.store
}

func (p *play) now() time.Time {
	if p.river == nil {
		return time.Time{}
	}
	return p.river.Now()
}

// stages builds every stage anew, as a process does that starts.
func (p *play) stages() topology.Graph {
	identity := p.cfg.Identity
	identity.Concurrency = 1 // one request at a time, so that a seed gives one run
	observe := processors.NewObserve(p.observeConfig())
	assess := processors.NewAssess(processors.AssessConfig{Rules: p.rules, IdleFlags: p.cfg.Observe.IdleAfter > 0})
	hot := p.deliverConfig()
	hot.Hot, hot.Scorer = true, p.scorer()
	parts := topology.Parts{
		Normalize:  processors.NewNormalize(p.device, p.cfg.Normalize),
		Identify:   processors.NewIdentify(p.server(), identity, p.now),
		Deliver:    processors.NewDeliver(p.server(), p.fhirMap, p.deliverConfig()),
		DeliverHot: processors.NewDeliver(p.server(), p.fhirMap, hot),
		Observe:    &topology.Keyed{Inputs: []goka.ProcessCallback{observe.Measurement, observe.Identity}, Tick: observe.Tick},
		Assess:     &topology.Keyed{Inputs: []goka.ProcessCallback{assess.Window, assess.Score}, Tick: assess.Tick},
	}
	if p.cfg.Warehouse.Path != "" {
		parts.LoadWarehouse = processors.NewLoad(p.openWarehouse())
	}
	return topology.Lay(parts)
}

func (p *play) observeConfig() processors.ObserveConfig {
	o := &p.cfg.Observe
	return processors.ObserveConfig{
		Mode: p.cfg.Identity.Mode, Pane: schemas.TicksIn(o.Pane),
		Plausible: p.rules.Plausible, Grace: p.rules.Grace, MaxGrace: p.rules.MaxGrace(), EmitValue: p.rules.EmitValue, Period: p.fhirMap.Period,
		IdleAfter: schemas.TicksIn(o.IdleAfter), ParkLimit: o.ParkLimit, FlushCount: o.FlushCount, FlushEvery: schemas.TicksIn(o.FlushEvery),
	}
}

// deliverConfig lets Deliver wait in no time.
func (p *play) deliverConfig() processors.DeliverConfig {
	return processors.DeliverConfig{
		ReferenceWait: p.cfg.Deliver.ReferenceWait, Concurrency: 1, Random: func() float64 { return 0.5 },
		Now: func() time.Time { return p.now().Add(p.paused) },
		Sleep: func(ctx context.Context, d time.Duration) error {
			p.paused += d
			return ctx.Err()
		},
		OnRetry: func(err error, _ time.Duration) { p.logged("trying again", err) },
	}
}

func (p *play) scorer() schemas.WholeResource {
	var models []fhir.ModelVersion
	for _, m := range p.rules.Models {
		models = append(models, fhir.ModelVersion{ID: m.ID, Version: m.Version})
	}
	return schemas.WholeResource{Type: "Device", ID: fhir.DefaultScorer, JSON: string(fhir.ScorerDevice(fhir.Names{}, models))}
}

// openWarehouse opens the facts of the play, once for all processes that write
// to them.
func (p *play) openWarehouse() *warehouse.Warehouse {
	if p.warehouse != nil {
		return p.warehouse
	}
	p.factsFolder = p.t.TempDir()
	w, err := warehouse.Open(p.t.Context(), filepath.Join(p.factsFolder, p.cfg.Warehouse.Path), "auscult")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = w.Close() })
	p.warehouse = w
	return w
}

// message is one device message.
type message struct {
	device    string
	fields    []string // of JSON
	arrives   string
	partition int32
}

// values adds names and values.
func (m *message) values(words []string) {
	for i := 0; i+1 < len(words); i += 2 {
		value := words[i+1]
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			value = strconv.Quote(value)
		}
		m.fields = append(m.fields, strconv.Quote(words[i])+":"+value)
	}
}

func (m *message) option(name, value string) error {
	switch name {
	case "arrives":
		m.arrives = value
	case "partition":
		n, err := strconv.Atoi(value)
		m.partition = int32(n)
		return err
	case "patient", "encounter":
		m.fields = append(m.fields, strconv.Quote(name)+":"+strconv.Quote(value))
	default:
		return fmt.Errorf("messages have no option %s", name)
	}
	return nil
}

// append lets a message that was made at a time arrive.
func (p *play) append(m message, made time.Time) error {
	arrives := made
	if m.arrives != "" {
		var err error
		if arrives, err = instant(m.arrives); err != nil {
			return err
		}
	}
	p.river.Advance(arrives)
	body := fmt.Sprintf(`{"device":%q,"time":%q,%s}`, m.device, made.Format(timeLayout), strings.Join(m.fields, ","))
	if !json.Valid([]byte(body)) {
		return fmt.Errorf("%s is no JSON", body)
	}
	partition := m.partition
	if partition >= 0 {
		partition %= p.partitions
	}
	p.river.Append(schemas.TopicDeviceData, partition, schemas.Raw{Key: []byte(m.device), Value: []byte(body), Timestamp: p.river.Now()})
	return nil
}

func (p *play) settle(scene.Command) (string, error) { return "", nil }

func (p *play) calm(scene.Command) (string, error) {
	p.river.Calm = true
	return "", nil
}

// pass lets the wall clock go on and gives the ticks that are due then. The line
// to the server is good meanwhile: who asks again in five seconds is not waited
// for.
func (p *play) pass(c scene.Command) (string, error) {
	if len(c.Args) != 1 {
		return "", errors.New("how long?")
	}
	d, err := time.ParseDuration(c.Args[0])
	if err != nil {
		return "", err
	}
	p.river.Advance(p.river.Now().Add(d))
	if p.flaky != nil {
		p.flaky.Calm = true
		defer func() { p.flaky.Calm = false }()
	}
	return "", p.river.Tick(p.t.Context())
}

func (p *play) again(c scene.Command) (string, error) {
	for _, stage := range c.Args {
		p.river.Rewind(stage)
	}
	return "", p.river.Settle(p.t.Context())
}

func (p *play) restart(c scene.Command) (string, error) {
	for _, stage := range c.Args {
		p.river.Restart(stage)
	}
	return "", nil
}

func (p *play) end(scene.Command) (string, error) { return "", p.river.End(p.t.Context()) }

// fhir writes what somebody else writes on the FHIR server:
//
//	Patient anna born=1950-01-01 gender=female
//	Device m1 of anna
//	DeviceUseStatement m1 of anna from 09:00 to 10:05
//	Encounter e1 of anna
//	Condition of anna http://snomed.info/sct|13645005
//	Flag of anna news2 inactive
func (p *play) fhir(c scene.Command) (string, error) {
	for _, line := range c.Lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			return "", fmt.Errorf("%q says too little", line)
		}
		if err := p.somebodyWrites(words[0], words[1:]); err != nil {
			return "", fmt.Errorf("%q: %w", line, err)
		}
	}
	return "", nil
}

// after returns the word behind another one.
func after(words []string, word string) string {
	for i, w := range words[:max(len(words)-1, 0)] {
		if w == word {
			return words[i+1]
		}
	}
	return ""
}

func (p *play) somebodyWrites(kind string, words []string) error {
	id, of := words[0], after(words, "of")
	reference := func(patient string) map[string]any { return map[string]any{"reference": "Patient/" + patient} }
	r := map[string]any{"resourceType": kind, "id": id, "identifier": []any{map[string]any{"value": id}}}
	switch kind {
	case "Patient":
		for _, w := range words[1:] {
			if name, value, ok := strings.Cut(w, "="); ok {
				r[map[string]string{"born": "birthDate"}[name]+map[string]string{"gender": "gender"}[name]] = value
			}
		}
	case "Device":
		if of != "" {
			r["patient"] = reference(of)
		}
	case "DeviceUseStatement":
		period := map[string]any{}
		for word, member := range map[string]string{"from": "start", "to": "end"} {
			if text := after(words, word); text != "" {
				at, err := instant(text)
				if err != nil {
					return err
				}
				period[member] = at.Format(time.RFC3339)
			}
		}
		r["id"], r["status"], r["subject"], r["timingPeriod"] = id+"-"+of, "active", reference(of), period
		r["device"] = map[string]any{"reference": "Device/" + id}
	case "Encounter":
		r["subject"] = reference(of)
	case "Condition":
		system, code, _ := strings.Cut(words[2], "|")
		r = map[string]any{"resourceType": kind, "id": of + "-" + code, "subject": reference(of),
			"code": map[string]any{"coding": []any{map[string]any{"system": system, "code": code}}}}
	case "Flag":
		return p.somebodyEnds(words[1], words[2], words[3])
	default:
		return errors.New("plays do not write such a resource")
	}
	body, err := json.Marshal(r)
	if err == nil {
		_, err = p.store.Put(p.t.Context(), kind, r["id"].(string), body, "")
	}
	return err
}

// somebodyEnds gives the open Flag of a rule another status.
func (p *play) somebodyEnds(patient, rule, status string) error {
	for name, body := range p.store.Resources() {
		var f flagResource
		if !strings.HasPrefix(name, "Flag/") || json.Unmarshal([]byte(body), &f) != nil {
			continue
		}
		if f.Status != "active" || f.rule() != rule || f.Subject.Reference != "Patient/"+patient {
			continue
		}
		body = strings.Replace(body, `"status":"active"`, fmt.Sprintf(`"status":%q`, status), 1)
		_, err := p.store.Put(p.t.Context(), "Flag", strings.TrimPrefix(name, "Flag/"), []byte(body), "")
		return err
	}
	return errors.New("there is no such Flag")
}
