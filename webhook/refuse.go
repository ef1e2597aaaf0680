package webhook

import (
	"context"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/verdict"
)

// undecided is the denial of an image that nothing was said about.
func undecided(ctx context.Context, gates []verdict.Gate, reference string) []verdict.Outcome {
	if ctx.Err() == nil {
		return failed(gates, reference, "nothing was decided about the image", "")
	}
	return failed(gates, reference, "the time to answer was over before the image was judged",
		"try again; if it stays, look at the registry, or raise the webhook's timeoutSeconds")
}

// failed is the denial of an image that couldn't be judged.
func failed(gates []verdict.Gate, reference, message, remedy string) []verdict.Outcome {
	reason := gate.NewReason(gate.InternalError, "%s", message)
	if remedy != "" {
		reason.Remedy = remedy
	}
	action := v1alpha1.ActionAudit
	for _, g := range gates {
		action = v1alpha1.Stricter(action, g.Spec.Action)
	}
	outcome := verdict.Outcome{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, reason), Action: action}
	outcome.Image = printable.Line(reference, maxReference)
	return []verdict.Outcome{outcome}
}

// refuse is a denial of the object as a whole, by whatever Gates there are.
func refuse(gates []guard, code gate.Code, message, remedy string) []finding {
	action := v1alpha1.ActionDeny
	if len(gates) > 0 {
		action = v1alpha1.ActionAudit
	}
	for _, g := range gates {
		action = v1alpha1.Stricter(action, g.Spec.Action)
	}
	reason := gate.Reason{Code: code, Message: message, Remedy: remedy}
	v := gate.Deny(gate.Image{}, gate.Ref{}, reason)
	v.Image = ""
	return []finding{{Outcome: verdict.Outcome{Verdict: v, Action: action}}}
}

// unreadable are the denials by Gates that can't be read, and the Gates that can.
func unreadable(gates []guard) (findings []finding, readable []verdict.Gate) {
	for _, g := range gates {
		if g.unreadable == nil {
			readable = append(readable, g.Gate)
			continue
		}
		v := gate.Deny(gate.Image{}, g.Ref, g.faults()...)
		v.Image = ""
		findings = append(findings, finding{Outcome: verdict.Outcome{Verdict: v, Action: v1alpha1.ActionDeny}})
	}
	return findings, readable
}

// unpolicied are the denials by Gates whose ClusterImagePolicy can't be read, and the Gates
// that can be judged by: what one that only audits lacks stops nobody.
func unpolicied(gates []verdict.Gate, unread map[string]error) (findings []finding, rest []verdict.Gate) {
	for _, g := range gates {
		var err error
		for _, name := range verdict.PolicyNames([]verdict.Gate{g}) {
			err = unread[name]
		}
		if err == nil {
			rest = append(rest, g)
			continue
		}
		findings = append(findings, refuse([]guard{{Gate: g}}, gate.InternalError, err.Error(),
			"try again; if it stays, look at whether the webhook's account may get ClusterImagePolicies")...)
	}
	return findings, rest
}
