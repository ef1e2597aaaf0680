package v1alpha1

// The stamps are annotations of rendered workloads. Pod templates get only the first three,
// so that a change of the chart alone restarts no pods.
const (
	AnnotationLadder      = "envladder.dev/ladder"
	AnnotationEnvironment = "envladder.dev/environment"
	AnnotationTarget      = "envladder.dev/target"
	AnnotationChartDigest = "envladder.dev/chart-digest"
)

// AnnotationRunningIn is set on objects that each sync recreates (Jobs, Pods, PodTemplates).
// It names the workloads in the same namespace that run the same images between syncs, as
// KIND/NAME, separated by commas. The webhook checks there whether a digest already runs, and
// so isn't newly deployed; the annotation itself proves nothing.
const AnnotationRunningIn = "envladder.dev/running-in"

// RunningInKinds are the kinds that AnnotationRunningIn may name.
var RunningInKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "CronJob", "Rollout"}

// MaxRunningIn bounds the workloads that AnnotationRunningIn names.
const MaxRunningIn = 16

// InjectedImage is the placeholder image in pod templates of containers that Istio's injector
// completes. No pod has it after the injection.
const InjectedImage = "auto"
