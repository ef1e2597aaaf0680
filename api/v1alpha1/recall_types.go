package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Recall names digests that must not run any more. It applies to every namespace that a Gate
// names, regardless of the digests' evidence.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=envladder
// +kubebuilder:printcolumn:name="Digests",type=string,JSONPath=`.spec.digests`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Recall struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what must not run, and why.
	Spec RecallSpec `json:"spec"`
}

// RecallList is a list of Recalls.
//
// +kubebuilder:object:root=true
type RecallList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Recall `json:"items"`
}

// RecallSpec is what must not run, and why.
type RecallSpec struct {
	// digests, each sha256:<64 hex digits>. For an image with several platforms, name the
	// index and its children: pods may run either.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Digests []Digest `json:"digests"`
	// reason, which denials show.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
}
