package evidence

import (
	"container/list"
	"encoding/json"
	"sync"

	"github.com/envladder/envladder/internal/gate"
)

// maxCached bytes of evidence, by its size as JSON, which is about what it takes in
// memory: a soak has 1 to 2 KiB, so this holds some ten thousand digests.
const maxCached = 64 << 20

// cache holds evidence in memory and evicts the least recently used.
type cache struct {
	mu      sync.Mutex
	left    int
	recent  *list.List // of *entry, the most recently used first
	entries map[string]*list.Element
}

type entry struct {
	key      string
	size     int
	evidence []gate.Evidence
}

func newCache(size int) *cache {
	return &cache{left: size, recent: list.New(), entries: map[string]*list.Element{}}
}

// get returns shared evidence: callers must not change it.
func (c *cache) get(key string) []gate.Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*entry).evidence //nolint:forcetypeassert // the list holds nothing else
}

// put stores evidence. An empty result isn't stored, since evidence may be added at any time.
func (c *cache) put(key string, evidence []gate.Evidence) {
	if len(evidence) == 0 {
		return
	}
	added := &entry{key: key, size: len(key) + sizeOf(evidence), evidence: evidence}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.drop(old)
	}
	c.entries[key] = c.recent.PushFront(added)
	c.left -= added.size
	for c.left < 0 {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(element *list.Element) {
	dropped := c.recent.Remove(element).(*entry) //nolint:forcetypeassert // the list holds nothing else
	delete(c.entries, dropped.key)
	c.left += dropped.size
}

func sizeOf(evidence []gate.Evidence) int {
	encoded, err := json.Marshal(evidence) //nolint:musttag // counted, never read
	if err != nil {
		return maxCached // evidence of unknown size isn't stored
	}
	return len(encoded)
}
