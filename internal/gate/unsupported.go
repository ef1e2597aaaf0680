package gate

import (
	"fmt"
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

func (j *decision) unsupported() []Reason { return CheckSupported(j.Gate, j.Unknown) }

// CheckSupported returns the requirements of the Gate that this version can't judge; unknown
// are the paths of fields that its types don't have. Each one denies: an ignored
// requirement would admit what it was written to stop.
func CheckSupported(g *v1alpha1.Gate, unknown []string) []Reason {
	var reasons []Reason
	add := func(path, why string) {
		reasons = append(reasons, NewReason(Unsupported, "%s: %s", printable.Line(path, maxName), why))
	}
	for _, path := range unknown {
		add(path, "this version doesn't know the field")
	}
	spec := &g.Spec
	oneOf(add, ".spec.action", spec.Action, v1alpha1.ActionDeny, v1alpha1.ActionWarn, v1alpha1.ActionAudit)
	for i, other := range spec.ExemptImages {
		oneOf(add, fmt.Sprintf(".spec.exemptImages[%d].tags", i), other.Tags, v1alpha1.TagsDeny, v1alpha1.TagsAllow)
	}
	for i, signer := range spec.Signers {
		oneOf(add, fmt.Sprintf(".spec.signers[%d].time", i), signer.Time, v1alpha1.TimeTrustSigner)
	}
	if soak := spec.Requires.Soak; soak != nil {
		oneOf(add, ".spec.requires.soak.chart", soak.Chart, v1alpha1.ChartSame)
		oneOf(add, ".spec.requires.soak.template", soak.Template, v1alpha1.TemplateSame)
	}
	return reasons
}

// oneOf reports a value of an enum that this version doesn't know. Empty is the
// default.
func oneOf[E ~string](add func(path, why string), path string, value E, known ...E) {
	if value == "" || slices.Contains(known, value) {
		return
	}
	add(path, fmt.Sprintf("this version doesn't know %s", quote(string(value))))
}
