package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Soak is the observer's notebook: how long a digest has been healthy here. It is the
// observer's alone: an edit by anybody else adds no time.
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
	// status is what was seen.
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

// SoakSpec is what is measured. Another value of any field is another Soak.
type SoakSpec struct {
	// gate that asks for it.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Gate string `json:"gate"`
	// environment that the Gate says the namespace is.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// ladder that the Gate gives the image, else the one that the workloads are
	// stamped with; empty where neither says.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Ladder string `json:"ladder,omitempty"`
	// target that the workloads are stamped with.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`
	// repository as the Gate names it, never a mirror.
	//
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	Repository string `json:"repository"`
	// digest as the pods name it, of an index or an image.
	//
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`
	// chart is the digest of the one chart that time counts of; empty where that of any
	// does. The observer makes such a Soak once the digest's chart has changed.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Chart string `json:"chart,omitempty"`
}

// SoakStatus is what was seen.
type SoakStatus struct {
	// state now.
	//
	// +optional
	State SoakState `json:"state,omitempty"`
	// reason why time doesn't count now.
	//
	// +optional
	Reason SoakReason `json:"reason,omitempty"`
	// message is the reason with names and figures.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// image is the repository's last element and the digest's first digits.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=300
	Image string `json:"image,omitempty"`
	// healthy is window.healthySeconds as people write it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Healthy string `json:"healthy,omitempty"`
	// goal is the next healthy time at which a soak is signed, or the last one.
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
	// window has the figures; it is absent until the digest is healthy for the first
	// time.
	//
	// +optional
	Window *SoakWindow `json:"window,omitempty"`
	// platforms that healthy pods ran on, as far as their nodes say.
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
	// chartDigest that all workloads were stamped with during the whole window; empty
	// where they weren't.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ChartDigest string `json:"chartDigest,omitempty"`
	// chartChanged says that it wasn't one chart during the window. The time of the chart
	// that runs is in another Soak, which has spec.chart.
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
	// observer that wrote this.
	//
	// +optional
	Observer *SoakObserver `json:"observer,omitempty"`
	// conditions: Attested says whether what was due has been signed and pushed.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// seal shows the observer that the figures are its own.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Seal string `json:"seal,omitempty"`
}

// SoakState is what a Soak does.
//
// +kubebuilder:validation:Enum=Waiting;Healthy;Interrupted;Stopped
type SoakState string

// The states.
const (
	// SoakWaiting: the digest runs and hasn't been healthy yet.
	SoakWaiting SoakState = "Waiting"
	// SoakHealthy: time counts.
	SoakHealthy SoakState = "Healthy"
	// SoakInterrupted: the digest runs, and its time doesn't count now.
	SoakInterrupted SoakState = "Interrupted"
	// SoakStopped: the digest doesn't run here any more, or no Gate asks.
	SoakStopped SoakState = "Stopped"
)

// SoakReason is why time doesn't count.
//
// +kubebuilder:validation:Enum=ClockMoved;Degraded;MixedDigests;NoReadinessProbe;NotRunning;OtherImage;Progressing;ScaledToZero;Unobserved
type SoakReason string

// The reasons.
const (
	// SoakClockMoved: the wall clock jumped.
	SoakClockMoved SoakReason = "ClockMoved"
	// SoakDegraded: fewer pods are ready than are wanted.
	SoakDegraded SoakReason = "Degraded"
	// SoakMixedDigests: a ready pod runs another digest.
	SoakMixedDigests SoakReason = "MixedDigests"
	// SoakNoReadinessProbe: a container has no readiness probe.
	SoakNoReadinessProbe SoakReason = "NoReadinessProbe"
	// SoakNotRunning: no workload runs the digest, or no Gate asks for it.
	SoakNotRunning SoakReason = "NotRunning"
	// SoakOtherImage: a node runs another image than the pod names.
	SoakOtherImage SoakReason = "OtherImage"
	// SoakProgressing: a controller hasn't acted yet on the latest spec.
	SoakProgressing SoakReason = "Progressing"
	// SoakScaledToZero: a workload wants no pods.
	SoakScaledToZero SoakReason = "ScaledToZero"
	// SoakUnobserved: nobody looked.
	SoakUnobserved SoakReason = "Unobserved"
)

// SoakWindow has the raw figures, in whole seconds.
type SoakWindow struct {
	// startedAt is when the digest was first seen healthy.
	StartedAt metav1.Time `json:"startedAt"`
	// observedAt is the last observation that is in the figures.
	ObservedAt metav1.Time `json:"observedAt"`
	// healthySeconds that count.
	//
	// +kubebuilder:validation:Minimum=0
	HealthySeconds int64 `json:"healthySeconds"`
	// longestHealthySeconds in one piece.
	//
	// +kubebuilder:validation:Minimum=0
	LongestHealthySeconds int64 `json:"longestHealthySeconds"`
	// longestGapSeconds is the longest time that nobody looked.
	//
	// +kubebuilder:validation:Minimum=0
	LongestGapSeconds int64 `json:"longestGapSeconds"`
	// interruptedSeconds is the sum of all interruptions.
	//
	// +kubebuilder:validation:Minimum=0
	InterruptedSeconds int64 `json:"interruptedSeconds"`
	// minReady is the least number of ready pods in healthy time.
	//
	// +kubebuilder:validation:Minimum=0
	MinReady int32 `json:"minReady"`
	// restarts of the image's containers.
	//
	// +kubebuilder:validation:Minimum=0
	Restarts int32 `json:"restarts"`
	// interruptions, the latest of them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Interruptions []SoakInterruption `json:"interruptions,omitempty"`
}

// SoakInterruption is time that doesn't count.
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
	// after is the healthy time that it was due at: an entry of the Gate's
	// attestAfter, or 0s for the start.
	//
	// +kubebuilder:validation:MaxLength=32
	After string `json:"after"`
	// at is when it was pushed.
	At metav1.Time `json:"at"`
	// digest of the attestation in the registry.
	//
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// SoakObserver is who measured.
type SoakObserver struct {
	// version of the observer.
	//
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version"`
	// instance of the observer, new with each start.
	//
	// +kubebuilder:validation:MaxLength=253
	Instance string `json:"instance"`
}

// ConditionAttested says whether what was due has been signed and pushed.
const ConditionAttested = "Attested"
