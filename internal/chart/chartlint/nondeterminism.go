package chartlint

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	helm "helm.sh/helm/v3/pkg/chart"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
)

// Nondeterminism is a call in a template that makes two renders of the same input differ.
type Nondeterminism struct {
	// Template is its path starting with the chart's name, File the path in the chart;
	// File is empty in a dependency.
	Template string
	File     string
	// Line and Column count from 1; 0 where the position isn't known.
	Line   int
	Column int
	// Function that is called there, such as randAlphaNum.
	Function string
}

// String describes the call in a sentence.
func (n Nondeterminism) String() string {
	if n.Function == "" {
		return fmt.Sprintf("template %q renders differently each time", n.Template)
	}
	return fmt.Sprintf("template %q calls %s in line %d, which returns something else each time", n.Template, n.Function, n.Line)
}

// randomFunctions are those whose result isn't determined by their arguments.
var randomFunctions = []string{
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle", "uuidv4",
	"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "genPrivateKey",
	"htpasswd", "bcrypt", "encryptAES",
	// These return the order of a map, which changes each time.
	"keys", "values",
}

// clockFunctions are those that return the time of day.
var clockFunctions = []string{"now", "ago"}

// FindNondeterminism renders the chart twice and returns the calls by which the two
// differ. It doesn't render a chart whose templates call no such function and evaluate no
// value or file that may call one (tpl). It doesn't find what changes daily or hourly.
func FindNondeterminism(ctx context.Context, c *chart.Chart, o chart.RenderOptions) ([]Nondeterminism, error) {
	calls := parseCalls(c.Helm())
	evaluates := evaluatesText(c) && (hasAction(o.Values) || chartHasAction(c.Helm()))
	if !calls.hasAny() && !evaluates {
		return nil, nil
	}
	first, err := c.Render(o)
	if err != nil {
		return nil, err
	}
	if evaluates || calls.hasAny(clockFunctions...) {
		select {
		case <-time.After(1100 * time.Millisecond): // until the clock shows the next second
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	second, err := c.Render(o)
	if err != nil {
		return nil, err
	}
	var found []Nondeterminism
	for _, template := range differingTemplates(first, second) {
		found = append(found, calls.reachableFrom(template)...)
	}
	slices.SortFunc(found, func(a, b Nondeterminism) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Function, b.Function))
	})
	return slices.Compact(found), nil
}

// hasAction reports whether v contains a text with a template action that tpl may execute.
func hasAction(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "{{")
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasAction)
	case []any:
		return slices.ContainsFunc(v, hasAction)
	}
	return false
}

// chartHasAction reports whether a chart's own values and files, or those of its
// dependencies, contain a template action.
func chartHasAction(c *helm.Chart) bool {
	return hasAction(c.Values) ||
		slices.ContainsFunc(c.Files, func(f *helm.File) bool { return f != nil && bytes.Contains(f.Data, []byte("{{")) }) ||
		slices.ContainsFunc(c.Dependencies(), chartHasAction)
}

// differingTemplates returns the templates whose manifests differ.
func differingTemplates(first, second manifest.Manifests) []string {
	textByTemplate := func(manifests manifest.Manifests) map[string]string {
		texts := map[string]string{}
		for _, m := range manifests {
			texts[m.Source] += m.String()
		}
		return texts
	}
	a, b := textByTemplate(first), textByTemplate(second)
	maps.DeleteFunc(a, func(template, text string) bool { return b[template] == text })
	return slices.Sorted(maps.Keys(a))
}
