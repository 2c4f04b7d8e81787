package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"auscult/mapping"
)

// reloadEvery is how often the device mapping's file is looked at.
const reloadEvery = 2 * time.Second

// reloader takes a device mapping into use when its file has changed. A file
// that is wrong is refused, and what is in use stays.
type reloader struct {
	path    string
	seen    []byte // the text that was judged last, good or bad
	pending []byte // another text that was there at the last look
	use     func(*mapping.Device)
}

// look reads the file once. changed tells that something is to be said: a new
// version in use or, with err, why what the file holds is not. A text is judged
// when it was the same at two looks: it may be half written at the first.
func (r *reloader) look() (version string, changed bool, err error) {
	text, err := os.ReadFile(r.path)
	if err != nil {
		changed = r.seen != nil // told once; when the file is back it is read anew
		r.seen = nil
		return "", changed, fmt.Errorf("reading the device mapping: %w; the one in use stays", err)
	}
	if r.seen != nil && bytes.Equal(text, r.seen) {
		r.pending = nil
		return "", false, nil
	}
	if r.pending == nil || !bytes.Equal(text, r.pending) {
		r.pending = text
		return "", false, nil
	}
	r.seen, r.pending = text, nil
	if len(bytes.TrimSpace(text)) == 0 {
		// A mapping without templates would drop every message, and a file that is
		// written anew is empty for a moment.
		return "", true, fmt.Errorf("%s is empty, the mapping in use stays: write the mapping, or an empty list of templates to map nothing", r.path)
	}
	device, err := mapping.LoadDevice(text)
	if err != nil {
		return "", true, fmt.Errorf("%s is refused, the mapping in use stays:\n%w", r.path, err)
	}
	r.use(device)
	return device.Version(), true, nil
}

// reload follows the device mapping's file until ctx ends.
func (r *river) reload(ctx context.Context, l *log) {
	file := &reloader{path: r.cfg.Mapping.Device, seen: r.deviceText, use: r.normalize.Use}
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch version, changed, err := file.look(); {
		case changed && err != nil:
			l.Error("device mapping", "error", err)
		case changed:
			l.Info("device mapping in use", "file", file.path, "version", version)
		}
	}
}
