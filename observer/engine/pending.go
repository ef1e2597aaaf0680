package engine

import (
	"context"
	"errors"

	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

// flushPending has pending statements signed, for as long as their Gate observes the
// digest. A replica that lost the lease without knowing it finds out here, as with an
// active tracker.
func (e *Engine) flushPending(ctx context.Context, gates []*watch.Gate) error {
	for key, t := range e.trackers.pending {
		t.applyGates(watch.InNamespace(gates, key.Namespace))
		if _, due := t.due(e.now()); !due {
			delete(e.trackers.pending, key)
			continue
		}
		if t.signing || e.elapsed() < t.retryAt {
			continue
		}
		_, err := e.Store.Read(ctx, t.Record)
		switch {
		case errors.Is(err, soakstore.ErrSuperseded):
			return err
		case errors.Is(err, soakstore.ErrDeleted):
			delete(e.trackers.pending, key)
			continue
		case err != nil:
			t.retryAt = e.elapsed() + openRetry
			e.Log.Error("reading the Soak of a stopped digest failed; its statement is retried later", "error", err)
			continue
		}
		if err := e.save(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
