package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Soak records how long a digest has been healthy in this cluster. The observer writes it;
// edits by others add no time.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=soaks,categories=envladder
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.status.image`
// +kubebuilder:printcolumn:name="Healthy",type=string,JSONPath=`.status.healthy`
// +kubebuilder:printcolumn:name="Goal",type=string,JSONPath=`.status.goal`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Attested",type=string,JSONPath=`.status.attested`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Gate",type=string,priority=1,JSONPath=`.spec.gate`
// +kubebuilder:printcolumn:name="Chart",type=string,priority=1,JSONPath=`.spec.chart`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.message`
type Soak struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is measured.
	Spec SoakSpec `json:"spec"`
	// status is what the observer measured.
	Status SoakStatus `json:"status,omitempty"`
}

// SoakList is a list of Soaks.
//
// +kubebuilder:object:root=true
type SoakList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Soak `json:"items"`
}

// SoakSpec is what is measured. Each combination of values has its own Soak.
type SoakSpec struct {
	// gate that requires the measurement.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Gate string `json:"gate"`
	// environment of the Gate.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// ladder that the Gate sets for the image, otherwise the one in the workloads' stamps;
	// empty if neither has one.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Ladder string `json:"ladder,omitempty"`
	// target in the workloads' stamps.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`
	// repository as the Gate names it, never a mirror.
	//
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	Repository string `json:"repository"`
	// digest as the pods name it: of an index or of an image.
	Digest Digest `json:"digest"`
	// chart is the digest of the only chart whose time counts; empty if the time of any
	// chart counts. The observer creates such a Soak once the digest's chart has changed.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Chart string `json:"chart,omitempty"`
}

// SoakStatus is what the observer measured.
type SoakStatus struct {
	// state is the current state.
	//
	// +optional
	State SoakState `json:"state,omitempty"`
	// reason why time currently doesn't count.
	//
	// +optional
	Reason SoakReason `json:"reason,omitempty"`
	// message explains the reason, with names and figures.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// image is the last element of the repository and the first digits of the digest.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Image string `json:"image,omitempty"`
	// healthy is window.healthySeconds as a duration.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Healthy string `json:"healthy,omitempty"`
	// goal is the next healthy time after which a soak is signed, or the last one.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Goal string `json:"goal,omitempty"`
	// attested is the longest healthy time that a soak was signed for.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Attested string `json:"attested,omitempty"`
	// firstSeenAt is when a workload first named the digest.
	//
	// +optional
	FirstSeenAt *metav1.Time `json:"firstSeenAt,omitempty"`
	// window has the figures. It is absent until the digest is healthy for the first time.
	//
	// +optional
	Window *SoakWindow `json:"window,omitempty"`
	// platforms on which healthy pods ran, according to their nodes.
	//
	// +optional
	// +listType=map
	// +listMapKey=platform
	// +kubebuilder:validation:MaxItems=16
	Platforms []SoakPlatform `json:"platforms,omitempty"`
	// workloads that run the digest, or ran it last.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Workloads []SoakWorkload `json:"workloads,omitempty"`
	// chartDigest in the stamps of all workloads during the whole window; empty if it
	// wasn't the same.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ChartDigest string `json:"chartDigest,omitempty"`
	// chartChanged is true if the chart changed during the window. Another Soak, with
	// spec.chart, has the time of the current chart.
	//
	// +optional
	ChartChanged bool `json:"chartChanged,omitempty"`
	// pods whose containers have restarted, with the number that was counted.
	//
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=512
	Pods []SoakPod `json:"pods,omitempty"`
	// start is the signed start of the window.
	//
	// +optional
	Start *SoakAttestation `json:"start,omitempty"`
	// attestations that were signed for this window, the latest last.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Attestations []SoakAttestation `json:"attestations,omitempty"`
	// checkpoint is the last statement of the window that was signed. The next one names it.
	//
	// +optional
	Checkpoint *SoakCheckpoint `json:"checkpoint,omitempty"`
	// renewals is how often the soak was renewed in this window.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Renewals int32 `json:"renewals,omitempty"`
	// observer that wrote the status.
	//
	// +optional
	Observer *SoakObserver `json:"observer,omitempty"`
	// conditions. Attested: all attestations that were due have been signed and pushed.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// seal authenticates the figures, so that the observer detects edits by others.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Seal string `json:"seal,omitempty"`
}

// SoakState is the state of a Soak.
//
// +kubebuilder:validation:Enum=Waiting;Healthy;Interrupted;Stopped
type SoakState string

// The states.
const (
	// SoakWaiting: the digest runs and hasn't been healthy yet.
	SoakWaiting SoakState = "Waiting"
	// SoakHealthy: time counts.
	SoakHealthy SoakState = "Healthy"
	// SoakInterrupted: the digest runs, but its time currently doesn't count.
	SoakInterrupted SoakState = "Interrupted"
	// SoakStopped: the digest no longer runs here, or no Gate requires the measurement.
	SoakStopped SoakState = "Stopped"
)

// SoakReason is why time doesn't count.
//
// +kubebuilder:validation:Enum=Aborted;Analyzing;ClockMoved;Degraded;MixedDigests;NoReadinessProbe;NotRunning;OtherImage;Paused;Progressing;ScaledToZero;Unobserved
type SoakReason string

// The reasons.
const (
	// SoakAborted: an Argo Rollout was aborted.
	SoakAborted SoakReason = "Aborted"
	// SoakAnalyzing: an Argo Rollout runs an analysis.
	SoakAnalyzing SoakReason = "Analyzing"
	// SoakClockMoved: the wall clock jumped.
	SoakClockMoved SoakReason = "ClockMoved"
	// SoakDegraded: fewer pods are ready than desired.
	SoakDegraded SoakReason = "Degraded"
	// SoakMixedDigests: a ready pod runs another digest.
	SoakMixedDigests SoakReason = "MixedDigests"
	// SoakNoReadinessProbe: a container has no readiness probe.
	SoakNoReadinessProbe SoakReason = "NoReadinessProbe"
	// SoakNotRunning: no workload runs the digest, or no Gate requires the measurement.
	SoakNotRunning SoakReason = "NotRunning"
	// SoakOtherImage: a node runs a different image from the one that the pod names.
	SoakOtherImage SoakReason = "OtherImage"
	// SoakPaused: an Argo Rollout is paused, or its preview isn't active yet.
	SoakPaused SoakReason = "Paused"
	// SoakProgressing: a controller hasn't processed the latest spec yet, or an Argo Rollout
	// isn't complete.
	SoakProgressing SoakReason = "Progressing"
	// SoakScaledToZero: a workload has no desired pods.
	SoakScaledToZero SoakReason = "ScaledToZero"
	// SoakUnobserved: the observer was not watching.
	SoakUnobserved SoakReason = "Unobserved"
)

// SoakWindow has the raw figures, in whole seconds.
type SoakWindow struct {
	// id of the window in its statements.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id,omitempty"`
	// startedAt is when the digest was first seen healthy.
	StartedAt metav1.Time `json:"startedAt"`
	// observedAt is the last observation that the figures include.
	ObservedAt metav1.Time `json:"observedAt"`
	// healthySeconds that count.
	//
	// +kubebuilder:validation:Minimum=0
	HealthySeconds int64 `json:"healthySeconds"`
	// longestHealthySeconds without interruption.
	//
	// +kubebuilder:validation:Minimum=0
	LongestHealthySeconds int64 `json:"longestHealthySeconds"`
	// longestGapSeconds is the longest time without observation.
	//
	// +kubebuilder:validation:Minimum=0
	LongestGapSeconds int64 `json:"longestGapSeconds"`
	// interruptedSeconds is the sum of all interruptions.
	//
	// +kubebuilder:validation:Minimum=0
	InterruptedSeconds int64 `json:"interruptedSeconds"`
	// minReady is the smallest number of ready pods during healthy time.
	//
	// +kubebuilder:validation:Minimum=0
	MinReady int32 `json:"minReady"`
	// restarts of the image's containers.
	//
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts"`
	// interruptions, the latest ones.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Interruptions []SoakInterruption `json:"interruptions,omitempty"`
}

// SoakInterruption is a period that doesn't count.
type SoakInterruption struct {
	// from is its beginning.
	From metav1.Time `json:"from"`
	// to is its end.
	To metav1.Time `json:"to"`
	// reason why it doesn't count.
	Reason SoakReason `json:"reason"`
}

// SoakPlatform is the healthy time on one platform.
type SoakPlatform struct {
	// platform is os/arch.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Platform string `json:"platform"`
	// healthySeconds that count.
	//
	// +kubebuilder:validation:Minimum=0
	HealthySeconds int64 `json:"healthySeconds"`
}

// SoakWorkload is a workload that runs the digest.
type SoakWorkload struct {
	// apiVersion of the workload.
	//
	// +kubebuilder:validation:MaxLength=64
	APIVersion string `json:"apiVersion"`
	// kind of the workload.
	//
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// name of the workload.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the workload.
	//
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// templateDigest is the SHA-256 of its pod template as JSON with sorted keys.
	//
	// +kubebuilder:validation:MaxLength=71
	TemplateDigest string `json:"templateDigest"`
}

// SoakPod is a pod whose containers have restarted.
type SoakPod struct {
	// uid of the pod.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// restarts that were seen.
	//
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts"`
}

// SoakAttestation is a signed statement.
type SoakAttestation struct {
	// after is the healthy time after which it was due: an entry of the Gate's attestAfter,
	// or 0s for the start.
	//
	// +kubebuilder:validation:MaxLength=32
	After string `json:"after"`
	// at is when the statement was pushed.
	At metav1.Time `json:"at"`
	// digest of the attestation in the registry.
	//
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// SoakCheckpoint is a signed statement that the next one of its window continues.
type SoakCheckpoint struct {
	// statement is the SHA-256 of the signed statement.
	//
	// +kubebuilder:validation:MaxLength=71
	Statement string `json:"statement"`
	// at is when it was signed, at the latest.
	At metav1.Time `json:"at"`
	// healthySeconds of the window that it states.
	//
	// +kubebuilder:validation:Minimum=0
	HealthySeconds int64 `json:"healthySeconds"`
	// provenSeconds is the healthy time that the statements up to this one prove, since the
	// window's start or since the renewal began.
	//
	// +kubebuilder:validation:Minimum=0
	ProvenSeconds int64 `json:"provenSeconds"`
	// renewing is true while a renewal is in progress.
	//
	// +optional
	Renewing bool `json:"renewing,omitempty"`
	// workloads that it names, by UID.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	Workloads []string `json:"workloads,omitempty"`
}

// SoakObserver is the observer that measured.
type SoakObserver struct {
	// version of the observer.
	//
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`
	// instance of the observer; each start has a new one.
	//
	// +kubebuilder:validation:MaxLength=253
	Instance string `json:"instance"`
}

// ConditionAttested is true while all attestations that were due have been pushed.
const ConditionAttested = "Attested"
