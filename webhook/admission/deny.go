package admission

import (
	"context"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/policycache"
)

// undecided denies an image that has no verdict, most often because ctx has ended.
func undecided(ctx context.Context, gates []verdict.Gate, reference string) []verdict.GateVerdict {
	if ctx.Err() == nil {
		return failed(gates, reference, "nothing was decided about the image", "")
	}
	return failed(gates, reference, "timed out before the image was judged",
		"try again; if it stays, check the registry, or raise the webhook's timeoutSeconds")
}

// failed denies an image that couldn't be judged.
func failed(gates []verdict.Gate, reference, message, remedy string) []verdict.GateVerdict {
	reason := gate.NewReason(gate.InternalError, "%s", message)
	if remedy != "" {
		reason.Remedy = remedy
	}
	action := v1alpha1.ActionAudit
	for _, g := range gates {
		action = v1alpha1.Stricter(action, g.Spec.Action)
	}
	outcome := verdict.GateVerdict{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, reason), Action: action}
	outcome.Image = cleanName(reference)
	return []verdict.GateVerdict{outcome}
}

// deny denies the object as a whole, with the strictest action of the Gates; without a Gate
// the action is Deny.
func deny(gates []policycache.CachedGate, code gate.Code, message, remedy string) []ImageResult {
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
	return []ImageResult{{GateVerdict: verdict.GateVerdict{Verdict: v, Action: action}}}
}

// denyByUndecodable returns a denial by each Gate that can't be decoded, and the Gates that
// can.
func denyByUndecodable(gates []policycache.CachedGate) (denials []ImageResult, decoded []verdict.Gate) {
	for _, g := range gates {
		if g.DecodeError == nil {
			decoded = append(decoded, g.Gate)
			continue
		}
		v := gate.Deny(gate.Image{}, g.Ref, g.Problems()...)
		v.Image = ""
		denials = append(denials, ImageResult{GateVerdict: verdict.GateVerdict{Verdict: v, Action: v1alpha1.ActionDeny}})
	}
	return denials, decoded
}

// denyByUnreadablePolicy returns a denial by each Gate whose ClusterImagePolicy can't be
// read, with that Gate's action, and the Gates that can be used.
func denyByUnreadablePolicy(gates []verdict.Gate, unreadable map[string]error) (denials []ImageResult, usable []verdict.Gate) {
	for _, g := range gates {
		var err error
		for _, name := range verdict.PolicyNames([]verdict.Gate{g}) {
			err = unreadable[name]
		}
		if err == nil {
			usable = append(usable, g)
			continue
		}
		denials = append(denials, deny([]policycache.CachedGate{{Gate: g}}, gate.InternalError, err.Error(),
			"try again; if it stays, check whether the webhook's account may get ClusterImagePolicies")...)
	}
	return denials, usable
}
