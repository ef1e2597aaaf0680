package workload

import (
	"cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/podtemplate"
)

// Stamps returns the stamps on the object's metadata, where the plugin puts them, and those
// of its pod templates that the metadata lacks: a template's pods are judged by the
// template's stamps.
func (o *Object) Stamps() gate.Stamps {
	stamps := ReadStamps(o.Metadata.Annotations)
	for _, template := range o.Templates {
		own := ReadStamps(template.Annotations())
		own.ChartDigest = "" // the plugin stamps no chart digest on templates
		stamps = Inherit(stamps, own)
	}
	// A Pod has no template; its owner's applies.
	if len(o.Templates) == 1 && o.Kind.Kind != "Pod" {
		stamps.TemplateDigest = podtemplate.Digest(o.Templates[0].Value)
	}
	return stamps
}

// ReadStamps returns the stamps among annotations.
func ReadStamps(annotations map[string]string) gate.Stamps {
	return gate.Stamps{
		Ladder:      annotations[v1alpha1.AnnotationLadder],
		Environment: annotations[v1alpha1.AnnotationEnvironment],
		Target:      annotations[v1alpha1.AnnotationTarget],
		ChartDigest: annotations[v1alpha1.AnnotationChartDigest],
	}
}

// Inherit returns an object's stamps with missing ones taken from its owner: pods don't have
// the chart's digest. The object's own stamps stay, so that a false one is still detected.
func Inherit(own, owner gate.Stamps) gate.Stamps {
	return gate.Stamps{
		Ladder:      cmp.Or(own.Ladder, owner.Ladder),
		Environment: cmp.Or(own.Environment, owner.Environment),
		Target:      cmp.Or(own.Target, owner.Target),
		ChartDigest: cmp.Or(own.ChartDigest, owner.ChartDigest),

		TemplateDigest: cmp.Or(own.TemplateDigest, owner.TemplateDigest),
	}
}
