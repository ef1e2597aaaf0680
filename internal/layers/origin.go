package layers

import (
	"slices"
	"strconv"
	"strings"
)

// Coalesce merges values with the defaults of a chart, in the order in which WithChart got
// them, into what the chart's templates see.
type Coalesce func(values map[string]any, defaults []map[string]any) (map[string]any, error)

// origins has the source of each value. Helm itself determines it: the sources are merged
// with a mark in place of each value, and each mark ends up at the path of its value.
// Globals, imported values and nulls need no rules of their own.
type origins struct {
	// marked has a mark for each value that templates see.
	marked map[string]any
	of     []origin
}

// origin identifies a value of a source.
type origin struct {
	source int
	path   []string
}

// mark is the start of a value that stands for an origin. No YAML has a NUL.
const mark = "\x00origin "

// WithOrigins returns m, which WithChart returned, with the exact origin of each value. It
// returns m itself where the values can't be merged.
func (m *Merged) WithOrigins(coalesce Coalesce) *Merged {
	found := &origins{}
	var (
		values   = map[string]any{}
		defaults []map[string]any
	)
	for i, s := range m.sources {
		if s.kind != KindChart {
			values = mergeMaps(values, found.mark(i, s.values, nil))
			continue
		}
		own, _ := s.valueAt(s.prefix).(map[string]any)
		// m has them in reverse: the last one wins.
		defaults = append(defaults, found.mark(i, own, s.prefix))
	}
	slices.Reverse(defaults)
	marked, err := coalesce(values, defaults)
	if err != nil {
		return m
	}
	found.marked = marked
	out := *m
	out.origins = found
	return &out
}

// mark returns values with a mark in place of each, except nulls and mappings, which affect
// the merge.
func (o *origins) mark(source int, values map[string]any, at []string) map[string]any {
	marked := make(map[string]any, len(values))
	for key, value := range values {
		path := append(slices.Clone(at), key)
		switch value := value.(type) {
		case nil:
			marked[key] = nil
		case map[string]any:
			marked[key] = o.mark(source, value, path)
		default:
			marked[key] = mark + strconv.Itoa(len(o.of))
			o.of = append(o.of, origin{source, path})
		}
	}
	return marked
}

// find returns the origin of the value at path, or of the list that it is in. For a value in
// a list, inside is the rest of the path.
func (o *origins) find(path []string) (found origin, inside []string, ok bool) {
	if o == nil {
		return origin{}, nil, false
	}
	var value any = o.marked
	for depth := 0; ; depth++ {
		switch v := value.(type) {
		case string:
			i, err := strconv.Atoi(strings.TrimPrefix(v, mark))
			if err != nil || i >= len(o.of) {
				return origin{}, nil, false
			}
			return o.of[i], path[depth:], true
		case map[string]any:
			if depth == len(path) {
				return origin{}, nil, false
			}
			value = v[path[depth]]
		default:
			return origin{}, nil, false
		}
	}
}

// copiesOf returns the paths whose values Helm copies to path, those that lose first: a
// global is copied into each chart below, where the outer chart's wins.
func (o *origins) copiesOf(path []string) [][]string {
	var paths [][]string
	i := slices.Index(path, globalKey)
	for depth := i; depth >= 0; depth-- {
		paths = append(paths, slices.Concat(path[:depth], path[i:]))
	}
	if i < 0 {
		paths = [][]string{path}
	}
	if found, inside, ok := o.find(path); ok {
		whole := slices.Concat(found.path, inside)
		if !slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, whole) }) {
			paths = append([][]string{whole}, paths...) // imported from a subchart
		}
	}
	return paths
}

// globalKey holds the values that Helm copies into all subcharts.
const globalKey = "global"
