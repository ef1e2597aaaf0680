package infer

import (
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
)

// YAML returns the ladder.yaml.
func (l Ladder) YAML() string {
	var b strings.Builder
	b.WriteString("# yaml-language-server: $schema=https://raw.githubusercontent.com/envladder/envladder/main/schemas/ladder.schema.json\n")
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\nspec:\n  chart: %s\n", ladder.APIVersion, ladder.Kind, quoted(l.Name), quoted(l.Chart))
	b.WriteString("  # No annotations of envladder: the output is the same as Helm's.\n  stamps: Off\n")
	if len(l.Common) > 0 {
		b.WriteString("  # Layers of every environment; later ones win.\n  layers:\n")
		writeItems(&b, "  ", l.Common)
	}
	b.WriteString("  # In the order of promotion, the first one first.\n  environments:\n")
	for _, e := range l.Environments {
		fmt.Fprintf(&b, "  - name: %s\n", quoted(e.Name))
		writeLayers(&b, "    ", e.Layers)
		if len(e.Targets) > 0 {
			b.WriteString("    targets:\n")
		}
		for _, t := range e.Targets {
			fmt.Fprintf(&b, "    - name: %s\n", quoted(t.Name))
			writeLayers(&b, "      ", t.Layers)
		}
	}
	return b.String()
}

// writeLayers writes a list of layers, if there are any.
func writeLayers(b *strings.Builder, indent string, layers []string) {
	if len(layers) > 0 {
		b.WriteString(indent + "layers:\n")
		writeItems(b, indent, layers)
	}
}

// writeItems writes the items of a list.
func writeItems(b *strings.Builder, indent string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "%s- %s\n", indent, quoted(item))
	}
}

// plainText matches texts that need no quotes for any YAML parser.
var plainText = regexp.MustCompile(`^[a-zA-Z./][a-zA-Z0-9./_-]*$`)

// quoted returns a text as a YAML string, with quotes where needed.
func quoted(s string) string {
	var plain any
	if err := yaml.Unmarshal([]byte(s), &plain); plainText.MatchString(s) && err == nil && plain == s {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
