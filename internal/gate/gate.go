// Package gate decides whether a digest may run. It is pure: it reads no clock, no
// network and no file, so that webhook and command line, given the same evidence,
// give the same verdict. internal/evidence verifies signatures, and internal/verdict
// determines which Gate judges which image.
package gate

import (
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Request has everything that a verdict depends on.
type Request struct {
	Gate *v1alpha1.Gate
	// Unknown are the paths of fields in the Gate's document that this version's
	// types don't have (.spec.requires.quorum).
	Unknown []string
	// Ref to the Gate, from callers that judge often: computing its digest costs as much as
	// judging. It is computed if empty.
	Ref   Ref
	Image Image
	// Namespace that it is to run in; an exception counts in the namespaces that it
	// names.
	Namespace string
	// Cluster that it is to run in: the UID of its namespace kube-system, as soaks name it.
	// Where it is empty, provenHere counts only soaks of the clusters that the Gate names.
	Cluster string
	Stamps  Stamps
	// Evidence was verified: every signer is one of the Gate's, every subject is
	// the image's digest.
	Evidence []Evidence
	Recalls  []v1alpha1.Recall
	// Exceptions of the cluster, with the verified statements in them.
	Exceptions []Exception
	// Rescheduled skips what time alone takes away (maxAge, the end of an approval, of
	// an exception, of a signer), and only that: these digests already run here.
	Rescheduled bool
	// Now is the time that ages are measured to.
	Now time.Time
}

// Image is the image that is judged.
type Image struct {
	// Repository of the image: the Gate's, never a mirror.
	Repository string
	// Evidence is the repository that attestations are fetched from, where the Gate
	// names a separate one; otherwise empty: they are stored next to the image.
	Evidence string
	// Digest is sha256:<64 hex digits>.
	Digest string
	// Ladder that the Gate pins the soak to, or empty.
	Ladder string
}

// Stamps are the envladder.dev annotations of the object that is judged.
type Stamps struct {
	Ladder      string
	Environment string
	Target      string
	ChartDigest string
	// TemplateDigest is no annotation: it is that of the pod template itself.
	TemplateDigest string
}

// Evidence is one verified statement about the image's digest.
type Evidence struct {
	// Signer is the name that the Gate has for the signer.
	Signer string
	// Identity is the certificate's subject where the signer is keyless, else
	// empty. Of several subjects, each is a person of its own.
	Identity string
	// Key is the SHA-256 of the public key where the signer is none.
	Key string
	// Policy is the ClusterImagePolicy that admits the image; there is no signer then.
	Policy string
	// Signed is a proven time (timestamp authority or log); zero where there is none.
	Signed time.Time
	// Statement is the SHA-256 of a soak's signed statement, by which a later statement of
	// the same soak names it.
	Statement     string
	PredicateType string
	// Exactly one of these is set for the predicate types that have a content.
	Soak       *Soak
	Test       *Test
	Approval   *Approval
	Provenance *Provenance
	Permission *Permission
	// Malformed is the reason why the predicate of a known type couldn't be read; such
	// evidence proves nothing, and is reported in reasons.
	Malformed string
	// Digest of the bundle's manifest in the registry, for people.
	Source string
}

// Verdict is allowed or denied, with every reason.
type Verdict struct {
	Allowed bool     `json:"allowed"`
	Reasons []Reason `json:"reasons"`
	Image   string   `json:"image"`
	Gate    Ref      `json:"gate"`
	// Exception that admitted a digest despite missing evidence; it must be shown.
	Exception *Exempted `json:"exception,omitempty"`
}

// Ref identifies the Gate of a verdict.
type Ref struct {
	Name       string `json:"name"`
	Generation int64  `json:"generation,omitempty"`
	// Digest of the Gate's spec, so that two clusters' Gates can be compared.
	Digest string `json:"digest"`
}

// Reason is why a digest was denied.
type Reason struct {
	Code Code `json:"code"`
	// Message has the figures: what is needed, what there is.
	Message string `json:"message"`
	// Remedy is what to do about it.
	Remedy string `json:"remedy,omitempty"`
}

// Code is stable: scripts and dashboards may rely on it.
type Code string
