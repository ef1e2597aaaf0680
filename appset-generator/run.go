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

// DefaultTimeout of a request is below Argo CD's default of 30 s, so that Argo CD gets an
// error message instead of a broken connection.
const DefaultTimeout = 25 * time.Second

// drainTime is how long requests in flight may take beyond their timeout.
const drainTime = 2 * time.Second

// Config configures the service.
type Config struct {
	// Listener to serve on.
	Listener net.Listener
	// CertFile and KeyFile are PEM files, read at each handshake. Without them it
	// serves plain HTTP.
	CertFile, KeyFile string
	// TokenFile has the token that clients must present.
	TokenFile string
	// Ladders is the folder of the ladders that are served.
	Ladders string
	// Forges are those that ladders may name.
	Forges map[ladder.Forge]Forge
	// Registry that has the images.
	Registry Registry
	// StateFile stores across restarts which pull requests have a preview, and with which
	// images; empty for none.
	StateFile string
	// Timeout of a request; 0 is DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log of responses and errors.
	Log *slog.Logger
}

// Run serves until ctx ends and the requests in flight are answered.
func Run(ctx context.Context, config Config) error {
	defer config.Listener.Close()
	s, err := newHandler(config)
	if err != nil {
		return err
	}
	return s.serve(ctx, config)
}

// newHandler validates the configuration at the start: an empty token would admit anyone,
// and a missing folder has no ladders.
func newHandler(config Config) (*handler, error) {
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
	states, err := newStateStore(config.StateFile)
	if err != nil {
		return nil, err
	}
	e := &evaluator{
		ladders: folder(config.Ladders), forges: forges, registry: config.Registry, states: states,
		now: config.Now, log: config.Log,
	}
	// Less than the request's timeout, so that its error can be sent.
	limit := config.Timeout - min(config.Timeout/5, time.Second)
	e.lists.timeout, e.lists.ttl, e.lists.now = limit, listTTL, config.Now
	e.reports.timeout, e.reports.now = limit, config.Now
	return &handler{e, config.TokenFile, config.Timeout, config.Log}, nil
}

func (h *handler) serve(ctx context.Context, config Config) error {
	server := &http.Server{
		Handler:           h.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // a request is small
		WriteTimeout:      h.timeout + 10*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,                                            // a token has at most 4 KiB
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug), // clients may break connections
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		h.log.Info("draining requests in flight")
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.timeout+drainTime)
		defer cancel()
		drained <- server.Shutdown(limit)
	})
	h.log.Info("serving", "address", config.Listener.Addr().String(), "tls", config.CertFile != "")
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
		// Requests are minutes apart, so a handshake may read two small files.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}
	return server.ServeTLS(config.Listener, "", "")
}
