package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape fetches and parses Prometheus metrics.
func scrape(ctx context.Context, address string) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(io.LimitReader(response.Body, 4<<20))
}

// buckets returns the webhook's own histogram of the time inside the process: the number of
// requests by upper bound in seconds. It is empty for a webhook without that histogram.
func (c *contender) buckets(ctx context.Context) (map[float64]uint64, error) {
	buckets := map[float64]uint64{}
	if c.metrics == "" {
		return buckets, nil
	}
	families, err := scrape(ctx, c.metrics)
	if err != nil {
		return nil, err
	}
	for _, metric := range families["envladder_webhook_phase_seconds"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() != "phase" || label.GetValue() != "all" {
				continue
			}
			buckets[math.Inf(1)] = metric.GetHistogram().GetSampleCount()
			for _, bucket := range metric.GetHistogram().GetBucket() {
				buckets[bucket.GetUpperBound()] = bucket.GetCumulativeCount()
			}
		}
	}
	return buckets, nil
}

// quantile returns the upper bound of the bucket that contains the quantile of the requests
// between two readings, or 0 if there were none.
func quantile(before, after map[float64]uint64, percent uint64) time.Duration {
	total := after[math.Inf(1)] - before[math.Inf(1)]
	for _, bound := range slices.Sorted(maps.Keys(after)) {
		if total > 0 && !math.IsInf(bound, 1) && (after[bound]-before[bound])*100 >= total*percent {
			return time.Duration(bound * float64(time.Second))
		}
	}
	return 0
}
