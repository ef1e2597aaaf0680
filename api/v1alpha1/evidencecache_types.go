package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnnotationLastUsed is set on an EvidenceCache: the time (RFC 3339) at which it last
// admitted its digest, renewed at most once a day. The least recently used entries are
// evicted first.
const AnnotationLastUsed = "envladder.dev/last-used"

// AnnotationSize is set on an EvidenceCache: its size in bytes.
const AnnotationSize = "envladder.dev/size"

// EvidenceCache is the webhook's cache of the attestations of one admitted digest, so that
// a proven digest stays admitted while the registry is down. The webhook verifies it again
// each time it reads it, so editing one proves nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=evidencecaches,singular=evidencecache,categories=envladder
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.spec.repository`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.spec.digest`
// +kubebuilder:printcolumn:name="Last used",type=string,JSONPath=`.metadata.annotations.envladder\.dev/last-used`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type EvidenceCache struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is cached.
	Spec EvidenceCacheSpec `json:"spec"`
}

// EvidenceCacheList is a list of EvidenceCaches.
//
// +kubebuilder:object:root=true
type EvidenceCacheList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []EvidenceCache `json:"items"`
}

// EvidenceCacheSpec is what is cached about a digest.
type EvidenceCacheSpec struct {
	// repository that the attestations were found in.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// digest that they are about.
	Digest Digest `json:"digest"`
	// attestations, the most useful first.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Attestations []CachedAttestation `json:"attestations,omitempty"`
}

// CachedAttestation is an attestation as it was signed, or a record that the webhook
// verified it.
//
// +kubebuilder:validation:XValidation:rule="has(self.bundle) != has(self.verificationRecord)",message="an attestation has a bundle or a verificationRecord"
type CachedAttestation struct {
	// source is the digest of the bundle's manifest in the repository. For a verification
	// record it is the digest of what was verified.
	Source Digest `json:"source"`
	// bundle as it was signed.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=131072
	Bundle []byte `json:"bundle,omitempty"`
	// verificationRecord replaces a bundle that is too large, and evidence without a
	// bundle: cosign 2 signatures and results of a ClusterImagePolicy.
	//
	// +optional
	VerificationRecord *VerificationRecord `json:"verificationRecord,omitempty"`
}

// VerificationRecord is what the webhook has verified. It counts only for the signer or
// policy that verified it, and only with the webhook's MAC.
type VerificationRecord struct {
	// signer is a fingerprint of the Gate's signer, or of the ClusterImagePolicy.
	//
	// +kubebuilder:validation:MaxLength=128
	Signer string `json:"signer"`
	// evidence that was verified.
	//
	// +kubebuilder:validation:MaxLength=131072
	Evidence []byte `json:"evidence"`
	// mac authenticates the record together with the repository and the digest.
	//
	// +kubebuilder:validation:MaxLength=128
	MAC []byte `json:"mac"`
}
