package appset

import (
	"context"
	"errors"
	"time"

	"github.com/envladder/envladder/internal/registry"
)

// lookups are what the registry answered about references, by REPOSITORY:TAG and
// REPOSITORY:DIGEST. They are kept while an answer can't be given, so that the next
// request goes on where this one ended, however slow the registry is.
type lookups map[string]lookup

// lookup is one answer of the registry.
type lookup struct {
	// Digest is empty where the registry has no such reference.
	Digest string    `json:"digest,omitempty"`
	At     time.Time `json:"at"`
}

// maxLookupAge is how long they are kept at most: an ApplicationSet asks again every 3
// minutes after an error, so that they serve some twenty requests.
const maxLookupAge = time.Hour

// digest returns the digest of a reference, as it was looked up before or as the registry
// has it.
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
	(*seen)[key] = lookup{digest, moment(f.now())}
	return digest, err
}

// moment returns a time as the state file has it.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
