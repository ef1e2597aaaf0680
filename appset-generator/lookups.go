package appset

import (
	"context"
	"errors"
	"time"

	"github.com/envladder/envladder/internal/registry"
)

// lookups are responses of the registry by REPOSITORY:TAG and REPOSITORY:DIGEST. They are
// stored while requests fail, so that the next request continues where this one ended,
// however slow the registry is.
type lookups map[string]lookup

// lookup is one response of the registry.
type lookup struct {
	// Digest is empty where the registry has no such reference.
	Digest string    `json:"digest,omitempty"`
	At     time.Time `json:"at"`
}

// maxLookupAge bounds their age: an ApplicationSet retries every 3 minutes after an error,
// so they serve some twenty requests.
const maxLookupAge = time.Hour

// digest returns the digest of a reference, from an earlier lookup or from the registry.
func (f finder) digest(ctx context.Context, seen *lookups, repository, reference string) (string, error) {
	key := repository + ":" + reference
	if l, ok := (*seen)[key]; ok && f.now().Sub(l.At) < maxLookupAge {
		if l.Digest == "" {
			return "", registry.ErrNotFound
		}
		return l.Digest, nil
	}
	digest, err := f.registry.Digest(ctx, repository, reference)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return "", err
	}
	if *seen == nil {
		*seen = lookups{}
	}
	(*seen)[key] = lookup{digest, stateTime(f.now())}
	return digest, err
}

// stateTime returns a time in the precision of the state file.
func stateTime(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
