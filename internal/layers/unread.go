package layers

import (
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

// Unread finds values of layers that nothing reads, by read, which also knows what may
// be read. They are warnings. known are paths that are read, for hints.
func (m *Merged) Unread(read func(path []string) bool, known []string) strictyaml.Faults {
	var faults strictyaml.Faults
	for _, s := range m.sources {
		if s.kind != KindLayer && s.kind != KindTier {
			continue
		}
		Leaves(s.values, func(path []string, value any) {
			if value == nil || isMap(value) || faults.Full() || read(path) {
				return
			}
			f := s.fault(path, "no template of the chart reads this%s", strictyaml.DidYouMean(PathText(path), known))
			f.Warning = true
			faults = append(faults, f)
		})
	}
	return faults
}

// Evaluated says whether a string among the values is a template that may read others.
func (m *Merged) Evaluated() bool {
	found := false
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, item := range v {
				look(item)
			}
		case []any:
			for _, item := range v {
				look(item)
			}
		case string:
			found = found || strings.Contains(v, "{{")
		}
	}
	for _, s := range m.sources {
		look(s.values)
	}
	return found
}
