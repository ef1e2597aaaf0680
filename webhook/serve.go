package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/envladder/envladder/webhook/admission"
)

const (
	// drainTimeout is how long requests in flight may take to end: as long as an API
	// server waits at most.
	drainTimeout = admission.MaxTimeout
	// headerTimeout is how long a request's headers may take to arrive.
	headerTimeout = 5 * time.Second
	// idleTimeout is longer than the 90 s for which API servers keep idle connections, so
	// that they close these and no request meets a closing connection.
	idleTimeout = 2 * time.Minute
	// maxHeader is far more than an API server sends.
	maxHeader = 64 << 10
)

// serve serves on the listener until ctx ends and the requests in flight are answered.
func serve(ctx context.Context, listener net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      0, // a review has its own deadline, set by the request
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // anyone can interrupt a handshake
		TLSConfig: &tls.Config{
			// Only API servers and kubelets call, and they support it.
			MinVersion:     tls.VersionTLS13,
			GetCertificate: certificate,
			// API servers choose HTTP/1.1 for webhooks, to spread over replicas.
			NextProtos: []string{"http/1.1"},
		},
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		log.Info("draining requests in flight")
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		drained <- server.Shutdown(limit)
	})
	err := server.ServeTLS(listener, "", "")
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", listener.Addr(), err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("draining requests in flight: %w", err)
	}
	return nil
}
