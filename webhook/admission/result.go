package admission

import (
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/policycache"
)

// Result is the outcome of a review.
type Result struct {
	// Note is why nothing was judged; empty if something was.
	Note string
	// Images are the verdicts of the Gates on each image, or a single one on the whole
	// object.
	Images []ImageResult
	// Gates that name the namespace.
	Gates []policycache.CachedGate
}

// ImageResult is the verdict of one Gate on one image.
type ImageResult struct {
	// Reference is the image as the object names it; empty for a verdict on the whole
	// object.
	Reference string
	// Fields of the object that name the image.
	Fields []string
	verdict.GateVerdict
}

// verdict returns the verdict on the request in one word.
func (r Result) verdict() string {
	switch {
	case len(r.denials(v1alpha1.ActionDeny)) > 0:
		return "Denied"
	case len(r.denials(v1alpha1.ActionWarn)) > 0:
		return "Warned"
	case len(r.denials(v1alpha1.ActionAudit)) > 0:
		return "Audited"
	case len(r.exempted()) > 0:
		return "Exempted"
	default:
		return "Allowed"
	}
}

// denials returns the denials by Gates with this action.
func (r Result) denials(action v1alpha1.Action) []ImageResult {
	var denials []ImageResult
	for _, image := range r.Images {
		if !image.Allowed && image.Action.Effective() == action {
			denials = append(denials, image)
		}
	}
	return denials
}

// exempted returns the results of images that an Exception admits.
func (r Result) exempted() []ImageResult {
	return slices.DeleteFunc(slices.Clone(r.Images), func(i ImageResult) bool { return !i.Allowed || i.Exception == nil })
}

// exemptions returns the exempted images, each with its Exception, as text.
func (r Result) exemptions() []string {
	var texts []string
	for _, image := range r.exempted() {
		texts = append(texts, line(image.Reference)+" by "+image.exemption())
	}
	return texts
}

// missing returns the codes of what exempted images lack.
func (r Result) missing() []string {
	var codes []string
	for _, image := range r.exempted() {
		for _, code := range image.Exception.Missing {
			codes = append(codes, string(code))
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// images returns the images that were judged, as the object names them.
func (r Result) images() []string {
	var images []string
	for _, image := range r.Images {
		if name := cleanName(image.Reference); name != "" && !slices.Contains(images, name) {
			images = append(images, name)
		}
	}
	return images
}

// codes returns the codes of all denials, whatever their action.
func (r Result) codes() []string {
	var codes []string
	for _, image := range r.Images {
		if !image.Allowed {
			codes = append(codes, image.codes()...)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func (i ImageResult) codes() []string {
	var codes []string
	for _, reason := range i.Reasons {
		codes = append(codes, string(reason.Code))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// admitted returns the images that were admitted because of their evidence; none if the
// request is denied.
func (r Result) admitted() []evidencecache.Admitted {
	if len(r.denials(v1alpha1.ActionDeny)) > 0 {
		return nil
	}
	var images []evidencecache.Admitted
	for _, image := range r.Images {
		if image.Allowed && len(image.Evidence) > 0 && image.EvidenceQuery.Image.Digest != "" {
			images = append(images, evidencecache.Admitted{Query: image.EvidenceQuery, Evidence: image.Evidence})
		}
	}
	return images
}

// firstReason returns the reason to name first, and whether evidence could fix it.
func (i ImageResult) firstReason() (reason gate.Reason, provable bool) {
	for _, reason := range i.Reasons {
		if slices.Contains(notProvable, reason.Code) {
			return reason, false
		}
	}
	if len(i.Reasons) == 0 {
		return gate.NewReason(gate.InternalError, "denied without a reason"), false
	}
	return i.Reasons[0], true
}

// notProvable are the codes that no attestation could fix; they are named first. A registry
// that is down is one: the evidence that couldn't be fetched may well exist.
var notProvable = []gate.Code{
	gate.Recalled, gate.GateInvalid, gate.Unsupported, gate.InternalError, gate.Undecodable,
	gate.NoDigest, gate.UnknownImage, gate.NotInjected, gate.NoGate, gate.OtherStamp, gate.RegistryUnavailable,
}
