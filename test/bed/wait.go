package bed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const pollEvery = 50 * time.Millisecond

// finalError is an error that ends a poll immediately.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// final returns err as a finalError.
func final(err error) error { return finalError{err} }

// Poll calls check until it returns nil or the bound has passed. It returns the error of the
// last check.
func Poll(ctx context.Context, bound time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return poll(ctx, check)
}

// poll calls check until it returns nil or the context ends.
func poll(ctx context.Context, check func(context.Context) error) error {
	start := time.Now()
	var last error
	for {
		err := check(ctx)
		var end finalError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &end):
			return end.error
		case ctx.Err() == nil || last == nil:
			// A check that the bound interrupts has no relevant error.
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", time.Since(start).Round(time.Second), last)
		case <-time.After(pollEvery):
		}
	}
}

// HTTPReady returns a function for Process.Ready that checks that GET of url returns 2xx. It
// supports plain HTTP and trusts certificates of Bed.CA.
func (b *Bed) HTTPReady(url string) func(context.Context) error {
	return httpOK(httpClient(b.CA), url)
}

// httpOK returns a function that checks that GET returns 2xx.
func httpOK(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return final(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			// The first line is sufficient.
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
			return fmt.Errorf("getting %q: %s: %s", url, resp.Status, body)
		}
		return nil
	}
}

// httpClient returns a client that trusts only ca.
func httpClient(ca *CA) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12},
		// Each check uses a new connection, since the server may have restarted.
		DisableKeepAlives: true,
	}}
}
