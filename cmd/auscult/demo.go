package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"auscult/examples"
	"auscult/fhir/server"
	"auscult/internal/config"
	"auscult/kafka"
	"auscult/schemas"
	"auscult/sim"
	"auscult/topology"
)

// demo is what the flags of demo say, and what it has started.
type demo struct {
	data, console, fhir, broker string
	beds                        int
	seed                        uint64
	chosen                      bool // beds or seed are the user's choice

	out, errs io.Writer
	ward      *sim.Ward
	river     *river
	embedded  *kafka.Embedded
	base      string // of the FHIR server
	web       string // of the console
	closers   []func() error
}

func demoCommand() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything at once: embedded broker and FHIR server, a simulated ward, the console",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
			d.chosen = cmd.Flags().Changed("beds") || cmd.Flags().Changed("seed")
			return d.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.data, "data", "auscult-data", "folder for everything the demo keeps; used again, it goes on where it was")
	flags.StringVar(&d.console, "console", "127.0.0.1:8080", "host:port of the console; port 0 picks a free one")
	flags.StringVar(&d.fhir, "fhir", "127.0.0.1:8103", "host:port of the FHIR server; port 0 picks a free one")
	flags.StringVar(&d.broker, "broker", "127.0.0.1:9092", "host:port of the broker; port 0 picks a free one")
	flags.IntVar(&d.beds, "beds", 12, "patients of the ward")
	flags.Uint64Var(&d.seed, "seed", 1, "of the ward")
	return cmd
}

func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it had begun
		}
		return err
	}
	running, err := d.stages(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "console      %s\nFHIR server  %s\nbroker       %s\nfiles        %s\n", d.web, d.base, d.embedded.Addr(), d.data)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- d.send(work)
	}()
	go d.report(work)
	err = running.Wait()
	cancel()
	return errors.Join(err, <-ended)
}

// start starts the servers and seeds the ward's patients.
func (d *demo) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.startBroker, d.startFHIR, d.admit, d.connect, d.seedPatients} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) startBroker(context.Context) error {
	text, err := fs.ReadFile(examples.Demo, "demo/auscult.yaml")
	if err != nil {
		return err
	}
	if err := d.writeFile(configFile, text); err != nil {
		return err
	}
	layout, err := config.LoadEmbedded(filepath.Join(d.data, configFile), nil)
	if err != nil {
		return err
	}
	d.embedded, err = kafka.StartEmbedded(kafka.EmbeddedConfig{
		Dir: filepath.Join(d.data, brokerFolder), Listen: d.broker, Partitions: layout.Partitions,
	})
	if err != nil {
		return fmt.Errorf("%w (another address: --broker, another folder: --data)", err)
	}
	d.closers = append(d.closers, func() error { d.embedded.Close(); return nil })
	return nil
}

// writeFile puts a file into the data folder unless there is one: what a person
// has changed stays.
func (d *demo) writeFile(name string, text []byte) error {
	if err := os.MkdirAll(d.data, 0o755); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	path := filepath.Join(d.data, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return os.WriteFile(path, text, 0o644)
}

func (d *demo) startFHIR(ctx context.Context) error {
	l, err := net.Listen("tcp", d.fhir)
	if err != nil {
		return fmt.Errorf("listening for FHIR (choose another address with --fhir): %w", err)
	}
	s, err := server.Open(filepath.Join(d.data, server.FileName))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.base = "http://" + l.Addr().String() + server.Base
	// It must outlive the stages, which write until they have stopped.
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(serving, l) }()
	d.closers = append(d.closers, func() error {
		cancel()
		return errors.Join(<-ended, s.Close())
	})
	return nil
}

// wardState is what the demo keeps of its ward, so that it goes on.
type wardState struct {
	Start time.Time `json:"start"`
	Beds  int       `json:"beds"`
	Seed  uint64    `json:"seed"`
}

// admit makes the ward, or brings the one back that the data folder knows.
func (d *demo) admit(context.Context) error {
	path := filepath.Join(d.data, "ward.json")
	asked := wardState{time.Now().UTC().Truncate(time.Second), d.beds, d.seed}
	w := asked
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &w); err != nil {
			return fmt.Errorf("reading %s: %w; use another --data folder to begin a new ward", path, err)
		}
		if d.chosen && (w.Beds != asked.Beds || w.Seed != asked.Seed) {
			return fmt.Errorf("the ward of %s has %d beds and seed %d: leave --beds and --seed out to go on with it, or begin a new one with another --data folder", d.data, w.Beds, w.Seed)
		}
	}
	if d.ward, err = sim.NewWard(sim.Demo(w.Beds, w.Seed, w.Start)); err != nil {
		return err
	}
	if text, err = json.Marshal(w); err != nil {
		return err
	}
	return d.writeFile("ward.json", text)
}

// connect reads the configuration and joins the stages to the servers.
func (d *demo) connect(ctx context.Context) error {
	for _, name := range []string{"devicecontent.json", "fhirmapping.json"} {
		text, err := fs.ReadFile(examples.Demo, "demo/"+name)
		if err != nil {
			return err
		}
		if err := d.writeFile(name, text); err != nil {
			return err
		}
	}
	cfg, err := config.Load(filepath.Join(d.data, configFile), []string{
		"AUSCULT_RIVER_BROKERS=[" + d.embedded.Addr() + "]",
		"AUSCULT_FHIR_BASEURL=" + d.base,
		"AUSCULT_WAREHOUSE_PATH=" + filepath.Join(d.data, "warehouse.db"),
		"AUSCULT_LAKE_FOLDER=" + filepath.Join(d.data, "raw"),
	})
	if err != nil {
		return err
	}
	d.river, err = open(ctx, cfg, topology.Lay(topology.Parts{}).Names())
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.river.close)
	return nil
}

// seedPatients puts the ward's Patients and Devices on the FHIR server, unless
// they are there.
func (d *demo) seedPatients(ctx context.Context) error {
	for _, r := range d.ward.Resources() {
		stored, err := d.river.client.Read(ctx, r.Type, r.ID)
		if err == nil && stored.ID == "" {
			_, err = d.river.client.Put(ctx, r.Type, r.ID, r.JSON, "")
		}
		if err != nil {
			return fmt.Errorf("putting the ward's patients on the FHIR server: %w", err)
		}
	}
	return nil
}

// stages starts the console and the river.
func (d *demo) stages(ctx context.Context) (*topology.Running, error) {
	log := newLog(d.errs)
	web, stop, err := d.river.startConsole(ctx, d.console, log)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with --console)", err)
	}
	d.web = web
	d.closers = append(d.closers, stop)
	rt, err := d.river.runtime(log)
	if err != nil {
		return nil, err
	}
	return topology.Start(ctx, d.river.graph, d.river.graph, rt)
}

// send sends the ward's messages at their times until ctx ends.
func (d *demo) send(ctx context.Context) error {
	out, err := d.river.source.NewSender()
	if err != nil {
		return err
	}
	for m := range d.ward.Messages(time.Now()) {
		if !sleepUntil(ctx, m.At) {
			break
		}
		if err := out.Send(ctx, schemas.Out{Topic: schemas.TopicDeviceData, Key: m.Key, Value: m.Body, Headers: m.Headers}); err != nil {
			break // the broker is going away; Close says if it was not asked to
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return out.Close(limit)
}

// reportEvery is how often the demo says how far it is, until there is a Flag.
const reportEvery = 5 * time.Second

// report prints a line now and then until the first Flag, then where to see it.
func (d *demo) report(ctx context.Context) {
	old, _, _ := d.river.firstFlag(ctx) // none, when the warehouse cannot say yet
	for began := time.Now(); sleepUntil(ctx, time.Now().Add(time.Second)); {
		flag, patient, err := d.river.firstFlag(ctx)
		if err == nil && flag != "" {
			what := "a patient deteriorates"
			if flag == old {
				what = "still open"
			}
			fmt.Fprintf(d.out, "%s: Flag/%s\n  %s/Flag/%s\n  %s/patients/%s\n", what, flag, d.base, flag, d.web, patient)
			return
		}
		if waited := time.Since(began).Round(time.Second); waited%reportEvery == 0 {
			fmt.Fprintf(d.out, "%s: %d messages, %d Observations, no Flag yet\n",
				waited, d.river.normalize.Counts().Messages.Load(), d.river.deliver.Counts().Written)
		}
	}
}

// sleepUntil waits until t; false when ctx ended first.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// close stops what was started, last things first.
func (d *demo) close() error {
	var all []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		all = append(all, d.closers[i]())
	}
	return errors.Join(all...)
}
