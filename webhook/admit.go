package webhook

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/semaphore"
)

const (
	// maxInFlight bounds the bodies that are held at the same time, in bytes: one of
	// the largest beside dozens of the usual 10 to 20 KiB. Made for it, a body takes
	// up to a hundred times its size once it is parsed, and the manifest's memory
	// limit must hold all of them.
	maxInFlight = maxBody + 1<<20
	// minWeight is what a request counts at least: connection, goroutines, answer.
	minWeight = 16 << 10
)

// inFlight bounds the memory that all requests take together. A webhook that runs out
// of it ends all rulings at once, and anybody who may create a pod could make it.
type inFlight struct {
	bytes *semaphore.Weighted
}

func newInFlight() inFlight {
	return inFlight{semaphore.NewWeighted(maxInFlight)}
}

// admit waits until there is room for a body of this length (-1 where it isn't known),
// before a byte of it is read and until ctx ends at most. What was made of the body
// must be let go before release is called.
func (f inFlight) admit(ctx context.Context, length int64) (release func(), status int, err error) {
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
