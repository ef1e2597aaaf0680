package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnnotationLastUsed is on Evidence: when a digest was last admitted by it (RFC 3339). It
// is renewed at most once a day; what was used longest ago goes first where there is too
// much.
const AnnotationLastUsed = "envladder.dev/last-used"

// AnnotationSize is on Evidence: how many bytes it keeps.
const AnnotationSize = "envladder.dev/size"

// Evidence is the webhook's store: the attestations of a digest that was admitted, so that
// what is proven stays admitted while the registry is down. It is verified again when it
// is read: who edits one proves nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=evidences,categories=envladder
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.spec.repository`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Last used",type=string,JSONPath=`.metadata.annotations.envladder\.dev/last-used`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Evidence struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is kept.
	Spec EvidenceSpec `json:"spec"`
}

// EvidenceList is a list of Evidence.
//
// +kubebuilder:object:root=true
type EvidenceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Evidence `json:"items"`
}

// EvidenceSpec is what is kept about a digest.
type EvidenceSpec struct {
	// repository that the attestations were found in.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// digest that they are about.
	//
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Digest string `json:"digest"`
	// attestations, what is most useful first.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Attestations []KeptAttestation `json:"attestations,omitempty"`
}

// KeptAttestation is an attestation as it was signed or the webhook's own word about it.
//
// +kubebuilder:validation:XValidation:rule="has(self.bundle) != has(self.receipt)",message="an attestation has a bundle or a receipt"
type KeptAttestation struct {
	// source is the digest of a bundle's manifest in the repository, and of what a receipt
	// says.
	//
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	Source string `json:"source"`
	// bundle as it was signed.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=131072
	Bundle []byte `json:"bundle,omitempty"`
	// receipt in place of a bundle that is too large, or where there is none: of what
	// cosign 2 wrote, and of a ClusterImagePolicy's word.
	//
	// +optional
	Receipt *KeptReceipt `json:"receipt,omitempty"`
}

// KeptReceipt says what the webhook has verified. It counts for the very signer or policy
// that it was verified by, and only with the webhook's MAC.
type KeptReceipt struct {
	// signer is a fingerprint of the Gate's signer, or of the ClusterImagePolicy.
	//
	// +kubebuilder:validation:MaxLength=128
	Signer string `json:"signer"`
	// evidence that was verified.
	//
	// +kubebuilder:validation:MaxLength=131072
	Evidence []byte `json:"evidence"`
	// mac of all of it, with the repository and the digest.
	//
	// +kubebuilder:validation:MaxLength=128
	MAC []byte `json:"mac"`
}
