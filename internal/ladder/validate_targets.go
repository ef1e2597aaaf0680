package ladder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

func (v *validator) targets(e int, targets []Target) {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	// Not all names are known where the list is too long.
	known := !v.faulty(strictyaml.Key(environmentPath(e), "targets"))
	for i, t := range targets {
		at := targetPath(e, i)
		v.name(at+".name", t.Name)
		v.layers(at+".layers", t.Layers)
		v.path(at+".pins", t.Pins)
		if known && t.After != "" && !slices.Contains(names, t.After) && !v.problems.Full() {
			v.problemf(at+".after", "there is no target %.120q in this environment%s", t.After, strictyaml.DidYouMean(t.After, names))
		}
	}
	v.cycles(e, targets, names)
	v.unique(names, func(i int) string { return targetPath(e, i) + ".name" })
}

// cycles reports cycles of after: each cycle once, at the first of its targets.
func (v *validator) cycles(e int, targets []Target, names []string) {
	walked := make([]bool, len(targets))
	for i := range targets {
		var chain []int
		at := i
		for at >= 0 && !walked[at] {
			walked[at] = true
			chain = append(chain, at)
			at = follows(targets[at], names)
		}
		if begin := slices.Index(chain, at); begin >= 0 {
			v.reportCycle(e, targets, chain[begin:])
		}
	}
}

// follows returns the index of the target that t comes after, or -1.
func follows(t Target, names []string) int {
	if t.After == "" {
		return -1
	}
	return slices.Index(names, t.After)
}

// reportCycle reports a cycle of targets, by their indexes.
func (v *validator) reportCycle(e int, targets []Target, cycle []int) {
	begin := slices.Index(cycle, slices.Min(cycle))
	cycle = append(slices.Clone(cycle[begin:]), cycle[:begin]...)
	shown := cycle[:min(len(cycle), maxNamed)]
	var message strings.Builder
	for _, t := range shown {
		message.WriteString(asName(targets[t].Name) + " after ")
	}
	if len(shown) < len(cycle) {
		message.WriteString("… after ")
	}
	v.problemf(targetPath(e, cycle[0])+".after", "the targets are a cycle, so none can be promoted first: %s%s", message.String(), asName(targets[cycle[0]].Name))
}

// asName returns a name as it is, and an invalid one quoted and cut.
func asName(name string) string {
	if label.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%.60q", name)
}

// ownPins checks that no two environments or targets name the same pins file: a promotion
// to one would change the other. (Targets without pins share their environment's on
// purpose.)
func (v *validator) ownPins() {
	first := map[string]string{}
	check := func(at, path string) {
		file, err := resolve(v.dir, path)
		if path == "" || err != nil {
			return
		}
		if other, ok := first[file]; ok {
			v.problemf(at, "%.120q is already %s: a promotion to one would change the other", path, other)
			return
		}
		first[file] = at
	}
	for i, e := range v.Spec.Environments {
		check(environmentPath(i)+".pins", e.Pins)
		for j, t := range e.Targets {
			check(targetPath(i, j)+".pins", t.Pins)
		}
	}
}
