package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/singleflight"
	"github.com/envladder/envladder/plugin/bytecache"
	"github.com/envladder/envladder/plugin/worker"
)

// renderer renders in workers, once for equal concurrent requests, and caches the results. Argo CD
// repeats requests when its own cache has evicted them, when a user refreshes, and when a
// commit changes nothing of the Application.
type renderer struct {
	pool    *worker.Pool
	results *bytecache.Cache[documents]
	// resultKeys has the keys of results by the keys of requests.
	resultKeys *bytecache.Cache[string]
	inProgress singleflight.Group[documents]
	metrics    *metrics
}

func newRenderer(pool *worker.Pool, metrics *metrics, resultCache int64) *renderer {
	return &renderer{
		pool:       pool,
		results:    bytecache.New[documents](resultCache),
		resultKeys: bytecache.New[string](resultCache / 16), // two keys for a result of some KiB
		metrics:    metrics,
	}
}

// cached returns the cached result of an equal request. Callers share it, so no one may change
// it.
func (r *renderer) cached(request string) (documents, bool) {
	result, ok := r.resultKeys.Get(request)
	if !ok {
		return nil, false
	}
	known, ok := r.results.Get(result)
	if ok {
		r.metrics.hits.Inc()
	}
	return known, ok
}

// render renders the chart, and caches the result for the request of that key. Callers share
// the result, so no one may change it.
func (r *renderer) render(ctx context.Context, request string, source *chart.Source, options chart.RenderOptions) (documents, error) {
	key, err := resultKey(source, options)
	if err != nil {
		return nil, err
	}
	r.resultKeys.Put(request, key, int64(len(key)))
	if known, ok := r.results.Get(key); ok {
		r.metrics.hits.Inc()
		return known, nil
	}
	r.metrics.misses.Inc()
	return r.inProgress.Do(ctx, key, func(ctx context.Context) (documents, error) {
		rendered, err := r.pool.Render(ctx, source, options)
		if err != nil {
			return nil, err
		}
		result := documentsOf(rendered)
		r.results.Put(key, result, result.size())
		return result, nil
	})
}

// resultKey returns a key of all that a rendering depends on. The chart's path is part of it,
// since errors contain it.
func resultKey(source *chart.Source, options chart.RenderOptions) (string, error) {
	encoded, err := options.Encode()
	if err != nil {
		return "", fmt.Errorf("encoding the options of chart %q: %w", source.Path, err)
	}
	return fmt.Sprintf("%s %s %x", source.Digest, source.Path, sha256.Sum256(encoded)), nil
}

// documents are manifests as the protocol requires them, each with a comment that names its
// template. They are cached in this form, and all responses share them.
type documents []string

// documentsOf returns manifests as the protocol requires them.
func documentsOf(manifests manifest.Manifests) documents {
	texts := make(documents, len(manifests))
	for i, m := range manifests {
		texts[i] = fmt.Sprintf("# Source: %s\n%s\n", m.Source, m.Content)
	}
	return texts
}

// size returns the memory that the documents use, in bytes.
func (d documents) size() int64 {
	const each = 16 // the string itself
	var size int64
	for _, text := range d {
		size += int64(len(text)) + each
	}
	return size
}
