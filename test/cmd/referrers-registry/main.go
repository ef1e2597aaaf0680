// Command referrers-registry is a small OCI registry with the referrers API. It stores its
// content on disk, so that a test can kill and restart it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	cancel()
	if err != nil {
		fmt.Fprintf(os.Stderr, "referrers-registry: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("referrers-registry", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:5000", "address to listen on")
	dir := flags.String("dir", "", "folder for blobs and manifests")
	cert := flags.String("tls-cert", "", "certificate file; empty means plain HTTP")
	key := flags.String("tls-key", "", "key file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler, err := newHandler(*dir, log.New(stderr, "", log.LstdFlags))
	if err != nil {
		return err
	}
	return serve(ctx, &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}, *cert, *key)
}

// newHandler returns the registry of a folder.
func newHandler(dir string, logger *log.Logger) (http.Handler, error) {
	if dir == "" {
		return nil, errors.New("-dir is required")
	}
	blobs := filepath.Join(dir, "blobs")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return nil, fmt.Errorf("creating %q: %w", blobs, err)
	}
	memory := registry.New(
		registry.Logger(logger),
		registry.WithReferrersSupport(true),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)),
	)
	return newJournal(memory, filepath.Join(dir, "manifests"))
}

// serve serves until the context ends.
func serve(ctx context.Context, server *http.Server, cert, key string) error {
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	var err error
	if cert == "" {
		err = server.ListenAndServe()
	} else {
		err = server.ListenAndServeTLS(cert, key)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
