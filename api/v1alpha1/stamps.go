package v1alpha1

// The stamps: annotations on the metadata of rendered workloads. Pod templates get
// the first three, so that a chart's edit restarts nothing by itself.
const (
	AnnotationLadder      = "envladder.dev/ladder"
	AnnotationEnvironment = "envladder.dev/environment"
	AnnotationTarget      = "envladder.dev/target"
	AnnotationChartDigest = "envladder.dev/chart-digest"
)

// AnnotationRunningIn is on what is made anew by each sync (Jobs, Pods, PodTemplates): the
// workloads of the same namespace that run its images from one sync to the next, as
// KIND/NAME, separated by commas. A webhook looks there whether a digest runs already,
// in which case it isn't deployed; the annotation by itself proves nothing.
const AnnotationRunningIn = "envladder.dev/running-in"

// RunningInKinds are the kinds that AnnotationRunningIn may name.
var RunningInKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "CronJob", "Rollout"}

// MaxRunningIn bounds the workloads that AnnotationRunningIn names.
const MaxRunningIn = 16

// InjectedImage is the image of a container that Istio's injection completes: a
// placeholder in pod templates, which no pod has once it was injected.
const InjectedImage = "auto"
