package webhook

import (
	"cmp"
	"fmt"

	"github.com/envladder/envladder/internal/gate"
)

// stampsOf are the stamps on the object's metadata, where the plugin puts them, and what
// these lack from its pod template's: what the template starts is judged with it.
func stampsOf(o *object) gate.Stamps {
	stamps := readStamps(o.Metadata.Annotations)
	for _, template := range o.Templates {
		own := readStamps(template.Annotations())
		own.ChartDigest = "" // a template's is nobody's: the plugin stamps none
		stamps = inherit(stamps, own)
	}
	return stamps
}

// contradiction says how the object's own stamps and its pod templates' differ, or is
// empty. A Gate is of one environment, so one of two is false whichever it is.
func contradiction(o *object) string {
	said := readStamps(o.Metadata.Annotations)
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	clean := func(text string) string { return gate.Clean(text, maxReference) }
	for _, template := range o.Templates {
		own := readStamps(template.Annotations())
		switch {
		case differ(said.Environment, own.Environment):
			return fmt.Sprintf("it was rendered for environment %q, its pod template for %q", clean(said.Environment), clean(own.Environment))
		case differ(said.Ladder, own.Ladder):
			return fmt.Sprintf("it was rendered from ladder %q, its pod template from %q", clean(said.Ladder), clean(own.Ladder))
		}
		said = inherit(said, own)
	}
	return ""
}

// inherit fills in what an object doesn't say by what its owner says: pods don't carry
// the chart's digest. What it says itself stays, so that a false stamp is still seen.
func inherit(own, owner gate.Stamps) gate.Stamps {
	return gate.Stamps{
		Ladder:      cmp.Or(own.Ladder, owner.Ladder),
		Environment: cmp.Or(own.Environment, owner.Environment),
		Target:      cmp.Or(own.Target, owner.Target),
		ChartDigest: cmp.Or(own.ChartDigest, owner.ChartDigest),
	}
}
