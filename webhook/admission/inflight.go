package admission

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/semaphore"
)

const (
	// maxInFlight bounds the bodies that are held at the same time, in bytes: one of the
	// largest and dozens of the usual 10 to 20 KiB. A body that is crafted for it takes up
	// to a hundred times its size once it is parsed, and the manifest's memory limit must
	// hold all of them.
	maxInFlight = maxBody + 1<<20
	// minWeight is what each request counts at least: connection, goroutines, answer.
	minWeight = 16 << 10
)

// inFlight bounds the memory of all requests together. A webhook that runs out of memory
// ends all reviews at once, and anyone who may create a pod could cause it.
type inFlight struct {
	bytes *semaphore.Weighted
}

func newInFlight() inFlight {
	return inFlight{semaphore.NewWeighted(maxInFlight)}
}

// acquire waits until there is room for a body of this length (-1 if unknown), at most until
// ctx ends. It must be called before a byte of the body is read. The caller drops the body
// and everything parsed from it before it calls release.
func (f inFlight) acquire(ctx context.Context, length int64) (release func(), status int, err error) {
	if length > maxBody {
		return nil, http.StatusRequestEntityTooLarge, errTooLarge
	}
	if length < 0 {
		length = maxBody
	}
	weight := max(length, minWeight)
	if err := f.bytes.Acquire(ctx, weight); err != nil {
		return nil, http.StatusServiceUnavailable, fmt.Errorf("waiting for other requests to end: %w (more than %d bytes are in flight; try again, or run more replicas)", err, maxInFlight)
	}
	return func() { f.bytes.Release(weight) }, http.StatusOK, nil
}
