package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Exception lets a digest by unproven: in some namespaces, until some time. It holds the
// signed statements of those who give leave, and counts by them alone; each Gate says
// whose word it takes, and how many.
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

	// spec is what may run unproven, where, why and how long.
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

// ExceptionSpec is what may run unproven, where, why and how long.
type ExceptionSpec struct {
	// digest, sha256:<64 hex digits>.
	//
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`
	// namespaces that it may run in.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces"`
	// reason for people; verdicts repeat it.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// expiresAt ends it for deploys; what runs then isn't stopped.
	ExpiresAt metav1.Time `json:"expiresAt"`
	// bundles are sigstore bundles with statements of type exception/v0.1, each base64 of
	// its JSON, as `envladder attest exception` prints them. A statement names a
	// namespace, so several namespaces take several.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Bundles [][]byte `json:"bundles"`
}
