package ladder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

// The names of environments that have a meaning of their own.
const (
	// localName is the environment that may have no pins: it runs dev's digests.
	localName = "local"
	devName   = "dev"
	// previewName is spec.preview, the template of pr-<n>.
	previewName = "preview"
)

// Resolve resolves an environment: its chart, its layers in order, its pins. target is empty
// for an environment without targets. The error is a strictyaml.Problems where a document is
// invalid, and another error where the ladder has no such environment or target.
func (d *Document) Resolve(environment, target string) (Resolved, error) {
	e, err := d.environment(environment)
	if err != nil {
		return Resolved{}, err
	}
	t, err := d.target(e, target)
	if err != nil {
		return Resolved{}, err
	}
	resolved := Resolved{
		Ladder: d.Metadata.Name, Environment: environment, Target: target,
		Stamps: d.stamps(), LiteralSecrets: d.LiteralSecrets(), Preflight: d.Spec.Environments[e].Preflight == PreflightOn,
		Overridable: d.overridable(environmentPath(e), d.Spec.Environments[e].Overrides),
	}
	var problems strictyaml.Problems
	resolved.Layers, problems = d.findLayers(d.layers(e, t))
	pins, more := d.pins(e, t)
	problems = append(problems, more...)
	resolved.Pins = pins.inject(d.Spec.Images)
	resolved.Chart, more = d.chart(pins)
	problems = append(problems, more...)
	if err := problems.Err(); err != nil {
		return Resolved{}, err
	}
	return resolved, nil
}

// findLayers returns the layers with their files.
func (d *Document) findLayers(entries []entry) (layers []Layer, problems strictyaml.Problems) {
	for _, entry := range entries {
		files, problem := d.files(entry)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		for _, file := range files {
			layers = append(layers, Layer{Path: file, Origin: entry.origin})
		}
	}
	return layers, problems
}

// LiteralSecrets reports whether values that another tool would have to resolve are
// rendered as they are written.
func (d *Document) LiteralSecrets() bool {
	return d.Spec.UnresolvedSecrets == UnresolvedSecretsLiteral
}

// stamps returns the setting, or its default.
func (d *Document) stamps() Stamps {
	if d.Spec.Stamps == "" {
		return StampsOn
	}
	return d.Spec.Stamps
}

// environment returns the index of the environment of that name.
func (d *Document) environment(name string) (int, error) {
	if i := d.index(name); i >= 0 {
		return i, nil
	}
	if name == previewName && d.Spec.Preview != nil {
		return 0, fmt.Errorf("choosing environment %q: it is the template of pull requests' environments and has no digest of its own: name a pull request and its images", name)
	}
	names := d.EnvironmentNames()
	return 0, fmt.Errorf("choosing environment %q: ladder %q has %s%s",
		name, d.Metadata.Name, ListNames(names), strictyaml.DidYouMean(name, names))
}

// maxNamed bounds how many names a message lists.
const maxNamed = 20

// ListNames lists names for a message, at most 20 of them.
func ListNames(names []string) string {
	if more := len(names) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// index returns the index of an environment, or -1.
func (d *Document) index(environment string) int {
	return slices.IndexFunc(d.Spec.Environments, func(e Environment) bool { return e.Name == environment })
}

// noTarget is the index of the target of an environment without targets.
const noTarget = -1

// target returns the index of the target of that name in environment e.
func (d *Document) target(e int, name string) (int, error) {
	environment := d.Spec.Environments[e]
	t := slices.IndexFunc(environment.Targets, func(t Target) bool { return t.Name == name })
	names := make([]string, len(environment.Targets))
	for i, t := range environment.Targets {
		names[i] = t.Name
	}
	switch {
	case t >= 0:
		return t, nil
	case len(environment.Targets) == 0 && name == "":
		return noTarget, nil
	case len(environment.Targets) == 0:
		return 0, fmt.Errorf("choosing target %q: environment %q has no targets", name, environment.Name)
	case name == "":
		return 0, fmt.Errorf("choosing a target: environment %q has the targets %s: name one", environment.Name, ListNames(names))
	}
	return 0, fmt.Errorf("choosing target %q: environment %q has the targets %s%s",
		name, environment.Name, ListNames(names), strictyaml.DidYouMean(name, names))
}

// layers returns the layers of environment e and target t in order; the last wins. The
// chart's own values precede them, and the pins follow them.
func (d *Document) layers(e, t int) []entry {
	environment := d.Spec.Environments[e]
	entries := listed("spec.layers", d.Spec.Layers, "layers")
	entries = append(entries, d.tier(environment.Tier)...)
	entries = append(entries, listed(strictyaml.Key(environmentPath(e), "layers"), environment.Layers, "environment "+environment.Name)...)
	if t != noTarget {
		target := environment.Targets[t]
		entries = append(entries, listed(strictyaml.Key(targetPath(e, t), "layers"), target.Layers, "target "+target.Name)...)
	}
	return entries
}

// allLayers returns the layers that the Ladder names anywhere.
func (d *Document) allLayers() []entry {
	entries := listed("spec.layers", d.Spec.Layers, "layers")
	for _, tier := range Tier("").Enum() {
		entries = append(entries, d.tier(Tier(tier))...)
	}
	for i, e := range d.Spec.Environments {
		entries = append(entries, listed(strictyaml.Key(environmentPath(i), "layers"), e.Layers, "environment "+e.Name)...)
		for j, t := range e.Targets {
			entries = append(entries, listed(strictyaml.Key(targetPath(i, j), "layers"), t.Layers, "target "+t.Name)...)
		}
	}
	if d.Spec.Preview != nil {
		entries = append(entries, listed("spec.preview.layers", d.Spec.Preview.Layers, previewName)...)
	}
	return entries
}

func listed(at string, layers []LayerEntry, origin string) []entry {
	entries := make([]entry, len(layers))
	for i, layer := range layers {
		entries[i] = entry{at: strictyaml.Index(at, i), path: layer.Path, optional: layer.Optional, origin: origin, layer: true}
	}
	return entries
}

// tier returns the layer of a tier, if the tier is declared.
func (d *Document) tier(tier Tier) []entry {
	file := d.Spec.Tiers.File(tier)
	if file == "" {
		return nil
	}
	return []entry{{at: strictyaml.Key("spec.tiers", string(tier)), path: file, origin: TierOrigin + string(tier), layer: true}}
}

func environmentPath(e int) string { return strictyaml.Index("spec.environments", e) }

func targetPath(e, t int) string {
	return strictyaml.Index(strictyaml.Key(environmentPath(e), "targets"), t)
}
