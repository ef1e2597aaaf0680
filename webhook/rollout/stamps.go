package rollout

import (
	"fmt"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/workload"
)

// maxName bounds a name in a message, in characters: more than a repository (255), a tag
// (128) and a digest (71) can take together.
const maxName = 512

// contradiction returns how the object's own stamps differ from those of its pod templates;
// empty if they don't. A Gate is for one environment, so one of the two is false.
func contradiction(o *object) string {
	said := workload.ReadStamps(o.Metadata.Annotations)
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	clean := func(text string) string { return printable.Line(text, maxName) }
	for _, template := range o.Templates {
		own := workload.ReadStamps(template.Annotations())
		switch {
		case differ(said.Environment, own.Environment):
			return fmt.Sprintf("it was rendered for environment %q, its pod template for %q", clean(said.Environment), clean(own.Environment))
		case differ(said.Ladder, own.Ladder):
			return fmt.Sprintf("it was rendered from ladder %q, its pod template from %q", clean(said.Ladder), clean(own.Ladder))
		}
		said = workload.Inherit(said, own)
	}
	return ""
}
