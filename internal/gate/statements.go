package gate

import "time"

// Predicate types of the statements that the gate knows.
const (
	// PredicateSignature is what `cosign sign` writes.
	PredicateSignature = "https://sigstore.dev/cosign/sign/v1"
	// PredicateSPDX is the prefix of SPDX documents' types (…/Document/v2.3 too).
	PredicateSPDX = "https://spdx.dev/Document"
	// PredicateCycloneDX is the prefix of CycloneDX' types (…/bom/v1.6 too).
	PredicateCycloneDX = "https://cyclonedx.org/bom"
	// PredicateProvenance is SLSA's, v1.
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	// PredicateTest is in-toto's test result, v0.1.
	PredicateTest = "https://in-toto.io/attestation/test-result/v0.1"
	// PredicateSoak, PredicateApproval and PredicateException are envladder's own.
	PredicateSoak      = "https://envladder.dev/attestation/soak/v0.1"
	PredicateApproval  = "https://envladder.dev/attestation/approval/v0.1"
	PredicateException = "https://envladder.dev/attestation/exception/v0.1"
)

// Soak is the predicate soak/v0.1: time that a digest was healthy, as observed.
type Soak struct {
	Ladder      string     `json:"ladder"`
	Environment string     `json:"environment"`
	Target      string     `json:"target"`
	Cluster     string     `json:"cluster"`
	Namespace   string     `json:"namespace"`
	Image       SoakImage  `json:"image"`
	Workloads   []Workload `json:"workloads"`
	Chart       SoakChart  `json:"chart"`
	Source      SoakSource `json:"source,omitzero"`
	// FirstSeenAt is when a workload first named the digest, which may be long before the
	// window begins with its first healthy moment.
	FirstSeenAt *time.Time   `json:"firstSeenAt,omitempty"`
	Window      SoakWindow   `json:"window"`
	Observer    SoakObserver `json:"observer"`
}

// SoakImage is the image that soaked.
type SoakImage struct {
	Repository string `json:"repository"`
	// Digest that the pods named, an index or an image. Of the statement's other
	// subjects only those have soaked that are in Platforms.
	Digest    string         `json:"digest,omitempty"`
	Platforms []SoakPlatform `json:"platforms"`
}

// SoakPlatform is one platform's part of an image.
type SoakPlatform struct {
	// Platform is os/arch[/variant].
	Platform       string `json:"platform"`
	Digest         string `json:"digest"`
	HealthySeconds int64  `json:"healthySeconds"`
}

// Workload that ran the digest.
type Workload struct {
	APIVersion     string `json:"apiVersion"`
	Kind           string `json:"kind"`
	Name           string `json:"name"`
	UID            string `json:"uid"`
	TemplateDigest string `json:"templateDigest"`
}

// SoakChart is the chart that soaked.
type SoakChart struct {
	Digest string `json:"digest"`
}

// SoakSource is the commit that soaked, where the signer knows it. The observer doesn't
// know it and states none: the builder states in the provenance which commit a digest was
// built from.
type SoakSource struct {
	Repository string `json:"repository"`
	Commit     string `json:"commit"`
}

// SoakWindow has the raw figures; the gate recomputes from them.
type SoakWindow struct {
	// ID is chosen when the window opens, and the same in all its statements.
	ID string `json:"id,omitempty"`
	// Previous is the SHA-256 of the window's statement before this one; empty in the first.
	Previous  string    `json:"previous,omitempty"`
	StartedAt time.Time `json:"startedAt"`
	// FinishedAt is the end of the time that the figures cover. It is null while the window
	// is open: a signed start.
	FinishedAt            *time.Time `json:"finishedAt"`
	HealthySeconds        int64      `json:"healthySeconds"`
	LongestHealthySeconds int64      `json:"longestHealthySeconds"`
	LongestGapSeconds     int64      `json:"longestGapSeconds"`
	// MinReady is the least number of ready pods in healthy time.
	MinReady      int32          `json:"minReady"`
	Restarts      int32          `json:"restarts"`
	Interruptions []Interruption `json:"interruptions"`
	// InterruptedSeconds is the sum of all interruptions, those cut from the list
	// included.
	InterruptedSeconds int64 `json:"interruptedSeconds"`
}

// Interruption is time that doesn't count.
type Interruption struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// InterruptedNoReadinessProbe is the reason of an interruption during which a pod had
// no readiness probe. Verdicts report it, because people can fix it.
const InterruptedNoReadinessProbe = "NoReadinessProbe"

// SoakObserver is the program that measured the soak.
type SoakObserver struct {
	Version  string `json:"version"`
	Instance string `json:"instance"`
}

// Test is in-toto's predicate test-result/v0.1. Its `result` is only a claim: the gate
// counts failedTests and passedTests.
type Test struct {
	Result        string              `json:"result"`
	Configuration []TestConfiguration `json:"configuration"`
	URL           string              `json:"url,omitempty"`
	PassedTests   []string            `json:"passedTests,omitempty"`
	WarnedTests   []string            `json:"warnedTests,omitempty"`
	FailedTests   []string            `json:"failedTests,omitempty"`
	// FinishedAt is an extension field (in-toto's predicate has no time).
	FinishedAt *time.Time `json:"https://envladder.dev/attestation/finishedAt,omitempty"`
}

// TestConfiguration is an in-toto ResourceDescriptor; the first one's name is the
// suite's.
type TestConfiguration struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// Approval is the predicate approval/v0.1.
type Approval struct {
	Ladder      string     `json:"ladder"`
	Environment string     `json:"environment"`
	Comment     string     `json:"comment,omitempty"`
	ApprovedAt  *time.Time `json:"approvedAt,omitempty"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
}

// Permission is the predicate exception/v0.1: permission to run a digest without the
// required evidence, in one namespace, until an expiry time.
type Permission struct {
	Namespace string     `json:"namespace"`
	Reason    string     `json:"reason"`
	ExpiresAt *time.Time `json:"expiresAt"`
}
