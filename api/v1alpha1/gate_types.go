package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Gate says which namespaces are an environment, whose word counts there, and what
// a digest must show before it may run. It belongs to the platform team.
//
// +kubebuilder:object:root=true
type Gate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GateSpec   `json:"spec"`
	Status GateStatus `json:"status,omitempty"`
}

// GateList is a list of Gates.
//
// +kubebuilder:object:root=true
type GateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Gate `json:"items"`
}

// GateSpec is what the platform team asks for.
type GateSpec struct {
	// environment is the ladder's environment that the namespaces are.
	Environment string `json:"environment"`
	// namespaces that this Gate guards, by name.
	Namespaces []string `json:"namespaces"`
	// action on a denial: Deny refuses, Warn lets by with a warning, Audit lets by
	// and records it.
	Action Action `json:"action,omitempty"`
	// images that this Gate judges.
	Images []GateImage `json:"images,omitempty"`
	// others are images that it lets by unjudged; what neither list names is denied.
	Others []OtherImage `json:"others,omitempty"`
	// signers are those whose word can count; a claim is believed from the signers
	// that its requirement names, and from nobody else.
	Signers []Signer `json:"signers,omitempty"`
	// requires is what a digest must show; each part is optional.
	Requires Requirements `json:"requires,omitempty"`
	// provenHere lets by, in place of soak, tests and approvals, a digest that has
	// proven itself in this environment before.
	ProvenHere *ProvenHere `json:"provenHere,omitempty"`
	// exceptions says who may let a digest by unproven.
	Exceptions *ExceptionPolicy `json:"exceptions,omitempty"`
	// observe makes the observer of this cluster measure soaks in these namespaces.
	Observe *Observe `json:"observe,omitempty"`
}

// Action on a denial.
type Action string

// The actions.
const (
	ActionDeny  Action = "Deny"
	ActionWarn  Action = "Warn"
	ActionAudit Action = "Audit"
)

// GateImage is a repository, or a pattern of repositories, that a Gate judges.
type GateImage struct {
	// repository that the evidence is fetched from: host/path, without tag or
	// digest; a last path element `*` stands for one element of any name.
	Repository string `json:"repository"`
	// ladder that the soak must be of. Without it the soak's own repository must be
	// this image's.
	Ladder string `json:"ladder,omitempty"`
	// pulledFrom are other repositories (mirrors) that pods may name for it, in the
	// same form. A pattern's `*` matches what the repository's `*` matches.
	PulledFrom []string `json:"pulledFrom,omitempty"`
}

// OtherImage is a repository that a Gate lets by.
type OtherImage struct {
	// repository as pods name it: host/path; a last path element `*` stands for one
	// element of any name.
	Repository string `json:"repository"`
	// tags: Allow lets by references without a digest too.
	Tags TagPolicy `json:"tags,omitempty"`
}

// TagPolicy says whether a reference may lack a digest.
type TagPolicy string

// The tag policies.
const (
	TagsDeny  TagPolicy = "Deny"
	TagsAllow TagPolicy = "Allow"
)

// Signer is a key, KMS key or keyless identity. Exactly one of key, kms and keyless
// is set.
type Signer struct {
	// name that requirements use.
	Name string `json:"name"`
	// key is a public key.
	Key *KeySigner `json:"key,omitempty"`
	// kms is a KMS key's URI, as cosign takes it.
	KMS string `json:"kms,omitempty"`
	// keyless is an identity in certificates of a Fulcio.
	Keyless *KeylessSigner `json:"keyless,omitempty"`
	// timestamp names the timestamping authority whose time counts.
	Timestamp string `json:"timestamp,omitempty"`
	// time: TrustSigner believes the times that the signer itself states, where
	// nothing else proves them.
	Time TimeSource `json:"time,omitempty"`
}

// TimeSource says whose clock counts.
type TimeSource string

// TimeTrustSigner believes the signer's own clock.
const TimeTrustSigner TimeSource = "TrustSigner"

// KeySigner is a public key.
type KeySigner struct {
	// data is the PEM-encoded public key (PKIX).
	Data string `json:"data"`
}

// KeylessSigner is an identity in Fulcio's certificates. Exactly one of subject and
// subjects is set.
type KeylessSigner struct {
	// issuer of the identity's OIDC token.
	Issuer string `json:"issuer"`
	// subject of the certificate.
	Subject string `json:"subject,omitempty"`
	// subjects, any of which signs.
	Subjects []string `json:"subjects,omitempty"`
}

// Requirements is what a digest must show. Each part is optional.
type Requirements struct {
	// signature over the image.
	Signature *SignatureRequirement `json:"signature,omitempty"`
	// sbom in SPDX or CycloneDX.
	SBOM *SBOMRequirement `json:"sbom,omitempty"`
	// soak in an earlier environment.
	Soak *SoakRequirement `json:"soak,omitempty"`
	// tests that passed, each by its suite's name.
	Tests []TestRequirement `json:"tests,omitempty"`
	// approvals by people.
	Approvals *ApprovalRequirement `json:"approvals,omitempty"`
}

// SignatureRequirement asks for a signature.
type SignatureRequirement struct {
	// by names the signers who count.
	By []string `json:"by"`
}

// SBOMRequirement asks for a bill of materials.
type SBOMRequirement struct {
	// by names the signers who count.
	By []string `json:"by"`
}

// SoakRequirement asks for healthy time in another environment.
type SoakRequirement struct {
	// by names the signers who count.
	By []string `json:"by"`
	// environment that the digest must have been healthy in.
	Environment string `json:"environment"`
	// duration of healthy time.
	Duration metav1.Duration `json:"duration"`
	// contiguous asks for the duration in one piece.
	Contiguous bool `json:"contiguous,omitempty"`
	// maxAge since the soak ended.
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// maxGap is the longest time unobserved.
	MaxGap *metav1.Duration `json:"maxGap,omitempty"`
	// maxRestarts of containers during the soak.
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`
	// minReady is the least number of ready pods during the soak.
	MinReady *int32 `json:"minReady,omitempty"`
	// chart: Same asks that the chart which soaked is the chart that is deployed.
	Chart ChartPolicy `json:"chart,omitempty"`
}

// ChartPolicy says whether the chart must be the one that soaked.
type ChartPolicy string

// ChartSame asks for the chart that soaked.
const ChartSame ChartPolicy = "Same"

// TestRequirement asks for a passed suite.
type TestRequirement struct {
	// name of the suite.
	Name string `json:"name"`
	// by names the signers who count.
	By []string `json:"by"`
	// maxAge since the suite ran.
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// ApprovalRequirement asks for people's approval.
type ApprovalRequirement struct {
	// by names the signers who count.
	By []string `json:"by"`
	// count of different signers who must approve; 1 if unset.
	Count int32 `json:"count,omitempty"`
	// maxAge since the approval.
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// ProvenHere asks for healthy time in this very environment.
type ProvenHere struct {
	// by names the signers who count.
	By []string `json:"by"`
	// duration of healthy time.
	Duration metav1.Duration `json:"duration"`
}

// ExceptionPolicy says who may let a digest by unproven.
type ExceptionPolicy struct {
	// by names the signers who count.
	By []string `json:"by"`
	// count of different signers.
	Count int32 `json:"count,omitempty"`
}

// Observe says when the observer attests.
type Observe struct {
	// attestAfter are the healthy times at which a soak is signed.
	AttestAfter []metav1.Duration `json:"attestAfter"`
}

// GateStatus is what the webhook makes of the Gate.
type GateStatus struct {
	// observedGeneration that the conditions are of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Accepted says whether the Gate can be judged by; while it isn't,
	// its namespaces deny.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionAccepted says whether the Gate can be judged by.
const ConditionAccepted = "Accepted"
