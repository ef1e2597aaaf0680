package postrender

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/secrets"
)

const secretKind = "Secret"

// CheckSecrets rejects Secrets with a value that another tool would have to decrypt or
// replace. Layers are checked when they are read; CheckSecrets covers the chart's own
// values, and those that templates put together.
func CheckSecrets(manifests manifest.Manifests) error {
	var errs []error
	for _, m := range manifests {
		if m.OnlyCRDs() || !strings.Contains(m.Content, secretKind) {
			continue
		}
		objects, err := manifest.Objects(m.Content)
		if err != nil {
			return fmt.Errorf("reading an object of %q: %w", m.Source, err)
		}
		for _, object := range objects {
			manifest.VisitItems(object, func(object map[string]any) { errs = append(errs, checkSecret(object, m.Source)) })
		}
	}
	return errors.Join(errs...)
}

// checkSecret checks one object of a template.
func checkSecret(object map[string]any, source string) error {
	if object["kind"] != secretKind {
		return nil
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			text, _ := values[key].(string)
			if decoded, err := base64.StdEncoding.DecodeString(text); field == "data" && err == nil {
				text = string(decoded)
			}
			if what, ok := secrets.FindUnresolved(text); ok {
				metadata, _ := object["metadata"].(map[string]any)
				return fmt.Errorf("the Secret %q of template %q has %s in %s, and nothing resolves it: let a controller create the Secret, or set spec.unresolvedSecrets: Literal to render values as they are written",
					fmt.Sprint(metadata["name"]), source, what, field+"."+key)
			}
		}
	}
	return nil
}
