package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/plugin/sized"
	"github.com/envladder/envladder/plugin/worker"
)

// renderer renders in workers, once for equal requests, and remembers what came of it.
// Argo CD asks again for what it has asked before whenever its own cache has lost it, a
// person refreshes, or a commit changes nothing of this Application.
type renderer struct {
	pool    *worker.Pool
	results *sized.Cache[chart.Manifests]
	// asked has the keys of results by the keys of requests.
	asked   *sized.Cache[string]
	flights flights
	metrics *metrics
}

func newRenderer(pool *worker.Pool, metrics *metrics, resultCache int64) *renderer {
	return &renderer{
		pool:    pool,
		results: sized.New[chart.Manifests](resultCache),
		asked:   sized.New[string](resultCache / 16), // two keys beside a result of some KiB
		metrics: metrics,
	}
}

// again is what a request was answered before. It is shared, as render's are.
func (r *renderer) again(request string) (chart.Manifests, bool) {
	result, ok := r.asked.Get(request)
	if !ok {
		return nil, false
	}
	known, ok := r.results.Get(result)
	if ok {
		r.metrics.hits.Inc()
	}
	return known, ok
}

// render is what the chart renders to by the recipe, to be given again for the request
// of that key. It is shared: nobody may change it.
func (r *renderer) render(ctx context.Context, request string, source *chart.Source, recipe chart.Recipe) (chart.Manifests, error) {
	key, err := resultKey(source, recipe)
	if err != nil {
		return nil, err
	}
	r.asked.Put(request, key, int64(len(key)))
	if known, ok := r.results.Get(key); ok {
		r.metrics.hits.Inc()
		return known, nil
	}
	r.metrics.misses.Inc()
	return r.flights.do(ctx, key, func(ctx context.Context) (chart.Manifests, error) {
		rendered, err := r.pool.Render(ctx, source, recipe)
		if err == nil {
			r.results.Put(key, rendered, sizeOf(rendered))
		}
		return rendered, err
	})
}

// resultKey names all that a rendering depends on. The chart's path is part of it since
// the recipe isn't enough to tell two paths of one content apart in an error.
func resultKey(source *chart.Source, recipe chart.Recipe) (string, error) {
	encoded, err := recipe.Encode()
	if err != nil {
		return "", fmt.Errorf("naming the rendering of chart %q: %w", source.Path, err)
	}
	return fmt.Sprintf("%s %s %x", source.Digest, source.Path, sha256.Sum256(encoded)), nil
}

// sizeOf is what manifests take in memory, in bytes.
func sizeOf(manifests chart.Manifests) int64 {
	const each = 64 // the struct itself
	var size int64
	for _, m := range manifests {
		size += int64(len(m.Source)+len(m.Content)) + each
	}
	return size
}
