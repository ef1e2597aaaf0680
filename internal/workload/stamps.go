package workload

import (
	"cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/podtemplate"
)

// Stamps are those on the object's metadata, where the plugin puts them, and what these
// lack from its pod templates': what a template starts is judged with it.
func (o *Object) Stamps() gate.Stamps {
	stamps := ReadStamps(o.Metadata.Annotations)
	for _, template := range o.Templates {
		own := ReadStamps(template.Annotations())
		own.ChartDigest = "" // the plugin stamps no chart digest on templates
		stamps = Inherit(stamps, own)
	}
	// A Pod has no template of its own: its owner's counts for it.
	if len(o.Templates) == 1 && o.Kind.Kind != "Pod" {
		stamps.TemplateDigest = podtemplate.Digest(o.Templates[0].Value)
	}
	return stamps
}

// ReadStamps are the stamps among annotations.
func ReadStamps(annotations map[string]string) gate.Stamps {
	return gate.Stamps{
		Ladder:      annotations[v1alpha1.AnnotationLadder],
		Environment: annotations[v1alpha1.AnnotationEnvironment],
		Target:      annotations[v1alpha1.AnnotationTarget],
		ChartDigest: annotations[v1alpha1.AnnotationChartDigest],
	}
}

// Inherit fills in what an object doesn't say by what its owner says: pods don't carry
// the chart's digest. What it says itself stays, so that a false stamp is still seen.
func Inherit(own, owner gate.Stamps) gate.Stamps {
	return gate.Stamps{
		Ladder:      cmp.Or(own.Ladder, owner.Ladder),
		Environment: cmp.Or(own.Environment, owner.Environment),
		Target:      cmp.Or(own.Target, owner.Target),
		ChartDigest: cmp.Or(own.ChartDigest, owner.ChartDigest),

		TemplateDigest: cmp.Or(own.TemplateDigest, owner.TemplateDigest),
	}
}
