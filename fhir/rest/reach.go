package rest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// Phase is how far a request has come on its way to a server.
type Phase string

// The phases in order.
const (
	PhaseDNS  Phase = "DNS"  // the host's name became addresses
	PhaseTCP  Phase = "TCP"  // somebody listens at one of them
	PhaseTLS  Phase = "TLS"  // both trust each other's certificates
	PhaseHTTP Phase = "HTTP" // there was an answer
)

// Reached is what is known of the way to a server. Where a proxy stands
// between, addresses are the proxy's.
type Reached struct {
	Addresses []string  // of the host's name; none where baseURL has an address
	Remote    string    // address of the connection
	Encrypted string    // version of TLS, empty for none
	Until     time.Time // end of the server's certificate
	Status    int       // of the answer
}

// ReachError says in which phase a request has failed.
type ReachError struct {
	Phase Phase
	Err   error
}

// Error names the phase.
func (e *ReachError) Error() string { return string(e.Phase) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ReachError) Unwrap() error { return e.Err }

// Reach goes the way to the server once, without credentials. Any answer will
// do; an error is a *ReachError.
func (c *Client) Reach(ctx context.Context) (Reached, error) {
	w := &way{}
	a, err := c.execute(httptrace.WithClientTrace(ctx, w.trace()), request{method: http.MethodGet, address: c.address(metadata)}, "")
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return w.reached, &ReachError{Phase: w.phase(), Err: err}
	}
	w.reached.Status = a.StatusCode()
	return w.reached, nil
}

// way notes how far a request comes. Several connections may be tried at once,
// and go on after the request has its own.
type way struct {
	mu        sync.Mutex
	reached   Reached
	nameless  bool // the name is being looked up, or has no address
	connected bool
	shaking   bool // a TLS handshake has begun
	shaken    bool // and ended well
}

// phase is the one in which a request that has failed stopped.
func (w *way) phase() Phase {
	switch {
	case w.nameless:
		return PhaseDNS
	case !w.connected:
		return PhaseTCP
	case w.shaking && !w.shaken:
		return PhaseTLS
	}
	return PhaseHTTP
}

func (w *way) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.note(func() { w.nameless = true }) },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.note(func() {
				w.nameless = i.Err != nil
				w.reached.Addresses = addresses(i.Addrs)
			})
		},
		ConnectDone: func(_, address string, err error) {
			w.note(func() {
				if err == nil {
					w.connected, w.reached.Remote = true, address
				}
			})
		},
		TLSHandshakeStart: func() { w.note(func() { w.shaking = true }) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			w.note(func() { w.shake(s, err) })
		},
		GotConn: func(i httptrace.GotConnInfo) {
			w.note(func() {
				w.connected = true
				w.reached.Remote = i.Conn.RemoteAddr().String()
			})
		},
	}
}

func (w *way) note(what func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what()
}

func (w *way) shake(s tls.ConnectionState, err error) {
	if err != nil {
		return
	}
	w.shaken = true
	w.reached.Encrypted = tls.VersionName(s.Version)
	if len(s.PeerCertificates) > 0 {
		w.reached.Until = s.PeerCertificates[0].NotAfter
	}
}

func addresses(all []net.IPAddr) []string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].String()
	}
	return texts
}
