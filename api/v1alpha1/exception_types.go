package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Exception exempts a digest from the requirements of Gates, in some namespaces and until
// some time. It holds signed statements, and has no effect without them; each Gate names the
// signers that it accepts, and how many must sign.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=envladder
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Exception struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is which digest is exempt, where, why and for how long.
	Spec ExceptionSpec `json:"spec"`
}

// ExceptionList is a list of Exceptions.
//
// +kubebuilder:object:root=true
type ExceptionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Exception `json:"items"`
}

// ExceptionSpec is which digest is exempt, where, why and for how long.
type ExceptionSpec struct {
	// digest, sha256:<64 hex digits>.
	Digest Digest `json:"digest"`
	// namespaces in which the digest may run.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Namespaces []Label `json:"namespaces"`
	// reason, which verdicts show.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// expiresAt is when new deploys are denied again. Running pods aren't stopped.
	ExpiresAt metav1.Time `json:"expiresAt"`
	// bundles are sigstore bundles with statements of type exception/v0.1, as base64 of
	// their JSON, as `envladder attest exception` prints them. A statement names one
	// namespace, so each namespace needs its own.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Bundles [][]byte `json:"bundles"`
}
