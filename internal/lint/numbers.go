package lint

import (
	"context"
	"fmt"

	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// numbers returns a warning for each number of a layer that templates print in another
// notation than it is written in.
func (v view) numbers(ctx context.Context, rendered manifest.Manifests) (strictyaml.Problems, error) {
	numbers := v.ownValues.Reformatted()
	written := make([]chartlint.WrittenNumber, len(numbers))
	for i, n := range numbers {
		written[i] = chartlint.WrittenNumber{Path: n.Path, Text: n.Written}
	}
	rewritten, err := chartlint.RewrittenNumbers(ctx, v.chart, v.chartOptions(), rendered, written)
	if err != nil {
		return nil, fmt.Errorf("rendering %s with numbers as they are written: %w", v.Name, err)
	}
	found := map[string]bool{}
	for _, n := range rewritten {
		found[valuepath.Format(n.Path)] = true
	}
	var problems strictyaml.Problems
	for _, n := range numbers {
		if found[valuepath.Format(n.Path)] {
			p := n.At
			p.Warning = true
			p.Message = fmt.Sprintf("is written %.40s, and templates print the number %s: quote it to make it a string", n.Written, n.Printed)
			problems = append(problems, p)
		}
	}
	return problems, nil
}
