package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// Ungated says what happens in a namespace that is sent to the webhook and that no
// Gate names. The configuration sends namespaces by name, so there was a Gate, or there
// should be one.
type Ungated string

const (
	// UngatedDeny refuses whatever would start. It is the default.
	UngatedDeny Ungated = "Deny"
	// UngatedAllow admits all that wasn't recalled, for configurations that send
	// more namespaces than have Gates.
	UngatedAllow Ungated = "Allow"
)

// ParseUngated reads Deny or Allow.
func ParseUngated(text string) (Ungated, error) {
	switch u := Ungated(text); u {
	case UngatedDeny, UngatedAllow:
		return u, nil
	default:
		return "", fmt.Errorf("%q: use %s or %s", text, UngatedDeny, UngatedAllow)
	}
}

// unguarded is rule for a namespace that no Gate names.
func (d *decider) unguarded(ctx context.Context, req *admissionv1.AdmissionRequest) ruling {
	questions, stopped := d.toAsk(ctx, req, nil)
	switch {
	case stopped != nil:
		return ruling{note: stopped.note, findings: d.onTrial(stopped.findings)}
	case d.ungated == UngatedAllow:
		return ruling{note: "no Gate names the namespace; Recalls alone were asked", findings: recalled(questions, d.gates.recalled())}
	}
	reason := gate.NewReason(gate.NoGate, "no Gate names namespace %q, and the webhook's configuration sends it", printable.Line(req.Namespace, maxReference))
	refused := d.onTrial(refuse(nil, reason.Code, reason.Message, reason.Remedy))
	if d.trial {
		refused = append(refused, recalled(questions, d.gates.recalled())...)
	}
	return ruling{findings: refused}
}

// onTrial makes denials warnings where things are tried out.
func (d *decider) onTrial(denials []finding) []finding {
	if d.trial {
		for i := range denials {
			denials[i].Action = v1alpha1.ActionWarn
		}
	}
	return denials
}

// recalled are the denials of what a Recall names, where no Gate is there to judge.
func recalled(questions []question, recalls []v1alpha1.Recall) []finding {
	var findings []finding
	for _, q := range questions {
		var reasons []gate.Reason
		for _, recall := range recalls {
			if slices.ContainsFunc(recall.Spec.Digests, func(digest string) bool {
				return strings.EqualFold(strings.TrimSpace(digest), workload.DigestOf(q.reference))
			}) {
				reasons = append(reasons, gate.NewReason(gate.Recalled, "Recall %q names the digest: %s", recall.Name, printable.Line(recall.Spec.Reason, maxReference)))
			}
		}
		if len(reasons) > 0 {
			v := gate.Deny(gate.Image{}, gate.Ref{}, reasons...)
			v.Image = printable.Line(q.reference, maxReference)
			findings = append(findings, finding{q.reference, q.fields, verdict.Outcome{Verdict: v, Action: v1alpha1.ActionDeny}})
		}
	}
	return findings
}
