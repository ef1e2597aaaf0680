package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxReference is more than a repository (255), a tag (128) and a digest (71)
	// can take together.
	maxReference = 512
	// maxText bounds the message, in bytes: several screens, and little enough for
	// Argo CD to keep in an Application's status for each object.
	maxText = 8 << 10
	// maxLine is what a line may hold of foreign text, in runes; the gate's own
	// messages are shorter.
	maxLine = 1 << 10
	// maxWarning is what API servers promise to pass on of a warning, in runes.
	maxWarning = 256
	// maxWarnings keeps all of them below the API server's total of 4,096 runes,
	// above which it cuts each.
	maxWarnings = 16
	// maxCauses is more than a person reads.
	maxCauses = 64
	// maxAnnotation bounds an audit annotation's value: the audit log keeps each
	// for every request.
	maxAnnotation = 4 << 10
)

// response is what the API server is told.
func (r ruling) response() *admissionv1.AdmissionResponse {
	denied := r.denials(v1alpha1.ActionDeny)
	response := &admissionv1.AdmissionResponse{
		Allowed:          len(denied) == 0,
		Warnings:         r.warnings(),
		AuditAnnotations: r.annotations(),
	}
	if len(denied) > 0 {
		response.Result = &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: message(denied, r.gates),
			Details: &metav1.StatusDetails{Causes: causes(denied)},
		}
	}
	return response
}

// denials are the findings that a Gate of this action denies.
func (r ruling) denials(action v1alpha1.Action) []finding {
	var denials []finding
	for _, f := range r.findings {
		if !f.Allowed && f.Action.Effective() == action {
			denials = append(denials, f)
		}
	}
	return denials
}

// message is a sentence for each finding, and below it every reason, line by line as
// far as they fit.
func message(findings []finding, gates []guard) string {
	var lines []string
	for _, f := range findings {
		lines = append(lines, f.sentence(gates))
		lines = append(lines, f.reasons()...)
	}
	text := lines[0]
	for i, line := range lines[1:] {
		if len(text)+len(line) > maxText {
			return fmt.Sprintf("%s\n… and %d more lines", text, len(lines)-1-i)
		}
		text += "\n" + line
	}
	return text
}

// sentence says which image isn't let into which environment, and why: the one reason,
// or the codes where there are several.
// shop/web@sha256:9f86d081884c…: not proven for prod: needs 24h in "staging", has 6h12m.
// shop/web@sha256:9f86d081884c…: not proven for prod: NoApproval, SoakTooShort.
func (f finding) sentence(gates []guard) string {
	subject := "the request"
	if f.reference != "" {
		subject = short(f.reference)
	}
	first, proof := f.first()
	said := "refused in"
	if proof {
		said = "not proven for"
	}
	why := line(first.Message)
	if more := len(f.Reasons) - 1; proof && more > 0 {
		why = strings.Join(f.codes(), ", ")
	} else if more > 0 {
		why += fmt.Sprintf(" (and %d more)", more)
	}
	return fmt.Sprintf("%s: %s %s: %s", subject, said, f.environment(gates), why)
}

// beyondProof are the codes of what no attestation would mend; they are said first. A
// registry that is down is one: what couldn't be fetched may well be proven.
var beyondProof = []gate.Code{
	gate.Recalled, gate.GateInvalid, gate.Unsupported, gate.InternalError, gate.Undecodable,
	gate.NoDigest, gate.UnknownImage, gate.NotInjected, gate.NoGate, gate.OtherStamp, gate.RegistryUnavailable,
}

// first is the reason to begin with, and whether proof would mend it.
func (f finding) first() (reason gate.Reason, proof bool) {
	for _, reason := range f.Reasons {
		if slices.Contains(beyondProof, reason.Code) {
			return reason, false
		}
	}
	if len(f.Reasons) == 0 {
		return gate.NewReason(gate.InternalError, "denied without a reason"), false
	}
	return f.Reasons[0], true
}

// environment of the Gate that was asked, or of those that guard the namespace.
func (f finding) environment(gates []guard) string {
	var names []string
	for _, g := range gates {
		if name := printable.Line(g.Spec.Environment, maxReference); g.Name == f.Gate.Name {
			return name
		} else if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "this namespace"
	}
	return strings.Join(names, ", ")
}

// reasons is a line for each: - CODE: message (remedy), and which Gate was asked.
func (f finding) reasons() []string {
	var lines []string
	for _, reason := range f.Reasons {
		text := fmt.Sprintf("- %s: %s", reason.Code, line(reason.Message))
		if reason.Remedy != "" {
			text += fmt.Sprintf(" (%s)", line(reason.Remedy))
		}
		lines = append(lines, text)
	}
	if f.Gate.Name != "" {
		lines = append(lines, "- asked Gate "+f.asked())
	}
	return lines
}

// asked is the Gate's name, generation and digest.
func (f finding) asked() string {
	return fmt.Sprintf("%s generation %d %s", line(f.Gate.Name), f.Gate.Generation, short(f.Gate.Digest))
}

// causes are the reasons for programs: the code, and the place in the object.
func causes(findings []finding) []metav1.StatusCause {
	var causes []metav1.StatusCause
	for _, f := range findings {
		for _, reason := range f.Reasons {
			if len(causes) == maxCauses {
				return causes
			}
			cause := metav1.StatusCause{Type: metav1.CauseType(reason.Code), Message: line(reason.Message)}
			if len(f.fields) > 0 {
				cause.Field = f.fields[0]
			}
			causes = append(causes, cause)
		}
	}
	return causes
}

// warnings are the first sentence of what would be denied, and all that is let by
// unproven; as many as are passed on.
func (r ruling) warnings() []string {
	var texts []string
	for _, f := range r.exempted() {
		texts = append(texts, printable.Cut("UNPROVEN: "+short(f.reference)+" by "+f.leave(), maxWarning))
	}
	for _, f := range r.denials(v1alpha1.ActionWarn) {
		text := "would be denied: " + f.sentence(r.gates)
		if codes := f.codes(); len(codes) == 1 {
			text += " (" + codes[0] + ")"
		}
		texts = append(texts, printable.Cut(text, maxWarning))
	}
	if more := len(texts) - (maxWarnings - 1); more > 1 {
		texts = append(texts[:maxWarnings-1], fmt.Sprintf("and %d more warnings", more))
	}
	return texts
}

// exempted are the findings of what an Exception lets by.
func (r ruling) exempted() []finding {
	return slices.DeleteFunc(slices.Clone(r.findings), func(f finding) bool { return !f.Allowed || f.Exception == nil })
}

// leave says by which Exception an image is let by: its name, its end, who signed it
// and why.
func (f finding) leave() string {
	x := f.Exception
	return fmt.Sprintf("Exception %s until %s, signed by %s: %s", line(x.Name), x.ExpiresAt.UTC().Format(time.RFC3339), line(strings.Join(x.By, ", ")), line(x.Reason))
}

// leaves are the exempted images, each with its Exception.
func (r ruling) leaves() []string {
	var leaves []string
	for _, f := range r.exempted() {
		leaves = append(leaves, line(f.reference)+" by "+f.leave())
	}
	return leaves
}

// missing are the codes of what exempted images don't show.
func (r ruling) missing() []string {
	var codes []string
	for _, f := range r.exempted() {
		for _, code := range f.Exception.Missing {
			codes = append(codes, string(code))
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// annotations go to the API server's audit log.
func (r ruling) annotations() map[string]string {
	annotations := map[string]string{"verdict": r.verdict()}
	if r.note != "" {
		annotations["note"] = r.note
	}
	if leaves := r.leaves(); len(leaves) > 0 {
		annotations["exceptions"] = printable.Cut(strings.Join(leaves, "; "), maxAnnotation)
	}
	for key, values := range map[string][]string{"gates": r.asked(), "images": r.images(), "codes": r.codes(), "missing": r.missing()} {
		if len(values) > 0 {
			annotations[key] = printable.Cut(strings.Join(values, " "), maxAnnotation)
		}
	}
	return annotations
}

// verdict in one word.
func (r ruling) verdict() string {
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

// asked are the Gates that guard the namespace: name/generation/digest.
func (r ruling) asked() []string {
	var asked []string
	for _, g := range r.gates {
		asked = append(asked, fmt.Sprintf("%s/%d/%s", line(g.Ref.Name), g.Ref.Generation, g.Ref.Digest))
	}
	return asked
}

// images are those that were judged, as the object names them.
func (r ruling) images() []string {
	var images []string
	for _, f := range r.findings {
		if name := printable.Line(f.reference, maxReference); name != "" && !slices.Contains(images, name) {
			images = append(images, name)
		}
	}
	return images
}

// codes of all denials, whatever their action.
func (r ruling) codes() []string {
	var codes []string
	for _, f := range r.findings {
		if !f.Allowed {
			codes = append(codes, f.codes()...)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func (f finding) codes() []string {
	var codes []string
	for _, reason := range f.Reasons {
		codes = append(codes, string(reason.Code))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// short is a reference without its registry's host and most of its digest, as people
// speak of it.
func short(reference string) string {
	reference = printable.Line(reference, maxReference)
	if host, rest, ok := strings.Cut(reference, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		reference = rest
	}
	if i := strings.LastIndex(reference, "sha256:"); i >= 0 && len(reference) > i+len("sha256:")+12 {
		reference = reference[:i+len("sha256:")+12] + "…"
	}
	if reference == "" {
		return "an image without a name"
	}
	return reference
}

// line makes one clean line of foreign text.
func line(text string) string {
	return printable.Line(text, maxLine)
}
