package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/plugin/sized"
	"github.com/envladder/envladder/plugin/worker"
)

// renderer renders in workers, once for equal requests, and remembers what came of it.
// Argo CD asks again for what it has asked before whenever its own cache has lost it, a
// person refreshes, or a commit changes nothing of this Application.
type renderer struct {
	pool    *worker.Pool
	results *sized.Cache[documents]
	// asked has the keys of results by the keys of requests.
	asked   *sized.Cache[string]
	flights flights
	metrics *metrics
}

func newRenderer(pool *worker.Pool, metrics *metrics, resultCache int64) *renderer {
	return &renderer{
		pool:    pool,
		results: sized.New[documents](resultCache),
		asked:   sized.New[string](resultCache / 16), // two keys beside a result of some KiB
		metrics: metrics,
	}
}

// again is what a request was answered before. It is shared, as render's are.
func (r *renderer) again(request string) (documents, bool) {
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
func (r *renderer) render(ctx context.Context, request string, source *chart.Source, recipe chart.RenderOptions) (documents, error) {
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
	return r.flights.do(ctx, key, func(ctx context.Context) (documents, error) {
		rendered, err := r.pool.Render(ctx, source, recipe)
		if err != nil {
			return nil, err
		}
		result := documentsOf(rendered)
		r.results.Put(key, result, result.size())
		return result, nil
	})
}

// resultKey names all that a rendering depends on. The chart's path is part of it since
// the recipe isn't enough to tell two paths of one content apart in an error.
func resultKey(source *chart.Source, recipe chart.RenderOptions) (string, error) {
	encoded, err := recipe.Encode()
	if err != nil {
		return "", fmt.Errorf("naming the rendering of chart %q: %w", source.Path, err)
	}
	return fmt.Sprintf("%s %s %x", source.Digest, source.Path, sha256.Sum256(encoded)), nil
}

// documents are manifests as the protocol wants them, each with the comment that says
// which template it is from. They are kept so, and all answers share them.
type documents []string

func documentsOf(manifests manifest.Manifests) documents {
	texts := make(documents, len(manifests))
	for i, m := range manifests {
		texts[i] = fmt.Sprintf("# Source: %s\n%s\n", m.Source, m.Content)
	}
	return texts
}

// size is what they take in memory, in bytes.
func (d documents) size() int64 {
	const each = 16 // the string itself
	var size int64
	for _, text := range d {
		size += int64(len(text)) + each
	}
	return size
}
