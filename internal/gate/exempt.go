package gate

import (
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
)

// DecideExempt judges an image in the Gate's `exemptImages`: it needs no evidence, but a
// Recall applies, and an invalid or unsupported Gate admits nothing.
func DecideExempt(r Request) Verdict {
	if r.Gate == nil {
		return Decide(r)
	}
	j := decision{Request: r, signers: map[string]v1alpha1.Signer{}}
	return Deny(r.Image, r.gateRef(), slices.Concat(Check(j.Gate), j.unsupported(), j.recalled())...)
}
