package bytecache

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxEntries also bounds the number of entries, each of which has an overhead of some hundred
// bytes.
const maxEntries = 100_000

// Cache stores the entries that were used last. It is safe for concurrent use.
type Cache[V any] struct {
	limit int64

	mu      sync.Mutex
	entries *simplelru.LRU[string, entry[V]]
	size    int64
}

type entry[V any] struct {
	value V
	size  int64
}

// New returns a cache of at most limit bytes; with a limit of 0 it stores nothing.
func New[V any](limit int64) *Cache[V] {
	c := &Cache[V]{limit: limit}
	entries, err := simplelru.NewLRU(maxEntries, func(_ string, e entry[V]) { c.size -= e.size })
	if err != nil {
		panic(fmt.Sprintf("the bound is positive: %v", err))
	}
	c.entries = entries
	return c
}

// Get returns the value of key, if it is still cached.
func (c *Cache[V]) Get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries.Get(key)
	return e.value, ok
}

// Put stores value, of size bytes without its key, and evicts the least recently used
// entries if needed. It doesn't store a value that is larger than the cache.
func (c *Cache[V]) Put(key string, value V, size int64) {
	size += int64(len(key))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	if size > c.limit {
		return
	}
	for c.size+size > c.limit {
		c.entries.RemoveOldest()
	}
	c.size += size
	c.entries.Add(key, entry[V]{value: value, size: size})
}

// Size returns how many bytes the cache stores.
func (c *Cache[V]) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
