package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Every list and string has a bound: the API server multiplies them into the cost of
// the CEL rules, and refuses a CRD whose rules could cost too much.

// Gate says which namespaces are an environment, whose word counts there, and what
// a digest must show before it may run. It belongs to the platform team.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=envladder
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Signers",type=string,JSONPath=`.status.conditions[?(@.type=="SignersReady")].status`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.running.refused`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Gate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the platform team asks for.
	Spec GateSpec `json:"spec"`
	// status is what the webhook makes of it.
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
//
// +kubebuilder:validation:XValidation:rule="has(self.observe) || (has(self.requires) && (has(self.requires.signature) || has(self.requires.sbom) || has(self.requires.provenance) || has(self.requires.soak) || (has(self.requires.tests) && size(self.requires.tests) > 0) || has(self.requires.approvals)))",message="requires asks for nothing: everything would pass; ask for something, or set observe where the Gate is for the observer only"
//
// A requirement names signers of this Gate. The messages don't say which name is wrong: the
// server can't bound the cost of a message that lists names.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.signature) || !has(self.requires.signature.by) || self.requires.signature.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="requires.signature.by names a signer that this Gate doesn't have",fieldPath=".requires.signature.by"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.sbom) || self.requires.sbom.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="requires.sbom.by names a signer that this Gate doesn't have",fieldPath=".requires.sbom.by"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.provenance) || self.requires.provenance.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="requires.provenance.by names a signer that this Gate doesn't have",fieldPath=".requires.provenance.by"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.soak) || self.requires.soak.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="requires.soak.by names a signer that this Gate doesn't have",fieldPath=".requires.soak.by"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.tests) || self.requires.tests.all(t, t.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b)))",message="requires.tests: the by of a suite names a signer that this Gate doesn't have",fieldPath=".requires.tests"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.approvals) || self.requires.approvals.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="requires.approvals.by names a signer that this Gate doesn't have",fieldPath=".requires.approvals.by"
// +kubebuilder:validation:XValidation:rule="!has(self.provenHere) || self.provenHere.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="provenHere.by names a signer that this Gate doesn't have",fieldPath=".provenHere.by"
// +kubebuilder:validation:XValidation:rule="!has(self.exceptions) || self.exceptions.by.all(b, has(self.signers) && self.signers.exists(s, s.name == b))",message="exceptions.by names a signer that this Gate doesn't have",fieldPath=".exceptions.by"
//
// A requirement that asks for time names signers whose times something proves, or whose
// clock the Gate believes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.soak) || !has(self.signers) || self.requires.soak.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="requires.soak asks for time, and nothing proves the times of one of its signers: give the signer `timestamp`, or `time: TrustSigner` to believe its own clock",fieldPath=".requires.soak"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.tests) || !has(self.signers) || self.requires.tests.all(t, !has(t.maxAge) || t.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time))))",message="requires.tests asks for maxAge, and nothing proves the times of one of the suite's signers: give the signer `timestamp`, or `time: TrustSigner` to believe its own clock",fieldPath=".requires.tests"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.approvals) || !has(self.requires.approvals.maxAge) || !has(self.signers) || self.requires.approvals.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="requires.approvals asks for maxAge, and nothing proves the times of one of its signers: give the signer `timestamp`, or `time: TrustSigner` to believe its own clock",fieldPath=".requires.approvals"
// +kubebuilder:validation:XValidation:rule="!has(self.provenHere) || !has(self.signers) || self.provenHere.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="provenHere asks for time, and nothing proves the times of one of its signers: give the signer `timestamp`, or `time: TrustSigner` to believe its own clock",fieldPath=".provenHere"
//
// No more different people can be asked for than there are; a keyless signer with
// several subjects is several, one with a pattern any number.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.approvals) || !has(self.signers) || self.requires.approvals.count <= self.signers.map(s, s.name in self.requires.approvals.by ? (has(s.keyless) ? (has(s.keyless.subjects) ? size(s.keyless.subjects) : (has(s.keyless.subjectPattern) ? 32 : 1)) : 1) : 0).sum()",message="requires.approvals.count asks for more signers than by names",fieldPath=".requires.approvals.count"
// +kubebuilder:validation:XValidation:rule="!has(self.exceptions) || !has(self.signers) || self.exceptions.count <= self.signers.map(s, s.name in self.exceptions.by ? (has(s.keyless) ? (has(s.keyless.subjects) ? size(s.keyless.subjects) : (has(s.keyless.subjectPattern) ? 32 : 1)) : 1) : 0).sum()",message="exceptions.count asks for more signers than by names",fieldPath=".exceptions.count"
type GateSpec struct {
	// environment is the ladder's environment that the namespaces are.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Environment string `json:"environment"`
	// namespaces that this Gate guards, by name. Several Gates may guard one.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Namespaces []string `json:"namespaces"`
	// action on a denial: Deny refuses, Warn lets by with a warning, Audit lets by
	// and records it.
	//
	// +optional
	// +kubebuilder:default=Deny
	Action Action `json:"action,omitempty"`
	// images that this Gate judges. No image may be found in two entries.
	//
	// +optional
	// +listType=map
	// +listMapKey=repository
	// +kubebuilder:validation:MaxItems=64
	Images []GateImage `json:"images,omitempty"`
	// exemptImages are admitted without proof. An image that neither list names is denied.
	//
	// +optional
	// +listType=map
	// +listMapKey=repository
	// +kubebuilder:validation:MaxItems=64
	ExemptImages []ExemptImage `json:"exemptImages,omitempty"`
	// signers are those whose word can count; a claim is believed from the signers
	// that its requirement names, and from nobody else.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Signers []Signer `json:"signers,omitempty"`
	// requires is what a digest must show; each part is optional.
	//
	// +optional
	Requires Requirements `json:"requires,omitempty"`
	// provenHere accepts, in place of soak, tests and approvals, a digest that has proven
	// itself in this environment before: it met those requirements when it was deployed here,
	// and was healthy since. Running under an Exception, or under Warn or Audit, proves
	// nothing.
	//
	// +optional
	ProvenHere *ProvenHere `json:"provenHere,omitempty"`
	// exceptions says who may let a digest by unproven.
	//
	// +optional
	Exceptions *ExceptionPolicy `json:"exceptions,omitempty"`
	// observe makes the observer of this cluster measure soaks in these namespaces.
	//
	// +optional
	Observe *Observe `json:"observe,omitempty"`
}

// GateImage is a repository, or a pattern of repositories, that a Gate judges.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mirrors) || self.mirrors.all(p, p.endsWith('/*') == self.repository.endsWith('/*'))",message="mirrors must end in /* exactly where repository does, or it isn't clear which image it is",fieldPath=".mirrors"
//
// +kubebuilder:validation:XValidation:rule="!has(self.evidence) || self.evidence.endsWith('/*') == self.repository.endsWith('/*')",message="evidence must end in /* exactly where repository does",fieldPath=".evidence"
type GateImage struct {
	// repository that the evidence is fetched from: host/path, without tag or
	// digest; a last path element `*` stands for one element of any name.
	//
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]{1,5}|[[][a-fA-F0-9:]+[]](:[0-9]{1,5})?)(:[0-9]{1,5})?(/[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)*/([*]|[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)$')",message="write host/path without tag or digest, the host in full (docker.io/library/…); only the last element may be `*`"
	Repository string `json:"repository"`
	// evidence is the repository that attestations are kept in where they aren't beside
	// the image, such as where the image's own repository lets no tag be written twice.
	// A pattern's `*` stands for what the repository's `*` stands for.
	//
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]{1,5}|[[][a-fA-F0-9:]+[]](:[0-9]{1,5})?)(:[0-9]{1,5})?(/[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)*/([*]|[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)$')",message="write host/path without tag or digest, the host in full (docker.io/library/…); only the last element may be `*`"
	Evidence string `json:"evidence,omitempty"`
	// ladder that the soak must be of. Without it the soak's own repository must be
	// this image's.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Ladder string `json:"ladder,omitempty"`
	// mirrors are other repositories that pods may name for it, in the
	// same form. A pattern's `*` matches what the repository's `*` matches.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]{1,5}|[[][a-fA-F0-9:]+[]](:[0-9]{1,5})?)(:[0-9]{1,5})?(/[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)*/([*]|[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)$')",message="write host/path without tag or digest, the host in full (docker.io/library/…); only the last element may be `*`"
	Mirrors []string `json:"mirrors,omitempty"`
}

// ExemptImage is a repository whose images the Gate admits without judging them.
type ExemptImage struct {
	// repository as pods name it: host/path; a last path element `*` stands for one
	// element of any name.
	//
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]{1,5}|[[][a-fA-F0-9:]+[]](:[0-9]{1,5})?)(:[0-9]{1,5})?(/[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)*/([*]|[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)$')",message="write host/path without tag or digest, the host in full (docker.io/library/…); only the last element may be `*`"
	Repository string `json:"repository"`
	// tags: Allow lets by references without a digest too.
	//
	// +optional
	// +kubebuilder:default=Deny
	Tags TagPolicy `json:"tags,omitempty"`
}

// TagPolicy says whether a reference may lack a digest.
//
// +kubebuilder:validation:Enum=Deny;Allow
type TagPolicy string

// The tag policies.
const (
	TagsDeny  TagPolicy = "Deny"
	TagsAllow TagPolicy = "Allow"
)

// Signer is a key, KMS key or keyless identity. Exactly one of key, kms and keyless
// is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.key), has(self.kms), has(self.keyless)].filter(x, x).size() == 1",message="set exactly one of key, kms and keyless"
// +kubebuilder:validation:XValidation:rule="!has(self.keyless) || !has(self.timestamp)",message="a keyless signer has its times from keyless.trustedRoot: leave out timestamp",fieldPath=".timestamp"
// +kubebuilder:validation:XValidation:rule="!has(self.keyless) || !has(self.keyless.subjects) || !has(self.person)",message="several subjects are several people: leave out person",fieldPath=".person"
type Signer struct {
	// name that requirements use.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`
	// key is a public key.
	//
	// +optional
	Key *KeySigner `json:"key,omitempty"`
	// kms is a KMS key's URI, as cosign takes it.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	KMS string `json:"kms,omitempty"`
	// keyless is an identity in certificates of a Fulcio.
	//
	// +optional
	Keyless *KeylessSigner `json:"keyless,omitempty"`
	// timestamp names the trusted root (a file <name>.json of the folder that the webhook
	// is given) whose timestamping authorities and logs prove when a key signed. A keyless
	// signer has its times from its own trusted root.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Timestamp string `json:"timestamp,omitempty"`
	// time: TrustSigner believes the times that the signer itself states, where
	// nothing else proves them.
	//
	// +optional
	Time TimeSource `json:"time,omitempty"`
	// notAfter ends the signer, such as a key that another one takes the place of: what
	// was signed later doesn't count, nor from then on what has no proven time.
	//
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// person who signs, where people are counted: signers of one person are one. Without
	// it each key is a person, and each subject of a certificate.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Person string `json:"person,omitempty"`
	// legacy: true counts this signer's signatures and attestations in the form of cosign
	// 2 too (tags that end in .sig and .att).
	//
	// +optional
	Legacy bool `json:"legacy,omitempty"`
}

// TimeSource says whose clock counts.
//
// +kubebuilder:validation:Enum=TrustSigner
type TimeSource string

// TimeTrustSigner believes the signer's own clock.
const TimeTrustSigner TimeSource = "TrustSigner"

// KeySigner is a public key.
type KeySigner struct {
	// data is the PEM-encoded public key (PKIX): ECDSA, Ed25519, or RSA of 2048 bits
	// or more.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="!self.contains('PRIVATE KEY')",message="is a private key: take it out of use, and put the public key here"
	// +kubebuilder:validation:XValidation:rule="self.contains('-----BEGIN PUBLIC KEY-----')",message="write a PEM-encoded public key (-----BEGIN PUBLIC KEY-----)"
	Data string `json:"data"`
}

// KeylessSigner is an identity in Fulcio's certificates. Exactly one of subject,
// subjects and subjectPattern is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.subject), has(self.subjects), has(self.subjectPattern)].filter(x, x).size() == 1",message="set exactly one of subject, subjects and subjectPattern"
type KeylessSigner struct {
	// issuer of the identity's OIDC token, an https URL.
	//
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('https://')",message="must be an https URL"
	Issuer string `json:"issuer"`
	// subject of the certificate, in full.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Subject string `json:"subject,omitempty"`
	// subjects, any of which signs. Each is a signer of its own where signers are
	// counted.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Subjects []string `json:"subjects,omitempty"`
	// subjectPattern is a regular expression (RE2) that the whole subject matches, as if
	// it stood between ^ and $. Mind that an unescaped dot is any character.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	SubjectPattern string `json:"subjectPattern,omitempty"`
	// trustedRoot names the trusted root (a file <name>.json of the folder that the
	// webhook is given) with the certificate authority, the logs and the timestamping
	// authorities that count. Without it, it is sigstore's public one, which the webhook
	// must be told to trust.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	TrustedRoot string `json:"trustedRoot,omitempty"`
}

// Requirements is what a digest must show. Each part is optional.
type Requirements struct {
	// signature over the image.
	//
	// +optional
	Signature *SignatureRequirement `json:"signature,omitempty"`
	// sbom in SPDX or CycloneDX.
	//
	// +optional
	SBOM *SBOMRequirement `json:"sbom,omitempty"`
	// provenance says what built the image, and from what.
	//
	// +optional
	Provenance *ProvenanceRequirement `json:"provenance,omitempty"`
	// soak in an earlier environment.
	//
	// +optional
	Soak *SoakRequirement `json:"soak,omitempty"`
	// tests that passed, each by its suite's name.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Tests []TestRequirement `json:"tests,omitempty"`
	// approvals by people.
	//
	// +optional
	Approvals *ApprovalRequirement `json:"approvals,omitempty"`
}

// SignatureRequirement asks for a signature. Exactly one of by and clusterImagePolicy is
// set.
//
// +kubebuilder:validation:XValidation:rule="has(self.by) != has(self.clusterImagePolicy)",message="set exactly one of by and clusterImagePolicy"
type SignatureRequirement struct {
	// by names the signers who count.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by,omitempty"`
	// clusterImagePolicy names a ClusterImagePolicy of sigstore's policy-controller, which
	// judges in place of signers.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClusterImagePolicy string `json:"clusterImagePolicy,omitempty"`
}

// SBOMRequirement asks for a bill of materials.
type SBOMRequirement struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
}

// ProvenanceRequirement asks for SLSA provenance (v1).
type ProvenanceRequirement struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// builder is the id of the builder, in full.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Builder string `json:"builder,omitempty"`
	// source that must have been built. All sources that the provenance states must be this
	// one.
	//
	// +optional
	Source *ProvenanceSource `json:"source,omitempty"`
}

// ProvenanceSource is a repository of source code and what of it was built.
type ProvenanceSource struct {
	// repository, such as https://github.com/example/shop. It is compared by host and path:
	// ssh://git@HOST/PATH, git@HOST:PATH and HOST/PATH, with or without git+ in front and .git
	// behind, name the same one. A ref behind it (@refs/heads/main) is required like ref.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// ref that was built, in full: refs/heads/main.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Ref string `json:"ref,omitempty"`
}

// SoakRequirement asks for healthy time in another environment.
type SoakRequirement struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// environment that the digest must have been healthy in: an earlier one than the Gate's.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Environment string `json:"environment"`
	// duration of healthy time, such as 24h or 90m.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	Duration metav1.Duration `json:"duration"`
	// contiguous asks for the duration in one piece.
	//
	// +optional
	Contiguous bool `json:"contiguous,omitempty"`
	// maxAge since the soak ended.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// maxGap is the longest time unobserved.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxGap *metav1.Duration `json:"maxGap,omitempty"`
	// maxRestarts of containers during the soak.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`
	// platforms that this environment runs, as OS/ARCHITECTURE such as linux/arm64. Each must
	// have soaked for the duration where the image is an index. Without it, all platforms of
	// the index must have.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$`
	Platforms []string `json:"platforms,omitempty"`
	// minReady is the least number of ready pods during the soak.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinReady *int32 `json:"minReady,omitempty"`
	// chart: Same asks that the chart which soaked is the chart that is deployed.
	//
	// +optional
	Chart ChartPolicy `json:"chart,omitempty"`
	// template: Same asks that the pod template which soaked is the one that is deployed,
	// but for its images' repositories and what a controller adds.
	//
	// +optional
	Template TemplatePolicy `json:"template,omitempty"`
}

// ChartPolicy says whether the chart must be the one that soaked.
//
// +kubebuilder:validation:Enum=Same
type ChartPolicy string

// ChartSame asks for the chart that soaked.
const ChartSame ChartPolicy = "Same"

// TemplatePolicy says whether the pod template must be the one that soaked.
//
// +kubebuilder:validation:Enum=Same
type TemplatePolicy string

// TemplateSame asks for the pod template that soaked.
const TemplateSame TemplatePolicy = "Same"

// TestRequirement asks for a passed suite.
type TestRequirement struct {
	// name of the suite.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// maxAge since the suite ran.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// ApprovalRequirement asks for people's approval.
type ApprovalRequirement struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// count of different people who must approve.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
	// maxAge since the approval.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// DefaultProvenHereMaxAge is provenHere.maxAge where a Gate doesn't set it.
const DefaultProvenHereMaxAge = 2160 * time.Hour

// ProvenHere accepts healthy time in this very environment: in this cluster and in the
// Gate's namespaces, of a digest that met the requirements when it was deployed there.
type ProvenHere struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// duration of healthy time here.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	Duration metav1.Duration `json:"duration"`
	// maxAge since the end of the soak here. 2160h (90 days) if unset.
	//
	// +optional
	// +kubebuilder:default="2160h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// clusters are further clusters whose soaks count, by the UIDs of their namespaces
	// kube-system; the cluster that the Gate is in always counts. Name the cluster that this
	// one replaces, so that what ran there starts here after a disaster.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Clusters []string `json:"clusters,omitempty"`
}

// MaxAgeOrDefault returns maxAge, or its default where it isn't set.
func (p *ProvenHere) MaxAgeOrDefault() metav1.Duration {
	if p.MaxAge == nil {
		return metav1.Duration{Duration: DefaultProvenHereMaxAge}
	}
	return *p.MaxAge
}

// ExceptionPolicy says who may let a digest by unproven.
type ExceptionPolicy struct {
	// by names the signers who count.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	By []string `json:"by"`
	// count of different people who must sign.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
}

// Observe says when the observer attests.
type Observe struct {
	// attestAfter are the healthy times at which a soak is signed.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:Type=string
	// +kubebuilder:validation:items:Format=duration
	// +kubebuilder:validation:items:MaxLength=20
	// +kubebuilder:validation:items:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:items:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	AttestAfter []metav1.Duration `json:"attestAfter"`
}

// GateStatus is what the webhook makes of the Gate.
type GateStatus struct {
	// observedGeneration that the conditions are of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Accepted says whether the Gate can be judged by; while it isn't,
	// its namespaces deny. SignersReady says whether its signers can be verified by: what
	// a signer alone proves is denied while its KMS doesn't answer, or its trusted root
	// isn't there. RunningAllowed says whether all that runs in its namespaces
	// would be let in if it was started again.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// running is what runs in the namespaces and would be refused, as it was found last.
	//
	// +optional
	Running *RunningStatus `json:"running,omitempty"`
}

// RunningStatus is what runs in a Gate's namespaces, and what of it this Gate would
// refuse if it was started again, whatever the Gate's action.
type RunningStatus struct {
	// images that run, each once a namespace.
	Images int32 `json:"images"`
	// refused: how many of them would be refused.
	Refused int32 `json:"refused"`
	// recalled: how many of the refused a Recall names.
	Recalled int32 `json:"recalled"`
	// unread: how many objects can't be read, whose pods would be refused.
	Unread int32 `json:"unread"`
	// list has the refused ones, those that were recalled first; not all where there
	// are more than it holds.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	List []RunningImage `json:"list,omitempty"`
}

// RunningImage is an image that runs and would be refused.
type RunningImage struct {
	// namespace that it runs in.
	//
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// image as those name it that run it.
	//
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image"`
	// objects that run it, KIND/NAME; the first few.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:MaxLength=512
	Objects []string `json:"objects,omitempty"`
	// codes of the reasons.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	Codes []string `json:"codes,omitempty"`
}

// Conditions of a Gate.
const (
	// ConditionAccepted says whether the Gate can be judged by.
	ConditionAccepted = "Accepted"
	// ConditionSignersReady says whether the signers can be verified by.
	ConditionSignersReady = "SignersReady"
	// ConditionRunningAllowed says whether all that runs would be let in again.
	ConditionRunningAllowed = "RunningAllowed"
)
