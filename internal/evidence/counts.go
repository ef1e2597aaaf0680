package evidence

import "sync/atomic"

// Counts say where evidence came from, since the Store was made.
type Counts struct {
	// Memory, Shelf and Registry are how often something was found in the one, the
	// other, or was asked of the registry.
	Memory, Shelf, Registry uint64
}

type counts struct{ memory, shelf, registry atomic.Uint64 }

// Counts are those of now.
func (s *Store) Counts() Counts {
	return Counts{s.counts.memory.Load(), s.counts.shelf.Load(), s.counts.registry.Load()}
}
