package v1alpha1

// The stamps: annotations on the metadata of rendered workloads. Pod templates get
// the first three, so that a chart's edit restarts nothing by itself.
const (
	AnnotationLadder      = "envladder.dev/ladder"
	AnnotationEnvironment = "envladder.dev/environment"
	AnnotationTarget      = "envladder.dev/target"
	AnnotationChartDigest = "envladder.dev/chart-digest"
)
