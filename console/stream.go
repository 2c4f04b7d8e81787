package console

import (
	"errors"
	"net/http"
	"time"
)

// Limits of one stream.
const (
	// writeTimeout is how long a browser may take to accept one message.
	writeTimeout = 10 * time.Second
	// maxStream is how long a stream lives; the browser comes again.
	maxStream = time.Hour
)

func (s *Server) wardEvents(w http.ResponseWriter, r *http.Request) {
	shows := r.Header.Get("Last-Event-ID")
	if shows == "" {
		shows = r.URL.Query().Get("shows")
	}
	s.stream(w, r, nil, shows)
}

func (s *Server) patientEvents(w http.ResponseWriter, r *http.Request) {
	if k, ok := s.viewKey(w, r); ok {
		s.stream(w, r, &k, "")
	}
}

// stream sends a client its messages until it goes, is dropped, or has been
// here for long enough.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, k *viewKey, shows string) {
	c, err := s.hub.join(k, shows)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.hub.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold messages back
	out := http.NewResponseController(w)
	end := time.NewTimer(maxStream)
	defer end.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-end.C:
			return
		case m, ok := <-c.out:
			if !ok || send(w, out, m) != nil {
				return
			}
		}
	}
}

// send writes one message, within the time limit where the connection has one.
func send(w http.ResponseWriter, out *http.ResponseController, m []byte) error {
	if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.Write(m); err != nil {
		return err
	}
	return out.Flush()
}
