package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lovoo/goka"

	"auscult/console"
	"auscult/fhir"
	"auscult/fhir/rest"
	"auscult/internal/config"
	"auscult/kafka"
	"auscult/mapping"
	"auscult/processors"
	"auscult/schemas"
	"auscult/scoring"
	"auscult/sinks/lake"
	"auscult/sinks/warehouse"
	"auscult/topology"
)

// warehouseSink is this sink's name among those that share a database.
const warehouseSink = "auscult"

// river is everything that a configuration makes: connections, stages and what
// they write to.
type river struct {
	cfg        *config.Config
	source     *kafka.Conn
	kafka      *kafka.Conn
	rules      *scoring.Rules
	device     *mapping.Device
	deviceText []byte // of the file that device was read from
	fhir       *fhir.Mapping
	client     *rest.Client
	warehouse  *warehouse.Warehouse
	history    *warehouse.Reader // of the console; nil without one
	stats      kafka.Stats
	waits      console.Waits
	log        *log // nil until something runs
	assessed   assessed

	normalize *processors.Normalize
	identify  *processors.Identify
	observe   *processors.Observe
	assess    *processors.Assess
	deliver   *processors.Deliver
	hot       *processors.Deliver
	graph     topology.Graph
}

// open reads the mapping files and connects; nothing runs yet. stages are those
// that this process will run: what only the others write to stays as it is.
func open(ctx context.Context, cfg *config.Config, stages []string) (*river, error) {
	r := &river{cfg: cfg}
	if err := r.open(ctx, stages); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *river) open(ctx context.Context, stages []string) error {
	if err := schemas.SelfTest(); err != nil {
		return fmt.Errorf("checking the record formats: %w", err)
	}
	if err := r.dial(); err != nil {
		return err
	}
	if err := r.read(); err != nil {
		return err
	}
	var err error
	if r.cfg.FHIR.BaseURL == "" {
		return errors.New("fhir.baseURL is empty: name the FHIR server, such as https://host/fhir")
	}
	if r.client, err = rest.New(r.cfg.FHIR); err != nil {
		return err
	}
	parts := r.parts()
	if err := r.openSinks(ctx, stages, &parts); err != nil {
		return err
	}
	r.graph = topology.Lay(parts)
	return nil
}

func (r *river) dial() error {
	var err error
	if r.kafka, err = kafka.Dial(r.cfg.River); err != nil {
		return err
	}
	r.source, err = kafka.DialSource(r.cfg.Source)
	return err
}

// read loads the mapping files and compiles the models.
func (r *river) read() error {
	var err error
	if r.rules, err = scoring.Compile(r.cfg.Scoring); err != nil {
		return err
	}
	if r.cfg.Mapping.Device == "" || r.cfg.Mapping.FHIR == "" {
		return errors.New("mapping.device and mapping.fhir must name the two mapping files; examples/demo has some to begin with")
	}
	keep := func(text []byte) (*mapping.Device, error) {
		r.deviceText = text
		return mapping.LoadDevice(text)
	}
	if r.device, err = load("mapping.device", r.cfg.Mapping.Device, keep); err != nil {
		return err
	}
	r.fhir, err = load("mapping.fhir", r.cfg.Mapping.FHIR, fhir.LoadMapping)
	return err
}

func load[T any](setting, path string, read func([]byte) (T, error)) (T, error) {
	var zero T
	text, err := os.ReadFile(path)
	if err != nil {
		return zero, fmt.Errorf("reading %s: %w", setting, err)
	}
	v, err := read(text)
	if err != nil {
		return zero, fmt.Errorf("reading %s, %s:\n%w", setting, path, err)
	}
	return v, nil
}

// parts makes the stages, without those that load.
func (r *river) parts() topology.Parts {
	r.normalize = processors.NewNormalize(r.device, r.cfg.Normalize)
	r.identify = processors.NewIdentify(r.client, r.cfg.Identity, time.Now)
	r.observe = processors.NewObserve(observeConfig(r.cfg, r.rules, r.fhir))
	r.assess = processors.NewAssess(processors.AssessConfig{
		Rules: r.rules, IdleFlags: r.cfg.Observe.IdleAfter > 0, Counted: r.assessed.add,
	})
	r.deliver = processors.NewDeliver(r.client, r.fhir, r.deliverConfig(topology.Deliver))
	hot := r.deliverConfig(topology.DeliverHot)
	hot.Hot, hot.Scorer = true, scorer(r.rules)
	r.hot = processors.NewDeliver(r.client, r.fhir, hot)
	return topology.Parts{
		Normalize: r.normalize, Identify: r.identify, Deliver: r.deliver, DeliverHot: r.hot,
		Observe: &topology.Keyed{Inputs: []goka.ProcessCallback{r.observe.Measurement, r.observe.Identity}, Tick: r.observe.Tick},
		Assess:  &topology.Keyed{Inputs: []goka.ProcessCallback{r.assess.Window, r.assess.Score}, Tick: r.assess.Tick},
	}
}

// openSinks opens what the stages that load write to, those of them that this
// process runs.
func (r *river) openSinks(ctx context.Context, stages []string, parts *topology.Parts) error {
	if slices.Contains(stages, topology.LoadRaw) && r.cfg.Lake.Folder != "" {
		zone, err := lake.Open(r.cfg.Lake)
		if err != nil {
			return err
		}
		parts.LoadRaw = processors.NewLoad(zone)
	}
	if slices.Contains(stages, topology.LoadWarehouse) && r.cfg.Warehouse.Path != "" {
		err := os.MkdirAll(filepath.Dir(r.cfg.Warehouse.Path), 0o755)
		if err != nil {
			return fmt.Errorf("making the folder of warehouse.path: %w", err)
		}
		if r.warehouse, err = warehouse.Open(ctx, r.cfg.Warehouse.Path, warehouseSink); err != nil {
			return err
		}
		parts.LoadWarehouse = processors.NewLoad(r.warehouse)
	}
	return nil
}

// observeConfig joins what the configuration, the models and the FHIR mapping
// say about devices.
func observeConfig(cfg *config.Config, rules *scoring.Rules, m *fhir.Mapping) processors.ObserveConfig {
	c := processors.ObserveConfig{
		Mode: cfg.Identity.WithDefaults().Mode, Pane: schemas.TicksIn(cfg.Observe.Pane),
		Plausible: rules.Plausible, Grace: rules.Grace, MaxGrace: rules.MaxGrace(), EmitValue: rules.EmitValue, Period: m.Period,
		IdleAfter: schemas.TicksIn(cfg.Observe.IdleAfter), ParkLimit: cfg.Observe.ParkLimit,
		FlushCount: cfg.Observe.FlushCount, FlushEvery: schemas.TicksIn(cfg.Observe.FlushEvery),
	}
	if !cfg.Migration.Cutover.IsZero() {
		c.Cutover = schemas.TicksOf(cfg.Migration.Cutover)
	}
	return c
}

// scorer is the Device that every RiskAssessment and Flag names as its author.
func scorer(rules *scoring.Rules) schemas.WholeResource {
	var models []fhir.ModelVersion
	for _, m := range rules.Models {
		models = append(models, fhir.ModelVersion{ID: m.ID, Version: m.Version})
	}
	return schemas.WholeResource{Type: "Device", ID: fhir.DefaultScorer, JSON: string(fhir.ScorerDevice(fhir.Names{}, models))}
}

func (r *river) deliverConfig(stage string) processors.DeliverConfig {
	return processors.DeliverConfig{
		ReferenceWait: r.cfg.Deliver.ReferenceWait, Concurrency: r.cfg.Deliver.Concurrency, RequestTimeout: r.cfg.FHIR.Timeout,
		OnRetry: func(err error, wait time.Duration) {
			if r.log != nil {
				r.log.hooks().Retry(stage, err, wait)
			}
		},
	}
}

// runtime is what the graph needs to run on the river's brokers. What an
// operator must know goes to l.
func (r *river) runtime(l *log) (topology.Runtime, error) {
	r.log = l
	start, err := kafka.ParseStart(r.cfg.Source.Start)
	return topology.Runtime{
		Source: r.source, River: r.kafka, Start: start, IdleAfter: r.cfg.Observe.IdleAfter, Hooks: r.waits.Hooks(l.hooks()), Stats: &r.stats,
	}, err
}

// close lets go of everything that open took.
func (r *river) close() error {
	for _, c := range []*kafka.Conn{r.kafka, r.source} {
		if c != nil {
			c.Close()
		}
	}
	if r.warehouse != nil {
		return r.warehouse.Close()
	}
	return nil
}
