package ladder

import (
	"slices"
	"strings"
)

// Patterns returns the patterns of all groups.
func (m *MayDiffer) Patterns() []string {
	if m == nil {
		return nil
	}
	return slices.Concat(m.Scale, m.Endpoints, m.Flags, m.Secrets, m.Rollout)
}

// LayerFiles returns the files of all layers that the Ladder names anywhere, each once. It
// leaves out missing files, which Check reports.
func (d *Document) LayerFiles() []string {
	layers, _ := d.findLayers(d.allLayers())
	files := make([]string, len(layers))
	for i, layer := range layers {
		files[i] = layer.Path
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// ResolveAll resolves every environment and target in the order of promotion. The preview,
// if there is one, is the last, for pull request 1 and with digests that no image has. It
// leaves out those that can't be resolved, which Check reports.
func (d *Document) ResolveAll() []Resolved {
	var all []Resolved
	for _, e := range d.Spec.Environments {
		for _, t := range targetIndexes(e) {
			target := ""
			if t != noTarget {
				target = e.Targets[t].Name
			}
			if resolved, err := d.Resolve(e.Name, target); err == nil {
				all = append(all, resolved)
			}
		}
	}
	digests := map[string]string{}
	for _, image := range d.Spec.Images {
		digests[image.Name] = "sha256:" + strings.Repeat("0", 64)
	}
	if resolved, err := d.ResolvePreview(1, digests); err == nil {
		resolved.Environment = previewName
		all = append(all, resolved)
	}
	return all
}
