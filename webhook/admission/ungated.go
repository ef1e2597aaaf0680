package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/rollout"
)

// Ungated is what happens in a namespace that is sent to the webhook and that no Gate names.
// The webhook's configuration sends namespaces by name, so there was a Gate, or there should
// be one.
type Ungated string

const (
	// UngatedDeny denies everything that would start. It is the default.
	UngatedDeny Ungated = "Deny"
	// UngatedAllow admits everything that wasn't recalled, for configurations that send
	// more namespaces than have Gates.
	UngatedAllow Ungated = "Allow"
)

// ParseUngated parses Deny or Allow.
func ParseUngated(text string) (Ungated, error) {
	switch u := Ungated(text); u {
	case UngatedDeny, UngatedAllow:
		return u, nil
	default:
		return "", fmt.Errorf("%q: use %s or %s", text, UngatedDeny, UngatedAllow)
	}
}

// reviewUngated reviews a request in a namespace that no Gate names.
func (r *Reviewer) reviewUngated(ctx context.Context, req *admissionv1.AdmissionRequest) Result {
	images, final := r.imagesToReview(ctx, req, nil)
	switch {
	case final != nil:
		return Result{Note: final.Note, Images: r.warnOnTrial(final.Images)}
	case r.ungated == UngatedAllow:
		return Result{Note: "no Gate names the namespace; only Recalls were checked", Images: recalled(images, r.policies.Recalls())}
	}
	reason := gate.NewReason(gate.NoGate, "no Gate names namespace %q, and the webhook's configuration sends it", cleanName(req.Namespace))
	denials := r.warnOnTrial(deny(nil, reason.Code, reason.Message, reason.Remedy))
	if r.trial {
		denials = append(denials, recalled(images, r.policies.Recalls())...)
	}
	return Result{Images: denials}
}

// warnOnTrial turns denials into warnings if the namespace is on trial.
func (r *Reviewer) warnOnTrial(denials []ImageResult) []ImageResult {
	if r.trial {
		for i := range denials {
			denials[i].Action = v1alpha1.ActionWarn
		}
	}
	return denials
}

// recalled denies the images that a Recall names, where no Gate judges them.
func recalled(images []rollout.ImageReview, recalls []v1alpha1.Recall) []ImageResult {
	var denials []ImageResult
	for _, image := range images {
		var reasons []gate.Reason
		for _, recall := range recalls {
			if slices.ContainsFunc(recall.Spec.Digests, func(digest string) bool {
				return strings.EqualFold(strings.TrimSpace(digest), workload.DigestOf(image.Reference))
			}) {
				reasons = append(reasons, gate.NewReason(gate.Recalled, "Recall %q names the digest: %s", recall.Name, cleanName(recall.Spec.Reason)))
			}
		}
		if len(reasons) > 0 {
			v := gate.Deny(gate.Image{}, gate.Ref{}, reasons...)
			v.Image = cleanName(image.Reference)
			denials = append(denials, ImageResult{image.Reference, image.Fields, verdict.GateVerdict{Verdict: v, Action: v1alpha1.ActionDeny}})
		}
	}
	return denials
}
