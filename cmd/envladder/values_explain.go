package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/secrets"
	"github.com/envladder/envladder/internal/valuepath"
)

// explanation has the origin of a value.
type explanation struct {
	Path string `json:"path"`
	// Value that templates see; null with Removed where there is none.
	Value   any  `json:"value"`
	Removed bool `json:"removed,omitempty"`
	// Chain has the setting of each layer, the lowest first.
	Chain []layers.Setting `json:"chain"`
}

// explain explains the values at path and below, and those that a null removes.
func (v envTargetValues) explain(path []string) ([]explanation, error) {
	var all []explanation
	value, there := valuepath.Lookup(v.final, path)
	switch below, isMap := value.(map[string]any); {
	case there && isMap:
		layers.Leaves(below, func(rest []string, value any) {
			all = append(all, v.explainOne(slices.Concat(path, rest), value))
		})
	case there:
		all = append(all, v.explainOne(path, value))
	}
	v.merged.Removed(func(removed []string) {
		under := len(removed) >= len(path) && slices.Equal(removed[:len(path)], path)
		above := len(removed) < len(path) && slices.Equal(path[:len(removed)], removed)
		if _, there := valuepath.Lookup(v.final, removed); !there && (under || above) {
			e := v.explainOne(removed, nil)
			e.Removed = true
			all = append(all, e)
		}
	})
	if len(all) == 0 && len(path) > 0 {
		return nil, errors.New("no layer and no chart has a value there")
	}
	slices.SortStableFunc(all, func(a, b explanation) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// explainOne explains the value at a path.
func (v envTargetValues) explainOne(path []string, value any) explanation {
	e := explanation{Path: valuepath.Format(path), Value: value}
	for _, s := range v.merged.Chain(path) {
		// another layer may have the name that marks the value as a secret
		if _, isMap := s.Value.(map[string]any); value == secrets.Mask && s.Value != nil && !isMap {
			s.Value = secrets.Mask
		}
		if s.Line > 0 || s.Kind == layers.KindChart {
			s.File = v.relativePath(s.File)
		}
		e.Chain = append(e.Chain, s)
	}
	if e.Chain == nil {
		e.Chain = []layers.Setting{} // a copy of a global value, or imported from a subchart
	}
	return e
}

// printTable prints the path of each value, and a line for each layer.
func printTable(w io.Writer, values any) error {
	explanations, ok := values.([]explanation)
	if !ok {
		return fmt.Errorf("printing values: a table is for explanations")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range explanations {
		head := short(e.Value)
		if e.Removed {
			head = "(removed)"
		}
		fmt.Fprintf(table, "%s: %s\n", e.Path, head)
		for _, s := range e.Chain {
			value := short(s.Value)
			if s.Effect == layers.Merges {
				value = "(a mapping)"
			}
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", s.Effect, positionOf(s), s.Layer, value)
		}
		if len(e.Chain) == 0 {
			fmt.Fprintf(table, "  from the chart, by Helm's rules for global and imported values\n")
		}
	}
	return table.Flush()
}

// positionOf returns the file and line of a setting.
func positionOf(s layers.Setting) string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// maxShown bounds the characters of a value in a line.
const maxShown = 80

// short returns a value as JSON, cut to maxShown.
func short(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "(unprintable)"
	}
	return printable.Cut(printable.Lines(string(text)), maxShown)
}
