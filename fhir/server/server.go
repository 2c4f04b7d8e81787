package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// Base is the path under which the server answers.
const Base = "/fhir"

// Server is an R4 server over one SQLite file. It is an http.Handler; Close
// ends it.
type Server struct {
	pool    *sql.DB // of readers
	reads   *view
	only    *sql.DB // of the one connection that writes
	writer  *writer
	jobs    chan *job // not buffered: who is not taken knows it
	closing chan struct{}
	stopped chan struct{}
	close   sync.Once
	closed  error
}

// Option changes how a Server behaves.
type Option func(*Server)

// EnforceReferences makes the server refuse a reference to a resource that it
// does not hold, as HAPI does by default.
func EnforceReferences() Option { return func(s *Server) { s.writer.references = true } }

// Open opens the database file, creating it when there is none, and starts the
// goroutine that writes.
func Open(path string, options ...Option) (*Server, error) {
	s := &Server{jobs: make(chan *job), closing: make(chan struct{}), stopped: make(chan struct{})}
	if err := s.open(path); err != nil {
		if s.only != nil {
			_ = s.only.Close() // err says more
		}
		return nil, fmt.Errorf("opening FHIR store %s: %w", path, err)
	}
	for _, o := range options {
		o(s)
	}
	go s.writeLoop()
	return s, nil
}

func (s *Server) open(path string) (err error) {
	ctx := context.Background() // opening a file has no deadline
	if s.only, err = connect(path); err != nil {
		return err
	}
	conn, err := s.only.Conn(ctx)
	if err != nil {
		return err
	}
	if err := migrate(ctx, conn); err != nil {
		return err
	}
	if s.pool, err = connect(path); err != nil {
		return err
	}
	s.pool.SetMaxOpenConns(readers)
	s.pool.SetMaxIdleConns(readers)
	s.reads = newView(s.pool)
	s.writer = &writer{view: newView(conn), conn: conn}
	return nil
}

// Close waits for the write that runs and closes the file. It may be called
// more than once.
func (s *Server) Close() error {
	s.close.Do(func() {
		close(s.closing)
		<-s.stopped
		s.closed = errors.Join(s.reads.close(), s.pool.Close(), s.writer.close(), s.writer.conn.Close(), s.only.Close())
	})
	return s.closed
}

// Time limits of the HTTP server, so that a client which stops talking does
// not hold a connection for ever.
const (
	headerTimeout   = 10 * time.Second
	requestTimeout  = 2 * time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 2 * time.Second
)

// maxHeaderBytes limits the headers of a request, its address among them.
const maxHeaderBytes = 4 * maxAddressBytes

// Serve answers on l until ctx ends, then lets what runs finish. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving FHIR: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := h.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	<-ended
	return err
}

// Run opens the store of a data folder and serves it on listen until ctx ends.
// ready is called with the base URL once requests are answered; port 0 picks a
// free one.
func Run(ctx context.Context, folder, listen string, ready func(base string)) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening for FHIR on %s (choose another address with --listen): %w", listen, err)
	}
	s, err := Open(filepath.Join(folder, FileName))
	if err != nil {
		_ = l.Close() // err says more
		return err
	}
	ready("http://" + l.Addr().String() + Base)
	return errors.Join(s.Serve(ctx, l), s.Close())
}
