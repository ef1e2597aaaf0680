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
)

const (
	// drainTime is how long requests in flight may take to end: as long as an API
	// server waits at most.
	drainTime = maxTimeout
	// headerTime is how long a request's headers may take to arrive.
	headerTime = 5 * time.Second
	// idleTime is longer than API servers keep idle connections (90 s), so that it
	// is them who close these and no request meets a closing connection.
	idleTime = 2 * time.Minute
	// maxHeader is far more than an API server sends.
	maxHeader = 64 << 10
)

// handler serves reviews, those of namespaces that are tried out, and health to the
// kubelet, on one port.
func handler(reviews, trials http.Handler, ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /validate", reviews)
	mux.Handle("POST /audit", trials)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "Gates, Recalls and Exceptions aren't read yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// serve answers on the listener until ctx ends, then lets requests in flight end.
func serve(ctx context.Context, listener net.Listener, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime,
		WriteTimeout:      0, // a ruling has its own deadline, set by the request
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // handshakes that anybody can break off
		TLSConfig: &tls.Config{
			// API servers and kubelets are all who call, and speak it.
			MinVersion:     tls.VersionTLS13,
			GetCertificate: certificate,
			// API servers choose HTTP/1.1 for webhooks, to spread over replicas.
			NextProtos: []string{"http/1.1"},
		},
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		log.Info("draining requests in flight")
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
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
