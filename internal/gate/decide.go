package gate

import (
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/printable"
)

// Decide judges a digest by a Gate. It judges every requirement and reports every
// reason; it never fails: what it can't judge is denied.
func Decide(r Request) Verdict {
	if r.Gate == nil {
		return Deny(r.Image, Ref{}, NewReason(NoGate, "no Gate was given"))
	}
	j := decision{Request: r, signers: map[string]v1alpha1.Signer{}, at: r.Now, ageless: r.Rescheduled}
	for _, signer := range r.Gate.Spec.Signers {
		j.signers[signer.Name] = signer
	}
	reasons, exempted := j.decide()
	verdict := Deny(r.Image, r.gateRef(), reasons...)
	if verdict.Allowed {
		verdict.Exception = exempted
	}
	return verdict
}

// Deny returns a verdict for these reasons: a denial, or an admission where there are none. It
// sorts them, drops duplicates, and makes untrusted text in them safe to print.
func Deny(image Image, by Ref, reasons ...Reason) Verdict {
	name := image.String()
	clean := make([]Reason, 0, len(reasons))
	for _, reason := range reasons {
		reason.Message = printable.Line(reason.Message, maxMessage)
		reason.Remedy = printable.Line(reason.Remedy, maxMessage)
		clean = append(clean, reason)
	}
	slices.SortFunc(clean, compareReasons)
	clean = slices.Compact(clean)
	return Verdict{Allowed: len(clean) == 0, Reasons: clean, Image: name, Gate: by}
}

func compareReasons(a, b Reason) int {
	if c := strings.Compare(string(a.Code), string(b.Code)); c != 0 {
		return c
	}
	if c := strings.Compare(a.Message, b.Message); c != 0 {
		return c
	}
	return strings.Compare(a.Remedy, b.Remedy)
}

// String is repository@digest, as messages name the image.
func (i Image) String() string {
	if i.Repository == "" && i.Digest == "" {
		return ""
	}
	return printable.Line(i.Repository+"@"+i.Digest, 2*maxName)
}

// decision is a request while it is judged.
type decision struct {
	Request
	signers map[string]v1alpha1.Signer
	// at is the time that ages are measured to, and ageless whether ages count at all:
	// those of the request, or an earlier deploy's.
	at      time.Time
	ageless bool
	// unmet are the requirements that weren't met at earlier times.
	unmet map[time.Time][]Reason
}

// decide returns the reasons for a denial, and the exception that replaces missing evidence.
func (j *decision) decide() ([]Reason, *Exempted) {
	missing := j.required()
	var exempted *Exempted
	if len(missing) > 0 {
		var why []Reason
		if exempted, why = j.exempted(); exempted != nil {
			exempted.Missing = codesOf(missing)
			missing = nil
		}
		missing = append(missing, why...)
	}
	return slices.Concat(
		j.request(),
		Check(j.Gate),
		j.unsupported(),
		j.stamps(),
		j.recalled(),
		missing,
	), exempted
}

func codesOf(reasons []Reason) []Code {
	codes := make([]Code, len(reasons))
	for i, reason := range reasons {
		codes[i] = reason.Code
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// required returns the reasons of the requirements that aren't met. A digest that has proven
// itself here needs no proof from elsewhere.
func (j *decision) required() []Reason {
	missing := slices.Concat(j.signature(), j.sbom(), j.provenance())
	elsewhere := j.provenElsewhere()
	if len(elsewhere) > 0 {
		proven, why := j.provenHere()
		if proven {
			return missing
		}
		elsewhere = append(elsewhere, why...)
	}
	return append(missing, elsewhere...)
}

// provenElsewhere returns the reasons of unmet requirements that provenHere can replace.
func (j *decision) provenElsewhere() []Reason {
	return slices.Concat(j.soak(), j.tests(), j.approvals())
}

// request rejects invalid requests.
func (j *decision) request() []Reason {
	var reasons []Reason
	if !digests.Valid(j.Image.Digest) {
		reasons = append(reasons, NewReason(NoDigest, "the image has no digest (sha256:<64 hex digits>): %s", quote(j.Image.String())))
	}
	if _, listed := FindImage(&j.Gate.Spec, j.Image.Repository); !listed {
		reasons = append(reasons, NewReason(UnknownImage, "Gate %s lists no image %s", quote(j.Gate.Name), quote(j.Image.Repository)))
	}
	// Without a time nothing is too old, and nothing has expired.
	if j.Now.IsZero() {
		reasons = append(reasons, NewReason(InternalError, "the request has no time"))
	}
	return reasons
}

// stamps denies objects rendered for another environment or ladder. Objects without stamps
// pass: a Ladder can turn stamps off, and objects of other origin have none.
func (j *decision) stamps() []Reason {
	var reasons []Reason
	if is, want := j.Stamps.Environment, j.Gate.Spec.Environment; is != "" && is != want {
		reasons = append(reasons, NewReason(OtherStamp, "rendered for environment %s, but Gate %s is for %s", quote(is), quote(j.Gate.Name), quote(want)))
	}
	if is, want := j.Stamps.Ladder, j.Image.Ladder; is != "" && want != "" && is != want {
		reasons = append(reasons, NewReason(OtherStamp, "rendered from ladder %s, but the Gate names %s for this image", quote(is), quote(want)))
	}
	return reasons
}

// recalled returns the reasons of Recalls that name the digest, which apply whatever its
// evidence. Upper case and spaces in a Recall's digest make no difference.
func (j *decision) recalled() []Reason {
	var reasons []Reason
	for _, recall := range j.Recalls {
		for _, digest := range recall.Spec.Digests {
			if strings.EqualFold(strings.TrimSpace(digest), j.Image.Digest) {
				reasons = append(reasons, NewReason(Recalled, "Recall %s names the digest: %s", quote(recall.Name), printable.Line(recall.Spec.Reason, maxName)))
			}
		}
	}
	return reasons
}
