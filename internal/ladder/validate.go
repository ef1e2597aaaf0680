package ladder

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// validator collects the problems of a Ladder that its types don't show. It ignores empty
// values: either they may be absent, or decoding has reported them.
type validator struct {
	*Document

	problems strictyaml.Problems
	pinned   []pinnedPath
}

// validate checks the document alone, not the files that it names, and adds to the
// problems of its decoding.
func (d *Document) validate(decoding strictyaml.Problems) strictyaml.Problems {
	v := &validator{Document: d, problems: decoding}
	v.constant("apiVersion", d.APIVersion, APIVersion)
	v.constant("kind", d.Kind, Kind)
	v.name("metadata.name", d.Metadata.Name)
	v.chart()
	v.images()
	v.layers("spec.layers", d.Spec.Layers)
	v.tiers()
	v.mayDiffer()
	v.pinned = d.pinnedPaths()
	v.overrides("spec", d.Spec.Overrides)
	v.environments()
	v.ownPins()
	v.preview()
	return v.problems
}

// problemf adds a problem, unless there are already more than are reported.
func (v *validator) problemf(at, format string, args ...any) {
	if v.problems.Full() {
		return
	}
	v.problems = append(v.problems, v.positions.Problem(at, format, args...))
}

// faulty reports whether there is a problem at that path already.
func (v *validator) faulty(at string) bool {
	return slices.ContainsFunc(v.problems, func(f strictyaml.Problem) bool { return f.Path == at })
}

func (v *validator) constant(at, have, want string) {
	if have != "" && have != want {
		v.problemf(at, "is %.120q: want %q", have, want)
	}
}

var label = regexp.MustCompile(NamePattern)

func (v *validator) name(at, name string) {
	if name != "" && !label.MatchString(name) {
		v.problemf(at, "is %.120q: want at most 63 lowercase letters, digits and -, with a letter or digit at both ends", name)
	}
}

// unique reports repeated names. at returns the path of the i-th of them.
func (v *validator) unique(names []string, at func(i int) string) {
	for i, name := range names {
		if first := slices.Index(names, name); name != "" && first < i {
			v.problemf(at(i), "%.120q is already %s", name, at(first))
		}
	}
}

func (v *validator) path(at, path string) {
	if path == "" {
		return
	}
	if _, err := resolve(v.dir, path); err != nil {
		v.problemf(at, "%.120q %v", path, err)
	}
}

// layers checks the paths of one list. A layer that is listed twice in it is a mistake: the
// second one could only restore what a layer between the two has overridden. Another list
// may name it again, to override the lists between.
func (v *validator) layers(at string, entries []LayerEntry) {
	first := map[string]int{}
	for i, e := range entries {
		here := strictyaml.Index(at, i)
		v.path(here, e.Path)
		file, err := resolve(v.dir, e.Path)
		if e.Path == "" || err != nil {
			continue
		}
		if why := wrongGlob(e.Path); why != "" {
			v.problemf(here, "%.120q %s", e.Path, why)
		}
		if before, ok := first[file]; ok {
			v.problemf(here, "%.120q is already %s: remove it, since a list may name a layer only once", e.Path, strictyaml.Index(at, before))
			continue
		}
		first[file] = i
	}
}

func (v *validator) chart() {
	const at = "spec.chart"
	if !strings.HasPrefix(v.Spec.Chart, ociScheme) {
		v.path(at, v.Spec.Chart)
		return
	}
	if err := checkChart(v.Spec.Chart); err != nil {
		v.problemf(at, "%.120q %v", v.Spec.Chart, err)
	}
}

func (v *validator) tiers() {
	for _, tier := range v.declaredTiers() {
		v.path("spec.tiers."+tier, v.Spec.Tiers.File(Tier(tier)))
	}
}

func (v *validator) declaredTiers() []string {
	return slices.DeleteFunc(Tier("").Enum(), func(tier string) bool { return v.Spec.Tiers.File(Tier(tier)) == "" })
}

func (v *validator) tierDeclared(at string, tier Tier) {
	if tier == "" || v.positions.Has("spec.tiers."+string(tier)) {
		return
	}
	v.problemf(at, "tier %q isn't declared: set spec.tiers.%s to its values file", tier, tier)
}

func (v *validator) mayDiffer() {
	m := v.Spec.MayDiffer
	if m == nil {
		return
	}
	v.patterns("spec.mayDiffer.scale", m.Scale)
	v.patterns("spec.mayDiffer.endpoints", m.Endpoints)
	v.patterns("spec.mayDiffer.flags", m.Flags)
	v.patterns("spec.mayDiffer.secrets", m.Secrets)
	v.patterns("spec.mayDiffer.rollout", m.Rollout)
}

func (v *validator) patterns(at string, patterns []string) {
	for i, pattern := range patterns {
		if _, err := valuepath.ParsePattern(pattern); pattern != "" && err != nil {
			v.problemf(strictyaml.Index(at, i), "is %.120q: %v", pattern, err)
		}
	}
}

func (v *validator) environments() {
	if len(v.Spec.Environments) == 0 && v.positions.Has("spec.environments") {
		v.problemf("spec.environments", "needs at least one environment")
	}
	names := make([]string, len(v.Spec.Environments))
	for i, e := range v.Spec.Environments {
		names[i] = e.Name
		at := environmentPath(i)
		v.environmentName(at+".name", e.Name)
		v.tierDeclared(at+".tier", e.Tier)
		v.layers(at+".layers", e.Layers)
		v.overrides(at, e.Overrides)
		v.path(at+".pins", e.Pins)
		v.path(at+".gate", e.Gate)
		v.targets(i, e.Targets)
	}
	v.unique(names, func(i int) string { return environmentPath(i) + ".name" })
}

// previewEnvironment matches the names of the environments of pull requests.
var previewEnvironment = regexp.MustCompile(`^pr-[0-9]+$`)

// IsName reports whether a text can be a name in a Ladder.
func IsName(text string) bool { return label.MatchString(text) }

// IsReservedName reports whether a name is reserved for the environments of pull requests.
func IsReservedName(name string) bool {
	return name == previewName || previewEnvironment.MatchString(name)
}

func (v *validator) environmentName(at, name string) {
	if IsReservedName(name) {
		v.problemf(at, "%q is reserved for the environments of pull requests: their template is spec.preview", name)
		return
	}
	v.name(at, name)
}

// forgeRepository matches owner/name, with groups in between where the forge has them.
var forgeRepository = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)

func (v *validator) preview() {
	p := v.Spec.Preview
	if p == nil {
		return
	}
	v.tierDeclared("spec.preview.tier", p.Tier)
	v.layers("spec.preview.layers", p.Layers)
	v.overrides("spec.preview", p.Overrides)
	if p.Source != nil && p.Source.Repository != "" && !forgeRepository.MatchString(p.Source.Repository) {
		v.problemf("spec.preview.source.repository", "is %.120q: want owner/name, as the forge names it", p.Source.Repository)
	}
	if _, err := ParseTag(p.Tag); p.Tag != "" && err != nil {
		v.problemf("spec.preview.tag", "is %.120q: %v", p.Tag, err)
	}
	if why := wrongDuration(p.TTL); p.TTL != "" && why != "" {
		v.problemf("spec.preview.ttl", "is %.120q: %s", p.TTL, why)
	}
	const maxPath = "spec.preview.max"
	if v.positions.Has(maxPath) && p.Max < 1 && !v.faulty(maxPath) {
		v.problemf(maxPath, "want at least 1: leave spec.preview out for no previews")
	}
}

func wrongDuration(s string) string {
	switch d, err := time.ParseDuration(s); {
	case err != nil:
		return "want a duration such as 72h or 1h30m"
	case d <= 0:
		return fmt.Sprintf("want a duration above 0, have %v", d)
	}
	return ""
}
