package engine

import (
	"maps"
	"time"

	"github.com/envladder/envladder/observer/soakstore"
)

// maxPending bounds the digests that don't run any more and whose statements are still to
// be pushed. An image has at most soakstore.MaxStopped Soaks of stopped digests, so the
// bound is reached with the registries of dozens of images down.
const maxPending = 256

// trackers are the trackers of an engine.
type trackers struct {
	active map[soakstore.Key]*tracker
	// pending have stopped, with a statement that is still to be pushed.
	pending map[soakstore.Key]*tracker
	// retryAt is when a Soak that couldn't be opened is tried again.
	retryAt map[soakstore.Key]time.Duration
}

func newTrackers() trackers {
	return trackers{active: map[soakstore.Key]*tracker{}, pending: map[soakstore.Key]*tracker{}, retryAt: map[soakstore.Key]time.Duration{}}
}

// start adds the tracker of a digest that runs.
func (ts *trackers) start(t *tracker) {
	delete(ts.retryAt, t.Key)
	ts.takePending(t)
	ts.active[t.Key] = t
}

// expireRetries removes the entries of retryAt that have passed.
func (ts *trackers) expireRetries(now time.Duration) {
	maps.DeleteFunc(ts.retryAt, func(_ soakstore.Key, at time.Duration) bool { return at <= now })
}

// keysIn returns the keys of a namespace's active trackers. It is a copy: callers change
// the map while they range over it.
func (ts *trackers) keysIn(namespace string) []soakstore.Key {
	var keys []soakstore.Key
	for key := range ts.active {
		if key.Namespace == namespace {
			keys = append(keys, key)
		}
	}
	return keys
}

// find returns the tracker of a key, active or pending, or nil.
func (ts *trackers) find(key soakstore.Key) *tracker {
	if t := ts.active[key]; t != nil {
		return t
	}
	return ts.pending[key]
}

// remove removes a tracker whose Soak was deleted. It reports whether the tracker was
// active.
func (ts *trackers) remove(t *tracker) (active bool) {
	if ts.pending[t.Key] == t {
		delete(ts.pending, t.Key)
		return false
	}
	delete(ts.active, t.Key)
	return true
}

// addPending keeps a tracker that stopped before a registry accepted its statement: the
// time was measured all the same. It returns false where there are too many.
func (ts *trackers) addPending(t *tracker, now time.Time) bool {
	if _, due := t.due(now); !due {
		return true
	}
	if ts.pending[t.Key] == nil && len(ts.pending) >= maxPending {
		return false
	}
	ts.pending[t.Key] = t
	return true
}

// takePending moves the state of a pending statement to the tracker that resumes its
// window: the statement may be on its way, or have to wait.
func (ts *trackers) takePending(t *tracker) {
	pending := ts.pending[t.Key]
	delete(ts.pending, t.Key)
	if pending != nil && pending.window.StartedAt.Equal(t.window.StartedAt) {
		t.attestState = pending.attestState
	}
}
