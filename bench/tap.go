package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"auscult/fhir/server"
)

// maxTapped bounds what the tap holds that it has not read yet.
const maxTapped = 1 << 16

// tap is a FHIR server in this process that notes when it has accepted what.
type tap struct {
	store  *server.Server
	base   string
	cancel context.CancelFunc
	ended  chan error

	accepted chan accepted
	read     sync.WaitGroup

	mu           sync.Mutex
	observations map[observed]time.Time // when each was accepted first
	flags        map[string]time.Time   // id of a Patient -> when his first open Flag was accepted
}

// accepted is one request that was answered with 2xx.
type accepted struct {
	at   time.Time
	body []byte
}

// observed names one Observation of one message.
type observed struct {
	device string // id of the Device
	time   int64  // event time, milliseconds
	code   string
}

// newTap serves the store of a folder.
func newTap(ctx context.Context, folder string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s, err := server.Open(filepath.Join(folder, server.FileName))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	t := &tap{
		store: s, base: "http://" + l.Addr().String() + server.Base, ended: make(chan error, 1),
		accepted: make(chan accepted, maxTapped), observations: map[observed]time.Time{}, flags: map[string]time.Time{},
	}
	web := &http.Server{Handler: t, ReadHeaderTimeout: startTimeout}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.read.Go(func() {
		for a := range t.accepted {
			t.note(a)
		}
	})
	go func() { t.ended <- web.Serve(l) }()
	context.AfterFunc(serving, func() { _ = web.Close() }) // Serve says how it ended
	return t, nil
}

// close ends the server; what it has accepted is then noted.
func (t *tap) close() error {
	t.cancel()
	err := <-t.ended
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	err = errors.Join(err, t.store.Close()) // waits for the write that runs
	close(t.accepted)
	t.read.Wait()
	return err
}

// ServeHTTP implements http.Handler.
func (t *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		t.store.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &statusWriter{ResponseWriter: w}
	t.store.ServeHTTP(answer, r)
	if answer.status/100 == 2 && wanted(r, body) {
		t.accepted <- accepted{time.Now(), body}
	}
}

// wanted passes over what is neither an Observation nor a transaction with a
// Flag.
func wanted(r *http.Request, body []byte) bool {
	return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, server.Base+"/Observation/") ||
		r.Method == http.MethodPost && bytes.Contains(body, []byte(`"resourceType":"Flag"`))
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// tapped is what the tap looks at in a resource or transaction.
type tapped struct {
	ResourceType      string `json:"resourceType"`
	Status            string `json:"status"`
	Device            reference
	Subject           reference
	EffectivePeriod   struct{ Start time.Time }
	EffectiveDateTime time.Time
	Code              struct{ Text string }
	Entry             []struct{ Resource tapped }
}

type reference struct{ Reference string }

func (t *tap) note(a accepted) {
	var r tapped
	if json.Unmarshal(a.body, &r) != nil {
		return // its samples will be missing, which is reported
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.ResourceType == "Observation" {
		at := r.EffectivePeriod.Start
		if at.IsZero() {
			at = r.EffectiveDateTime
		}
		o := observed{strings.TrimPrefix(r.Device.Reference, "Device/"), at.UnixMilli(), r.Code.Text}
		if _, known := t.observations[o]; !known {
			t.observations[o] = a.at
		}
	}
	for i := range r.Entry {
		f := &r.Entry[i].Resource
		patient := strings.TrimPrefix(f.Subject.Reference, "Patient/")
		if _, known := t.flags[patient]; f.ResourceType == "Flag" && f.Status == "active" && !known {
			t.flags[patient] = a.at
		}
	}
}
