package infer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// otherTools matches names of files that belong to other tools.
var otherTools = regexp.MustCompile(`^(?:docker-compose|compose|kustomization|helmfile|skaffold|taskfile|ct)(?:[-_.].*)?$`)

// secretName matches names of files that are encrypted, or that don't belong in Git.
var secretName = regexp.MustCompile(`(?:^|[-_.])(?:secrets?|credentials?|sops|enc|encrypted)(?:[-_.]|$)`)

// rejectFile returns why a file can't be a layer, or nothing where it can.
func (v *valuesTree) rejectFile(file string) string {
	name := stem(path.Base(file))
	switch {
	case strings.HasSuffix(file, templateSuffix):
		return "is a template of helmfile: render it, or write plain values"
	case otherTools.MatchString(name):
		return "belongs to another tool"
	case strings.HasSuffix(name, ".schema"):
		return "is a schema"
	case secretName.MatchString(name):
		return "seems to contain secrets, and the plugin decrypts nothing: let a controller create them"
	}
	return v.rejectContent(file)
}

// rejectContent returns why a file's content isn't values, or nothing where it is.
func (v *valuesTree) rejectContent(file string) string {
	data, err := strictyaml.ReadFile(v.repo, path.Join(v.dir, file))
	if err != nil {
		return "can't be read inside the repository"
	}
	var head struct {
		APIVersion any `json:"apiVersion"`
		Kind       any `json:"kind"`
		SOPS       any `json:"sops"`
	}
	if yaml.Unmarshal(data, &head) != nil {
		return "" // lint reports the error
	}
	_, encrypted := head.SOPS.(map[string]any)
	switch {
	case head.APIVersion != nil && head.Kind != nil:
		return fmt.Sprintf("is a manifest (%.60v)", head.Kind)
	case encrypted:
		return "is encrypted by SOPS, and the plugin decrypts nothing: let a controller create the secrets"
	}
	return ""
}

// leaveOut records a file that isn't a layer.
func (v *valuesTree) leaveOut(file, reason string) {
	v.leftOut = append(v.leftOut, LeftOut{file, reason})
}

// rejectName returns why a name isn't that of an environment, or nothing where it may be. A
// bare name doesn't contain "values": next to a chart's own files it must be a known name.
func (v *valuesTree) rejectName(name string, bare bool) string {
	switch {
	case bare && v.inChart && !isKnownName(name):
		return "isn't named after an environment that init knows"
	case slices.Contains(ladder.Tier("").Enum(), name):
		return "is named after a tier: name it in spec.tiers"
	case slices.Contains(partNames, name):
		return "isn't named after an environment: add it to the layers that need it"
	case !ladder.IsName(name) || ladder.IsReservedName(name):
		return "has a name that no environment can have"
	}
	return ""
}
