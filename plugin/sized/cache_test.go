package sized_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/envladder/envladder/plugin/sized"
)

func TestWhatWasUsedLastIsKept(t *testing.T) {
	cache := sized.New[int](30)
	cache.Put("a", 1, 9)
	cache.Put("b", 2, 9)
	cache.Put("c", 3, 9)
	cache.Get("a")
	cache.Put("d", 4, 9)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok := cache.Get(key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
	if cache.Held() != 30 {
		t.Errorf("it holds %d bytes", cache.Held())
	}
}

func TestAnEntryIsReplacedWithItsSize(t *testing.T) {
	cache := sized.New[int](30)
	cache.Put("a", 1, 9)
	cache.Put("a", 2, 19)
	if value, ok := cache.Get("a"); !ok || value != 2 || cache.Held() != 20 {
		t.Errorf("%d, %v, of %d bytes", value, ok, cache.Held())
	}
	cache.Put("a", 3, 30)
	if _, ok := cache.Get("a"); ok || cache.Held() != 0 {
		t.Errorf("what is larger than the cache is kept: %v, %d bytes", ok, cache.Held())
	}
}

func TestTheBoundHoldsUnderLoad(t *testing.T) {
	cache := sized.New[int](1000)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 1000 {
				cache.Put(fmt.Sprint(j%100), i, int64(j%300))
				cache.Get(fmt.Sprint((j + i) % 100))
				if held := cache.Held(); held < 0 || held > 1000 {
					t.Errorf("it holds %d bytes", held)
				}
			}
		})
	}
	group.Wait()
}
