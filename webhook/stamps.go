package webhook

import (
	"cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// stampsOf are the stamps on the object's metadata, where the plugin puts them.
func stampsOf(o *object) gate.Stamps {
	annotations := o.metadata.Annotations
	return gate.Stamps{
		Ladder:      annotations[v1alpha1.AnnotationLadder],
		Environment: annotations[v1alpha1.AnnotationEnvironment],
		Target:      annotations[v1alpha1.AnnotationTarget],
		ChartDigest: annotations[v1alpha1.AnnotationChartDigest],
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
		ChartJudged: own.ChartJudged,
	}
}
