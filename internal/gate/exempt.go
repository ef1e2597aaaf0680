package gate

import (
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
)

// DecideExempt judges an image that the Gate's `exemptImages` lets by: no proof is asked for,
// but a Recall counts, and a Gate that can't be judged by lets nothing by.
func DecideExempt(r Request) Verdict {
	if r.Gate == nil {
		return Decide(r)
	}
	j := judge{Request: r, signers: map[string]v1alpha1.Signer{}}
	return Deny(r.Image, r.by(), slices.Concat(Check(j.Gate), j.unsupported(), j.recalled())...)
}
