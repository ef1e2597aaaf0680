package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Every list and string has a bound: the API server multiplies them into the cost of
// the CEL rules, and refuses a CRD whose rules could cost too much.

// Gate defines the namespaces of an environment, the signers that it accepts, and the
// evidence that an image needs to run there. The platform team owns it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=envladder
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Environment",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Signers",type=string,JSONPath=`.status.conditions[?(@.type=="SignersReady")].status`
// +kubebuilder:printcolumn:name="Denied",type=integer,JSONPath=`.status.running.denied`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Gate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the platform team requires.
	Spec GateSpec `json:"spec"`
	// status is written by the webhook.
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

// GateSpec is what the platform team requires.
//
// +kubebuilder:validation:XValidation:rule="has(self.observe) || (has(self.requires) && (has(self.requires.signature) || has(self.requires.sbom) || has(self.requires.provenance) || has(self.requires.soak) || (has(self.requires.tests) && size(self.requires.tests) > 0) || has(self.requires.approvals)))",message="requires has no requirements, so every image would be admitted; add one, or set observe if the Gate is only for the observer"
//
// A requirement names signers of this Gate. The messages don't contain the wrong name: the
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
// A requirement that depends on time names signers whose times are proven, or whose clock
// the Gate trusts.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.soak) || !has(self.signers) || self.requires.soak.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="requires.soak depends on time, and nothing proves the times of one of its signers: set `timestamp` for the signer, or `time: TrustSigner` to trust its clock",fieldPath=".requires.soak"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.tests) || !has(self.signers) || self.requires.tests.all(t, !has(t.maxAge) || t.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time))))",message="requires.tests sets maxAge, and nothing proves the times of one of the suite's signers: set `timestamp` for the signer, or `time: TrustSigner` to trust its clock",fieldPath=".requires.tests"
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.approvals) || !has(self.requires.approvals.maxAge) || !has(self.signers) || self.requires.approvals.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="requires.approvals sets maxAge, and nothing proves the times of one of its signers: set `timestamp` for the signer, or `time: TrustSigner` to trust its clock",fieldPath=".requires.approvals"
// +kubebuilder:validation:XValidation:rule="!has(self.provenHere) || !has(self.signers) || self.provenHere.by.all(b, self.signers.all(s, s.name != b || has(s.keyless) || has(s.timestamp) || has(s.time)))",message="provenHere depends on time, and nothing proves the times of one of its signers: set `timestamp` for the signer, or `time: TrustSigner` to trust its clock",fieldPath=".provenHere"
//
// No more people can be required than there are; a keyless signer with several subjects is
// several people, one with a pattern any number.
//
// +kubebuilder:validation:XValidation:rule="!has(self.requires) || !has(self.requires.approvals) || !has(self.signers) || self.requires.approvals.count <= self.signers.map(s, s.name in self.requires.approvals.by ? (has(s.keyless) ? (has(s.keyless.subjects) ? size(s.keyless.subjects) : (has(s.keyless.subjectPattern) ? 32 : 1)) : 1) : 0).sum()",message="requires.approvals.count is more than the number of signers in by",fieldPath=".requires.approvals.count"
// +kubebuilder:validation:XValidation:rule="!has(self.exceptions) || !has(self.signers) || self.exceptions.count <= self.signers.map(s, s.name in self.exceptions.by ? (has(s.keyless) ? (has(s.keyless.subjects) ? size(s.keyless.subjects) : (has(s.keyless.subjectPattern) ? 32 : 1)) : 1) : 0).sum()",message="exceptions.count is more than the number of signers in by",fieldPath=".exceptions.count"
type GateSpec struct {
	// environment of the ladder that the namespaces belong to.
	Environment Label `json:"environment"`
	// namespaces that this Gate applies to. Several Gates may apply to one namespace.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Namespaces []Label `json:"namespaces"`
	// action on a denial: Deny rejects the request, Warn admits it with a warning, Audit
	// admits it and records the denial.
	//
	// +optional
	// +kubebuilder:default=Deny
	Action Action `json:"action,omitempty"`
	// images that this Gate judges. No two entries may match the same image.
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
	// signers that requirements can name. A requirement accepts statements only from the
	// signers that it names.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Signers []Signer `json:"signers,omitempty"`
	// requires lists the evidence that a digest needs; each part is optional.
	//
	// +optional
	Requires Requirements `json:"requires,omitempty"`
	// provenHere accepts, instead of soak, tests and approvals, a digest that has run in
	// this environment before: it met those requirements when it was deployed here, and was
	// healthy since. Time under an Exception, or under the actions Warn or Audit, doesn't
	// count.
	//
	// +optional
	ProvenHere *ProvenHere `json:"provenHere,omitempty"`
	// exceptions names the signers who may exempt a digest from the requirements.
	//
	// +optional
	Exceptions *ExceptionPolicy `json:"exceptions,omitempty"`
	// observe makes the observer in this cluster measure soaks in these namespaces.
	//
	// +optional
	Observe *Observe `json:"observe,omitempty"`
}

// GateImage is a repository, or a pattern of repositories, that a Gate judges.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mirrors) || self.mirrors.all(p, p.endsWith('/*') == self.repository.endsWith('/*'))",message="mirrors must end in /* if and only if repository does",fieldPath=".mirrors"
//
// +kubebuilder:validation:XValidation:rule="!has(self.evidence) || self.evidence.endsWith('/*') == self.repository.endsWith('/*')",message="evidence must end in /* if and only if repository does",fieldPath=".evidence"
type GateImage struct {
	// repository of the image, and of its evidence: host/path, without tag or digest. `*`
	// as the last path element stands for one element of any name.
	Repository RepositoryPattern `json:"repository"`
	// evidence is the repository with the attestations, if they aren't stored in the image's
	// repository (for example because its tags are immutable). `*` stands for what it
	// stands for in repository.
	//
	// +optional
	Evidence RepositoryPattern `json:"evidence,omitempty"`
	// ladder that soaks and approvals must name. Without it, a soak must name this image's
	// repository.
	//
	// +optional
	Ladder Label `json:"ladder,omitempty"`
	// mirrors are other repositories from which pods may pull the image, in the same form.
	// `*` stands for what it stands for in repository.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Mirrors []RepositoryPattern `json:"mirrors,omitempty"`
}

// ExemptImage is a repository whose images the Gate admits without judging them.
type ExemptImage struct {
	// repository as pods name it: host/path. `*` as the last path element stands for one
	// element of any name.
	Repository RepositoryPattern `json:"repository"`
	// tags: Allow also admits references without a digest.
	//
	// +optional
	// +kubebuilder:default=Deny
	Tags TagPolicy `json:"tags,omitempty"`
}

// TagPolicy is whether a reference may lack a digest.
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
// +kubebuilder:validation:XValidation:rule="!has(self.keyless) || !has(self.timestamp)",message="a keyless signer's times come from keyless.trustedRoot: remove timestamp",fieldPath=".timestamp"
// +kubebuilder:validation:XValidation:rule="!has(self.keyless) || !has(self.keyless.subjects) || !has(self.person)",message="several subjects are several people: remove person",fieldPath=".person"
type Signer struct {
	// name by which requirements refer to the signer.
	Name Label `json:"name"`
	// key is a public key.
	//
	// +optional
	Key *KeySigner `json:"key,omitempty"`
	// kms is the URI of a KMS key, as cosign accepts it.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	KMS string `json:"kms,omitempty"`
	// keyless is an identity in a Fulcio instance's certificates.
	//
	// +optional
	Keyless *KeylessSigner `json:"keyless,omitempty"`
	// timestamp names the trusted root (the file <name>.json in the webhook's folder of
	// trusted roots) whose timestamping authorities and logs prove when a key signed. A
	// keyless signer uses its own trusted root instead.
	//
	// +optional
	Timestamp Label `json:"timestamp,omitempty"`
	// time: TrustSigner trusts the times in the signer's own statements, if nothing else
	// proves them.
	//
	// +optional
	Time TimeSource `json:"time,omitempty"`
	// notAfter is when the signer ends, for example because its key is replaced. Statements
	// signed later don't count, and after that time neither do those without a proven time.
	//
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// person who signs. Where people are counted, signers of the same person count once.
	// Without it, each key and each certificate subject counts as a person.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Person string `json:"person,omitempty"`
	// legacy: true also accepts this signer's signatures and attestations in the format of
	// cosign 2 (tags that end in .sig and .att).
	//
	// +optional
	Legacy bool `json:"legacy,omitempty"`
}

// TimeSource is the clock that the Gate trusts.
//
// +kubebuilder:validation:Enum=TrustSigner
type TimeSource string

// TimeTrustSigner trusts the signer's own clock.
const TimeTrustSigner TimeSource = "TrustSigner"

// KeySigner is a public key.
type KeySigner struct {
	// data is the PEM-encoded public key (PKIX): ECDSA, Ed25519, or RSA of at least 2048
	// bits.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="!self.contains('PRIVATE KEY')",message="is a private key: revoke it, and set the public key here"
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
	// subjects, any of which may sign. Where people are counted, each subject is a person.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Subjects []string `json:"subjects,omitempty"`
	// subjectPattern is a regular expression (RE2) that must match the whole subject, as if
	// between ^ and $. An unescaped dot matches any character.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	SubjectPattern string `json:"subjectPattern,omitempty"`
	// trustedRoot names the trusted root (the file <name>.json in the webhook's folder of
	// trusted roots) with the accepted certificate authorities, logs and timestamping
	// authorities. Without it, sigstore's public root is used; the webhook must be configured
	// to trust that.
	//
	// +optional
	TrustedRoot Label `json:"trustedRoot,omitempty"`
}

// Requirements is the evidence that a digest needs. Each part is optional.
type Requirements struct {
	// signature of the image.
	//
	// +optional
	Signature *SignatureRequirement `json:"signature,omitempty"`
	// sbom in SPDX or CycloneDX.
	//
	// +optional
	SBOM *SBOMRequirement `json:"sbom,omitempty"`
	// provenance of the image: its builder and its source.
	//
	// +optional
	Provenance *ProvenanceRequirement `json:"provenance,omitempty"`
	// soak in an earlier environment.
	//
	// +optional
	Soak *SoakRequirement `json:"soak,omitempty"`
	// tests that must have passed, by the names of their suites.
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

// SignatureRequirement requires a signature. Exactly one of by and clusterImagePolicy is
// set.
//
// +kubebuilder:validation:XValidation:rule="has(self.by) != has(self.clusterImagePolicy)",message="set exactly one of by and clusterImagePolicy"
type SignatureRequirement struct {
	// by names the accepted signers.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by,omitempty"`
	// clusterImagePolicy names a ClusterImagePolicy of sigstore's policy-controller, which
	// decides instead of signers.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClusterImagePolicy string `json:"clusterImagePolicy,omitempty"`
}

// SBOMRequirement requires an SBOM.
type SBOMRequirement struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
}

// ProvenanceRequirement requires SLSA provenance (v1).
type ProvenanceRequirement struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// builder is the full id of the builder.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Builder string `json:"builder,omitempty"`
	// source that the image must be built from. Every source in the provenance must be this
	// one.
	//
	// +optional
	Source *ProvenanceSource `json:"source,omitempty"`
}

// ProvenanceSource is a repository of source code, and the ref that was built.
type ProvenanceSource struct {
	// repository, such as https://github.com/example/shop. Only host and path are compared:
	// ssh://git@HOST/PATH, git@HOST:PATH and HOST/PATH, with or without the prefix git+ and
	// the suffix .git, are the same repository. A ref at the end (@refs/heads/main) is
	// required like ref.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Repository string `json:"repository"`
	// ref that must be built, in full: refs/heads/main.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Ref string `json:"ref,omitempty"`
}

// SoakRequirement requires healthy time in another environment.
type SoakRequirement struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// environment in which the digest must have been healthy; an earlier one than the Gate's.
	Environment Label `json:"environment"`
	// duration of healthy time, such as 24h or 90m.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	Duration metav1.Duration `json:"duration"`
	// count is how many observers must have attested such a soak, counted by signers as
	// approvals are: different clusters of one environment, for example.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
	// checkpointEvery is how far apart two proven times of a soak may be so that the time
	// between them counts. It applies to signers without `time: TrustSigner`. The default is a
	// quarter of the duration, at least 5m: twice what observers aim at.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	CheckpointEvery *metav1.Duration `json:"checkpointEvery,omitempty"`
	// contiguous requires the duration without interruption.
	//
	// +optional
	Contiguous bool `json:"contiguous,omitempty"`
	// maxAge is the longest allowed time since the soak ended.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// maxGap is the longest allowed time without observation.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxGap *metav1.Duration `json:"maxGap,omitempty"`
	// maxRestarts is how often containers may restart during the soak.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`
	// platforms that this environment runs, as OS/ARCHITECTURE, such as linux/arm64. If the
	// image is an index, each of them must have soaked for the duration; without this field,
	// all platforms of the index.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$`
	Platforms []string `json:"platforms,omitempty"`
	// minReady is how many pods must have been ready at all times of the soak.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinReady *int32 `json:"minReady,omitempty"`
	// chart: Same requires that the deployed chart is the one that soaked.
	//
	// +optional
	Chart ChartPolicy `json:"chart,omitempty"`
	// template: Same requires that the deployed pod template is the one that soaked, except
	// for its images' repositories and what a controller adds.
	//
	// +optional
	Template TemplatePolicy `json:"template,omitempty"`
}

// ChartPolicy is whether the chart must be the one that soaked.
//
// +kubebuilder:validation:Enum=Same
type ChartPolicy string

// ChartSame requires the chart that soaked.
const ChartSame ChartPolicy = "Same"

// TemplatePolicy is whether the pod template must be the one that soaked.
//
// +kubebuilder:validation:Enum=Same
type TemplatePolicy string

// TemplateSame requires the pod template that soaked.
const TemplateSame TemplatePolicy = "Same"

// TestRequirement requires a passed test suite.
type TestRequirement struct {
	// name of the suite.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// maxAge is the longest allowed time since the suite ran.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// ApprovalRequirement requires people's approval.
type ApprovalRequirement struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// count is how many different people must approve.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
	// maxAge is the longest allowed time since the approval.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}

// Defaults of provenHere.maxAge and observe.renewEvery.
const (
	DefaultProvenHereMaxAge = 2160 * time.Hour
	DefaultRenewEvery       = 168 * time.Hour
)

// ProvenHere accepts healthy time in this environment, in this cluster and the Gate's
// namespaces, of a digest that met the requirements when it was deployed there.
type ProvenHere struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// duration of healthy time in this environment.
	//
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	Duration metav1.Duration `json:"duration"`
	// maxAge is the longest allowed time since the end of that soak. The default is 2160h (90
	// days).
	//
	// +optional
	// +kubebuilder:default="2160h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// clusters are other clusters whose soaks count, by the UIDs of their kube-system
	// namespaces; the Gate's own cluster always counts. Name the cluster that this one
	// replaces, so that images that ran there can start here after a disaster.
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

// ExceptionPolicy names the signers who may exempt a digest from the requirements.
type ExceptionPolicy struct {
	// by names the accepted signers.
	//
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	By []SignerName `json:"by"`
	// count is how many different people must sign.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
}

// Observe is when the observer attests soaks.
type Observe struct {
	// attestAfter are the healthy times after which a soak is signed.
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
	// checkpointEvery is how often an observer whose signatures have proven times signs the
	// figures on the way to the next entry of attestAfter. The default is an eighth of that
	// entry. It is at least 1m.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	CheckpointEvery *metav1.Duration `json:"checkpointEvery,omitempty"`
	// renewEvery is how long after the last soak a digest that is still healthy is attested
	// again, so that it can be promoted for as long as it runs. The default is 168h.
	//
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=duration
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(h|m|s|ms))+$`
	// +kubebuilder:validation:XValidation:rule="self > duration('0s')",message="must be more than 0s"
	RenewEvery *metav1.Duration `json:"renewEvery,omitempty"`
}

// RenewEveryOrDefault returns renewEvery, or its default where it isn't set.
func (o *Observe) RenewEveryOrDefault() metav1.Duration {
	if o.RenewEvery == nil {
		return metav1.Duration{Duration: DefaultRenewEvery}
	}
	return *o.RenewEvery
}

// GateStatus is written by the webhook.
type GateStatus struct {
	// observedGeneration is the generation that the status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions. Accepted: the Gate is valid; while it isn't, its namespaces deny all
	// images. SignersReady: signatures of all signers can be verified; while a signer's KMS
	// doesn't answer or its trusted root is missing, requirements that only this signer
	// satisfies are denied. RunningAllowed: all images that run in its namespaces would be
	// admitted again.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// running lists the images that run in the namespaces and would be denied, as of the last
	// report.
	//
	// +optional
	Running *RunningStatus `json:"running,omitempty"`
}

// RunningStatus is what runs in a Gate's namespaces, and what of it this Gate would deny if
// it was started again, regardless of the Gate's action.
type RunningStatus struct {
	// images is how many images run; an image counts once for each namespace.
	Images int32 `json:"images"`
	// denied is how many of them would be denied.
	Denied int32 `json:"denied"`
	// recalled is how many of the denied images a Recall names.
	Recalled int32 `json:"recalled"`
	// unread is how many objects can't be read; their pods would be denied.
	Unread int32 `json:"unread"`
	// list has the first of the denied images, recalled ones first.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	List []RunningImage `json:"list,omitempty"`
}

// RunningImage is an image that runs and would be denied.
type RunningImage struct {
	// namespace that it runs in.
	//
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// image as the objects that run it name it.
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
	// ConditionAccepted is true while the Gate is valid.
	ConditionAccepted = "Accepted"
	// ConditionSignersReady is true while signatures of all signers can be verified.
	ConditionSignersReady = "SignersReady"
	// ConditionRunningAllowed is true while all running images would be admitted again.
	ConditionRunningAllowed = "RunningAllowed"
)
