package gate

import (
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/printable"
)

// The kinds of statements.
var (
	signatureKind  = kind{noun: "signature", is: equals(PredicateSignature), missing: NoSignature}
	sbomKind       = kind{noun: "SBOM", is: isSBOM, missing: NoSBOM, need: "an SBOM"}
	provenanceKind = kind{noun: "provenance", is: equals(PredicateProvenance), missing: NoProvenance, need: "provenance"}
	soakKind       = kind{noun: "soak", is: equals(PredicateSoak), missing: NoSoak}
	testKind       = kind{noun: "test result", is: equals(PredicateTest), missing: NoTest}
	approvalKind   = kind{noun: "approval", is: equals(PredicateApproval), missing: NoApproval}
	exceptionKind  = kind{noun: "exception", is: equals(PredicateException)}
)

var kinds = []kind{signatureKind, sbomKind, provenanceKind, soakKind, testKind, approvalKind, exceptionKind}

// Knows reports whether statements of this predicate type can count in a verdict.
func Knows(predicateType string) bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return k.is(predicateType) })
}

func nounOf(predicateType string) string {
	for _, k := range kinds {
		if k.is(predicateType) {
			return k.noun
		}
	}
	return "statement"
}

func equals(want string) func(string) bool {
	return func(predicateType string) bool { return predicateType == want }
}

// isSBOM reports whether a predicate type is SPDX or CycloneDX, with or without a version.
func isSBOM(predicateType string) bool {
	for _, prefix := range []string{PredicateSPDX, PredicateCycloneDX} {
		if rest, ok := strings.CutPrefix(predicateType, prefix); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// present returns a candidate that counts, for statements that only have to exist.
func present(e Evidence) candidate { return candidate{Evidence: e} }

func (j *decision) signature() []Reason {
	required := j.Gate.Spec.Requires.Signature
	switch {
	case required == nil:
		return nil
	case required.ClusterImagePolicy != "":
		return j.policy(required.ClusterImagePolicy)
	default:
		return j.need(signatureKind, required.By, present)
	}
}

// notEvaluated is the reason if no evidence has a policy's result.
const notEvaluated = "it wasn't evaluated"

// policy requires that a ClusterImagePolicy admits the image.
func (j *decision) policy(name string) []Reason {
	refused := notEvaluated
	for _, e := range j.Evidence {
		switch {
		case e.Policy != name:
		case e.Malformed == "":
			return nil
		case refused == notEvaluated || e.Malformed < refused:
			refused = e.Malformed
		}
	}
	return []Reason{NewReason(PolicyRefused, "ClusterImagePolicy %s doesn't admit the image: %s", quote(name), printable.Line(refused, maxName))}
}

func (j *decision) sbom() []Reason {
	if j.Gate.Spec.Requires.SBOM == nil {
		return nil
	}
	return j.need(sbomKind, j.Gate.Spec.Requires.SBOM.By, present)
}

// IsSBOM reports whether a predicate type is that of a bill of materials.
func IsSBOM(predicateType string) bool { return isSBOM(predicateType) }
