// Package sized has a cache that is bounded by the bytes it holds. What an entry is
// worth in bytes its caller says.
package sized

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxEntries bounds the cache in number too: an entry has some hundred bytes of its own.
const maxEntries = 100_000

// Cache keeps what was used last. It is safe for concurrent use.
type Cache[V any] struct {
	limit int64

	mu      sync.Mutex
	entries *simplelru.LRU[string, entry[V]]
	held    int64
}

type entry[V any] struct {
	value V
	size  int64
}

// New is a cache of at most limit bytes; one of 0 keeps nothing.
func New[V any](limit int64) *Cache[V] {
	c := &Cache[V]{limit: limit}
	entries, err := simplelru.NewLRU(maxEntries, func(_ string, e entry[V]) { c.held -= e.size })
	if err != nil {
		panic(fmt.Sprintf("the bound is positive: %v", err))
	}
	c.entries = entries
	return c
}

// Get returns what was put under key, if it is still there.
func (c *Cache[V]) Get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries.Get(key)
	return e.value, ok
}

// Put keeps value, of size bytes without its key, until others need its place. What is
// larger than the cache isn't kept.
func (c *Cache[V]) Put(key string, value V, size int64) {
	size += int64(len(key))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	if size > c.limit {
		return
	}
	for c.held+size > c.limit {
		c.entries.RemoveOldest()
	}
	c.held += size
	c.entries.Add(key, entry[V]{value: value, size: size})
}

// Held is how many bytes the cache holds.
func (c *Cache[V]) Held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
