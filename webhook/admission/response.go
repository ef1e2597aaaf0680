package admission

import (
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxWarning is what API servers promise to pass on of a warning, in characters.
	maxWarning = 256
	// maxWarnings keeps all of them below the API server's total of 4,096 characters,
	// above which it shortens each.
	maxWarnings = 16
	// maxCauses is more than a person reads.
	maxCauses = 64
	// maxAnnotation bounds an audit annotation's value: the audit log stores each for
	// every request.
	maxAnnotation = 4 << 10
)

// response returns the answer to the API server.
func (r Result) response() *admissionv1.AdmissionResponse {
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
			Message: message(denied, r.Gates),
			Details: &metav1.StatusDetails{Causes: causes(denied)},
		}
	}
	return response
}

// causes returns the reasons for programs: the code, and the field of the object.
func causes(images []ImageResult) []metav1.StatusCause {
	var causes []metav1.StatusCause
	for _, image := range images {
		for _, reason := range image.Reasons {
			if len(causes) == maxCauses {
				return causes
			}
			cause := metav1.StatusCause{Type: metav1.CauseType(reason.Code), Message: line(reason.Message)}
			if len(image.Fields) > 0 {
				cause.Field = image.Fields[0]
			}
			causes = append(causes, cause)
		}
	}
	return causes
}

// warnings returns a warning for each image that an Exception admits, and for each that
// would be denied; as many as API servers pass on.
func (r Result) warnings() []string {
	var texts []string
	for _, image := range r.exempted() {
		texts = append(texts, printable.Cut("UNPROVEN: "+shortReference(image.Reference)+" by "+image.exemption(), maxWarning))
	}
	for _, image := range r.denials(v1alpha1.ActionWarn) {
		text := "would be denied: " + image.sentence(r.Gates)
		if codes := image.codes(); len(codes) == 1 {
			text += " (" + codes[0] + ")"
		}
		texts = append(texts, printable.Cut(text, maxWarning))
	}
	if more := len(texts) - (maxWarnings - 1); more > 1 {
		texts = append(texts[:maxWarnings-1], fmt.Sprintf("and %d more warnings", more))
	}
	return texts
}

// annotations returns the annotations for the API server's audit log.
func (r Result) annotations() map[string]string {
	annotations := map[string]string{"verdict": r.verdict()}
	if r.Note != "" {
		annotations["note"] = r.Note
	}
	if exemptions := r.exemptions(); len(exemptions) > 0 {
		annotations["exceptions"] = printable.Cut(strings.Join(exemptions, "; "), maxAnnotation)
	}
	for key, values := range map[string][]string{"gates": r.gateVersions(), "images": r.images(), "codes": r.codes(), "missing": r.missing()} {
		if len(values) > 0 {
			annotations[key] = printable.Cut(strings.Join(values, " "), maxAnnotation)
		}
	}
	return annotations
}

// gateVersions returns the Gates that name the namespace, as name/generation/digest.
func (r Result) gateVersions() []string {
	var versions []string
	for _, g := range r.Gates {
		versions = append(versions, fmt.Sprintf("%s/%d/%s", line(g.Ref.Name), g.Ref.Generation, g.Ref.Digest))
	}
	return versions
}
