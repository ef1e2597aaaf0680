package observer

import (
	"context"
	"errors"
)

// maxOwed bounds the digests that don't run any more and whose statements are still to
// be pushed. Of each image maxStopped notebooks are kept, so it is dozens of images whose
// registry is down.
const maxOwed = 256

// owe keeps what ended before a registry took its statement: the time was measured all
// the same.
func (l *loop) owe(key trackKey, t *track) {
	if _, due := t.due(); !due {
		return
	}
	if l.owed[key] == nil && len(l.owed) >= maxOwed {
		l.log.Error("too many statements of digests that stopped wait for their registry: this one waits for the next start", "namespace", key.namespace, "soak", soakName(key.spec))
		return
	}
	l.owed[key] = t
}

// inherit goes on with the statement that is owed of what a track measures now, if any:
// it may be on its way, or have to wait.
func (l *loop) inherit(key trackKey, t *track) {
	old := l.owed[key]
	delete(l.owed, key)
	if old != nil && old.account.StartedAt.Equal(t.account.StartedAt) {
		t.signing, t.retry, t.failures, t.failure = old.signing, old.retry, old.failures, old.failure
	}
}

// pay has what is owed signed, for as long as its Gate asks for it. Who has lost the lead
// unawares learns it here, as with a track that is measured.
func (l *loop) pay(ctx context.Context, gates []*observedGate) error {
	for key, t := range l.owed {
		t.ask(asking(gates, key.namespace))
		if _, due := t.due(); !due {
			delete(l.owed, key)
			continue
		}
		if t.signing || l.elapsed() < t.retry {
			continue
		}
		_, err := l.reread(ctx, t)
		switch {
		case errors.Is(err, errUsurped):
			return err
		case errors.Is(err, errGone):
			delete(l.owed, key)
			continue
		case err != nil:
			t.retry = l.elapsed() + refusedTime
			l.log.Error("the notebook of a digest that stopped can't be read; its statement waits", "error", err)
			continue
		}
		if err := l.save(ctx, key, t); err != nil {
			return err
		}
	}
	return nil
}

// standing is the track of what a statement is about: measured, or owed.
func (l *loop) standing(key trackKey) *track {
	if t := l.tracks[key]; t != nil {
		return t
	}
	return l.owed[key]
}

// forget drops a track whose Soak was deleted.
func (l *loop) forget(key trackKey, t *track) {
	if l.owed[key] == t {
		delete(l.owed, key)
		return
	}
	delete(l.tracks, key)
	l.log.Warn("a Soak was deleted: its digest is measured anew", "namespace", key.namespace, "soak", soakName(key.spec))
}
