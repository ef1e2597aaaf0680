package webhook

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/podtemplate"
)

// stampsOf are the stamps on the object's metadata, where the plugin puts them, and what
// these lack from its pod template's: what the template starts is judged with it.
func stampsOf(o *object) gate.Stamps {
	stamps := inherit(readStamps(o.metadata.Annotations), o.templateStamps())
	stamps.ChartDigest = o.metadata.Annotations[v1alpha1.AnnotationChartDigest]
	return stamps
}

// withTemplate adds the digest of the object's pod template. A Pod has none: its owner's
// counts for it.
func withTemplate(stamps gate.Stamps, o *object) gate.Stamps {
	if template, ok := o.template.(map[string]any); ok && o.kind.Kind != "Pod" {
		stamps.TemplateDigest = podtemplate.Digest(template)
	}
	return stamps
}

func readStamps(annotations map[string]string) gate.Stamps {
	return gate.Stamps{
		Ladder:      annotations[v1alpha1.AnnotationLadder],
		Environment: annotations[v1alpha1.AnnotationEnvironment],
		Target:      annotations[v1alpha1.AnnotationTarget],
		ChartDigest: annotations[v1alpha1.AnnotationChartDigest],
	}
}

// templateStamps are those in the pod template's metadata; a Pod has none.
func (o *object) templateStamps() gate.Stamps {
	template, _ := o.template.(map[string]any)
	if o.kind.Kind == "Pod" {
		return gate.Stamps{} // its template is its spec
	}
	annotations, _, _ := unstructured.NestedMap(template, "metadata", "annotations")
	texts := map[string]string{}
	for key, value := range annotations {
		texts[key], _ = value.(string) // the API server lets nothing else by
	}
	return readStamps(texts)
}

// contradiction says how the object's own stamps and its pod template's differ, or is
// empty. A Gate is of one environment, so one of the two is false whichever it is.
func contradiction(o *object) string {
	own, template := readStamps(o.metadata.Annotations), o.templateStamps()
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	clean := func(text string) string { return gate.Clean(text, maxReference) }
	switch {
	case differ(own.Environment, template.Environment):
		return fmt.Sprintf("it was rendered for environment %q, its pod template for %q", clean(own.Environment), clean(template.Environment))
	case differ(own.Ladder, template.Ladder):
		return fmt.Sprintf("it was rendered from ladder %q, its pod template from %q", clean(own.Ladder), clean(template.Ladder))
	default:
		return ""
	}
}

// inherit fills in what an object doesn't say by what its owner says: pods don't carry
// the chart's digest. What it says itself stays, so that a false stamp is still seen.
func inherit(own, owner gate.Stamps) gate.Stamps {
	return gate.Stamps{
		Ladder:      cmp.Or(own.Ladder, owner.Ladder),
		Environment: cmp.Or(own.Environment, owner.Environment),
		Target:      cmp.Or(own.Target, owner.Target),
		ChartDigest: cmp.Or(own.ChartDigest, owner.ChartDigest),

		TemplateDigest: cmp.Or(own.TemplateDigest, owner.TemplateDigest),
	}
}
