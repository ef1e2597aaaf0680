package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Recall names digests that must not run any more. It counts in every namespace
// that a Gate names, whatever else the digest shows.
//
// +kubebuilder:object:root=true
type Recall struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

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
	// digests, each sha256:<64 hex digits>.
	Digests []string `json:"digests"`
	// reason for people.
	Reason string `json:"reason"`
}
