package ladder

import (
	"fmt"
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/strictyaml"
)

// ResolvePreview resolves the environment pr-<number> from spec.preview. It has no pins file:
// the caller passes the digests (sha256:…) of the pull request's images, by name. They must
// be those of all the Ladder's images and no others. The error is like that of Resolve.
func (d *Document) ResolvePreview(number int, digests map[string]string) (Resolved, error) {
	p := d.Spec.Preview
	if p == nil {
		return Resolved{}, fmt.Errorf("choosing environment %q: ladder %q has no spec.preview", previewName, d.Metadata.Name)
	}
	environment := fmt.Sprintf("pr-%d", number)
	if number < 1 || !label.MatchString(environment) {
		return Resolved{}, fmt.Errorf("choosing the environment of pull request %d: want a number from 1 on", number)
	}
	resolved := Resolved{Ladder: d.Metadata.Name, Environment: environment, Stamps: d.stamps(), LiteralSecrets: d.LiteralSecrets(), Overridable: d.overridable("spec.preview", p.Overrides)}
	entries := listed("spec.layers", d.Spec.Layers, "layers")
	entries = append(entries, d.tier(p.Tier)...)
	entries = append(entries, listed("spec.preview.layers", p.Layers, previewName)...)
	var problems strictyaml.Problems
	resolved.Layers, problems = d.findLayers(entries)
	chart, more := d.chart(pinned{})
	resolved.Chart = chart
	if err := append(problems, more...).Err(); err != nil {
		return Resolved{}, err
	}
	if err := d.checkDigests(digests); err != nil {
		return Resolved{}, fmt.Errorf("pinning the images of pull request %d: %w", number, err)
	}
	resolved.Pins = pinned{Pins: Pins{Images: digests}, file: environment}.inject(d.Spec.Images)
	return resolved, nil
}

// checkDigests checks digests that aren't in a file, like pinned.check.
func (d *Document) checkDigests(digests map[string]string) error {
	names := make([]string, len(d.Spec.Images))
	for i, image := range d.Spec.Images {
		names[i] = image.Name
		if digests[image.Name] == "" {
			return fmt.Errorf("image %q has no digest", image.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("image %.120q is unknown%s", name, knownImages(name, names))
		}
		if why := wrongDigest(digests[name]); why != "" {
			return fmt.Errorf("image %q %s", name, why)
		}
	}
	return nil
}

// EnvironmentNames returns the names of all environments in the order of promotion; preview,
// if there is one, is the last.
func (d *Document) EnvironmentNames() []string {
	names := make([]string, len(d.Spec.Environments), len(d.Spec.Environments)+1)
	for i, environment := range d.Spec.Environments {
		names[i] = environment.Name
	}
	if d.Spec.Preview != nil {
		names = append(names, previewName)
	}
	return names
}

// IsPreview reports whether an environment's name is that of the template of pull requests'
// environments.
func IsPreview(environment string) bool { return environment == previewName }
