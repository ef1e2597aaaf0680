package bytecache_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/envladder/envladder/plugin/bytecache"
)

func TestCacheEvictsLeastRecentlyUsed(t *testing.T) {
	cache := bytecache.New[int](30)
	cache.Put("a", 1, 9)
	cache.Put("b", 2, 9)
	cache.Put("c", 3, 9)
	cache.Get("a")
	cache.Put("d", 4, 9)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok := cache.Get(key); ok != want {
			t.Errorf("%s is cached: %v", key, ok)
		}
	}
	if cache.Size() != 30 {
		t.Errorf("the cache has %d bytes", cache.Size())
	}
}

func TestPutReplacesEntryAndSize(t *testing.T) {
	cache := bytecache.New[int](30)
	cache.Put("a", 1, 9)
	cache.Put("a", 2, 19)
	if value, ok := cache.Get("a"); !ok || value != 2 || cache.Size() != 20 {
		t.Errorf("%d, %v, of %d bytes", value, ok, cache.Size())
	}
	cache.Put("a", 3, 30)
	if _, ok := cache.Get("a"); ok || cache.Size() != 0 {
		t.Errorf("an entry larger than the cache is cached: %v, %d bytes", ok, cache.Size())
	}
}

func TestCacheStaysWithinLimitUnderLoad(t *testing.T) {
	cache := bytecache.New[int](1000)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 1000 {
				cache.Put(fmt.Sprint(j%100), i, int64(j%300))
				cache.Get(fmt.Sprint((j + i) % 100))
				if size := cache.Size(); size < 0 || size > 1000 {
					t.Errorf("the cache has %d bytes", size)
				}
			}
		})
	}
	group.Wait()
}
