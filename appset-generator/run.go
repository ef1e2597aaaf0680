package appset

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/envladder/envladder/internal/ladder"
)

// DefaultTimeout of a request is below what Argo CD waits for by default, 30 s, so that
// it gets the reason rather than a connection that breaks.
const DefaultTimeout = 25 * time.Second

// drainTime is what requests in flight have beyond their timeout.
const drainTime = 2 * time.Second

// Config is what the service needs to run.
type Config struct {
	// Listener to serve on.
	Listener net.Listener
	// CertFile and KeyFile are PEM files, read at each handshake. Without them it
	// serves plain HTTP.
	CertFile, KeyFile string
	// TokenFile has the token that who asks must show.
	TokenFile string
	// Ladders is the folder of the ladders that are served.
	Ladders string
	// Forges are those that ladders may name.
	Forges map[ladder.Forge]Forge
	// Registry that has the images.
	Registry Registry
	// StateFile keeps over a restart which images previews run, and who has one; empty
	// for none.
	StateFile string
	// Timeout of a request; 0 is DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Log of answers and of what goes wrong.
	Log *slog.Logger
}

// Run answers until ctx ends and the requests in flight are answered.
func Run(ctx context.Context, config Config) error {
	defer config.Listener.Close()
	s, err := newServer(config)
	if err != nil {
		return err
	}
	return s.serve(ctx, config)
}

// newServer checks at the start what could never work: a token that is empty lets
// anybody in, and a folder that isn't there has no ladders.
func newServer(config Config) (*server, error) {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if _, err := readBearer(config.TokenFile); err != nil {
		return nil, err
	}
	if _, err := folder(config.Ladders).names(); err != nil {
		return nil, err
	}
	forges, err := newForges(config.Forges, config.Now)
	if err != nil {
		return nil, err
	}
	memory, err := newMemory(config.StateFile)
	if err != nil {
		return nil, err
	}
	e := &evaluator{
		ladders: folder(config.Ladders), forges: forges, registry: config.Registry, memory: memory,
		now: config.Now, log: config.Log,
	}
	// Less than a request has, so that it is answered with what was found out.
	limit := config.Timeout - min(config.Timeout/5, time.Second)
	e.lists.timeout, e.lists.keep, e.lists.now = limit, keepLists, config.Now
	e.reports.timeout, e.reports.now = limit, config.Now
	return &server{e, config.TokenFile, config.Timeout, config.Log}, nil
}

func (s *server) serve(ctx context.Context, config Config) error {
	server := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // a question is small
		WriteTimeout:      s.timeout + 10*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,                                            // a token has at most 4 KiB
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what anybody can break off
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		s.log.Info("draining requests in flight")
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout+drainTime)
		defer cancel()
		drained <- server.Shutdown(limit)
	})
	s.log.Info("serving", "address", config.Listener.Addr().String(), "tls", config.CertFile != "")
	err := listen(server, config)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", config.Listener.Addr(), err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("draining requests in flight: %w", err)
	}
	return nil
}

func listen(server *http.Server, config Config) error {
	if config.CertFile == "" {
		return server.Serve(config.Listener)
	}
	load := func() (*tls.Certificate, error) {
		certificate, err := tls.LoadX509KeyPair(config.CertFile, config.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate %q and its key %q: %w", config.CertFile, config.KeyFile, err)
		}
		return &certificate, nil
	}
	if _, err := load(); err != nil {
		return err
	}
	server.TLSConfig = &tls.Config{
		MinVersion: tls.VersionTLS12, // Argo CD's own default
		// A question comes in minutes, so a handshake may read two small files.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}
	return server.ServeTLS(config.Listener, "", "")
}
