package layers

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/loopback"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// CheckDataIsolation finds environments that share an endpoint or a secret's name with an
// environment with real data. Endpoints and secrets are at the paths of mayDiffer's groups of
// those names: a value that an environment with real data has at any path of a group may be
// at no path of the group in other environments.
//
// Only texts count: not numbers, times or booleans (even as texts, such as ports and
// intervals), empty texts, templates, whose output differs by environment, and loopback
// addresses, which are local to each pod. Values that only the chart sets count if a pattern
// names their path without wildcards, since a chart also has types and intervals next to
// endpoints.
func CheckDataIsolation(views []View, mayDiffer *ladder.MayDiffer) strictyaml.Problems {
	groups := []group{
		{"endpoints", valuepath.ParsePatterns(mayDiffer.Endpoints)},
		{"secrets", valuepath.ParsePatterns(mayDiffer.Secrets)},
	}
	owners := map[endpoint]owner{}
	for _, view := range views {
		if view.Real {
			view.endpoints(groups, func(e endpoint, path []string) {
				if _, known := owners[e]; !known {
					owners[e] = owner{view, path}
				}
			})
		}
	}
	var problems strictyaml.Problems
	for _, view := range views {
		if !view.Real {
			view.endpoints(groups, func(e endpoint, path []string) {
				if theirs, shared := owners[e]; shared && !problems.Full() {
					problems = append(problems, view.shares(theirs, path, e.group))
				}
			})
		}
	}
	return problems
}

// group is a group of mayDiffer.
type group struct {
	name     string
	patterns valuepath.Patterns
}

// endpoint is a value that refers to data.
type endpoint struct{ group, value string }

// owner is an environment with real data, and the path of an endpoint in it.
type owner struct {
	view View
	path []string
}

// endpoints visits the endpoints of an environment with their paths. In a list that a pattern
// matches, all items count; else those that a pattern matches.
func (v View) endpoints(groups []group, visit func(e endpoint, path []string)) {
	Leaves(v.Values, func(path []string, value any) {
		for _, g := range groups {
			if !v.sets(path, g) {
				continue
			}
			whole := g.patterns.Match(path)
			if !whole && !g.patterns.MatchInside(path) {
				continue
			}
			eachText(value, path, func(text string, path []string) {
				if (whole || g.patterns.Match(path)) && leadsSomewhere(text) {
					visit(endpoint{g.name, text}, path)
				}
			})
		}
	})
}

// sets reports whether a layer sets the value, or the chart sets it and the group names it.
func (v View) sets(path []string, g group) bool {
	s, ok := v.Merged.Setting(path)
	return ok && (s.Kind != KindChart || g.patterns.Contains(path))
}

// eachText visits the texts of a value that isn't a mapping.
func eachText(value any, path []string, visit func(text string, path []string)) {
	switch value := value.(type) {
	case string:
		visit(value, path)
	case []any:
		for i, item := range value {
			eachText(item, append(slices.Clone(path), strconv.Itoa(i)), visit)
		}
	case map[string]any:
		for key, item := range value {
			eachText(item, append(slices.Clone(path), key), visit)
		}
	}
}

func leadsSomewhere(text string) bool {
	_, notNumber := strconv.ParseFloat(text, 64)
	_, notTime := time.ParseDuration(text)
	return notNumber != nil && notTime != nil && strings.TrimSpace(text) != "" && text != "true" && text != "false" &&
		!isTemplate(text) && !isLoopback(text)
}

// isLoopback reports whether text is a host, host:port or URL of the pod itself.
func isLoopback(text string) bool {
	host := text
	if address, err := url.Parse(text); err == nil && address.Host != "" {
		host = address.Hostname()
	} else if before, _, err := net.SplitHostPort(text); err == nil {
		host = before
	}
	return loopback.IsHost(host)
}

// shares returns the problem of a value that v shares with an environment with real data.
func (v View) shares(theirs owner, path []string, group string) strictyaml.Problem {
	here, _ := v.Merged.Setting(path)
	there, _ := theirs.view.Merged.Setting(theirs.path)
	return strictyaml.Problem{
		File: here.File, Line: here.Line, Column: here.Column, Path: valuepath.Format(path),
		Message: fmt.Sprintf("%s shares this value with %s, which has real data, from %s: set another value, or, if it doesn't refer to data, narrow the pattern in spec.mayDiffer.%s",
			v.Name, theirs.view.Name, there.location(), group),
	}
}
