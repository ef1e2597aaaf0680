package webhook

import (
	"fmt"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/workload"
)

// contradiction says how the object's own stamps and its pod templates' differ, or is
// empty. A Gate is of one environment, so one of two is false whichever it is.
func contradiction(o *object) string {
	said := workload.ReadStamps(o.Metadata.Annotations)
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	clean := func(text string) string { return printable.Line(text, maxReference) }
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
