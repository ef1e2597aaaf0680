package evidence

import "sync/atomic"

// Counts are the numbers of lookups by source of the evidence, since the Store was created.
type Counts struct {
	// Memory and Cluster count what was found in memory and in the cluster cache, Registry
	// what was read from a registry.
	Memory, Cluster, Registry uint64
}

type counts struct{ memory, cluster, registry atomic.Uint64 }

// Counts returns the current counts.
func (s *Store) Counts() Counts {
	return Counts{s.counts.memory.Load(), s.counts.cluster.Load(), s.counts.registry.Load()}
}
