package ladder

import (
	"slices"
	"strings"
)

// Patterns are those of all groups.
func (m *MayDiffer) Patterns() []string {
	if m == nil {
		return nil
	}
	return slices.Concat(m.Scale, m.Endpoints, m.Flags, m.Secrets, m.Rollout)
}

// LayerFiles are the files in the repository of all layers that the Ladder names
// anywhere, each once. What can't be found is left to Check.
func (d *Document) LayerFiles() []string {
	layers, _ := d.findLayers(d.allLayers())
	files := make([]string, len(layers))
	for i, layer := range layers {
		files[i] = layer.Path
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Steps resolves every environment and target in the order of the climb; preview, where
// there is one, is the last, as pull request 1 with digests that no image has. What can't
// be resolved is left out: Check says why.
func (d *Document) Steps() []Step {
	var steps []Step
	for _, e := range d.Spec.Environments {
		for _, t := range targetIndexes(e) {
			target := ""
			if t != noTarget {
				target = e.Targets[t].Name
			}
			if step, err := d.Step(e.Name, target); err == nil {
				steps = append(steps, step)
			}
		}
	}
	digests := map[string]string{}
	for _, image := range d.Spec.Images {
		digests[image.Name] = "sha256:" + strings.Repeat("0", 64)
	}
	if step, err := d.PreviewStep(1, digests); err == nil {
		step.Environment = previewName
		steps = append(steps, step)
	}
	return steps
}
