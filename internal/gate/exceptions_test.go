package gate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// unproven shows nothing, and has an exception of these signers.
func unproven(by ...string) gate.Request {
	r := proven()
	r.Evidence = nil
	r.Exceptions = []gate.Exception{exception("hotfix", by...)}
	return r
}

func TestExceptionAllowsWithReason(t *testing.T) {
	v := gate.Decide(unproven("ana", "bo"))
	want := &gate.Exempted{
		Name: "hotfix", Reason: "incident 117", By: []string{"ana", "bo"}, ExpiresAt: now.Add(time.Second),
		Missing: []gate.Code{gate.NoApproval, gate.NoProvenance, gate.NoSBOM, gate.NoSignature, gate.NoSoak, gate.NoTest},
	}
	if diff := cmp.Diff(want, v.Exception); !v.Allowed || diff != "" {
		t.Errorf("allowed %v, reasons %+v (-want +got):\n%s", v.Allowed, v.Reasons, diff)
	}
}

func TestExceptionIsUnusedIfProven(t *testing.T) {
	r := proven()
	r.Exceptions = []gate.Exception{exception("hotfix", "ana", "bo")}
	if v := gate.Decide(r); !v.Allowed || v.Exception != nil {
		t.Errorf("allowed %v by exception %+v", v.Allowed, v.Exception)
	}
}

func TestExceptionsIgnored(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*gate.Request)
		want   gate.Code // besides what is missing; none where the exception isn't about it
	}{
		"another digest":         {func(r *gate.Request) { r.Exceptions[0].Spec.Digest = digestOf("other") }, ""},
		"another namespace":      {func(r *gate.Request) { r.Exceptions[0].Spec.Namespaces = []string{"blog"} }, gate.ExceptionElsewhere},
		"no namespace":           {func(r *gate.Request) { r.Namespace = "" }, gate.ExceptionElsewhere},
		"a Gate that takes none": {func(r *gate.Request) { r.Gate.Spec.Exceptions = nil }, gate.ExceptionRefused},
		"it ends now":            {func(r *gate.Request) { r.Now = now.Add(time.Second) }, gate.ExceptionExpired},
		"no end":                 {func(r *gate.Request) { r.Exceptions[0].Spec.ExpiresAt = metav1.Time{} }, gate.ExceptionExpired},
		"one signer of two":      {func(r *gate.Request) { r.Exceptions[0].Evidence = r.Exceptions[0].Evidence[:1] }, gate.ExceptionUnsigned},
		"one person twice": {func(r *gate.Request) {
			r.Exceptions[0].Evidence[1] = r.Exceptions[0].Evidence[0]
		}, gate.ExceptionUnsigned},
		"a signer who doesn't count": {func(r *gate.Request) { r.Exceptions[0].Evidence[1].Signer = "ci" }, gate.ExceptionUnsigned},
		"a statement for another namespace": {func(r *gate.Request) {
			r.Exceptions[0].Evidence[1].Permission.Namespace = "blog"
		}, gate.ExceptionUnsigned},
		"a statement that has ended": {func(r *gate.Request) { r.Exceptions[0].Evidence[1].Permission.ExpiresAt = &now }, gate.ExceptionUnsigned},
		"a statement without end":    {func(r *gate.Request) { r.Exceptions[0].Evidence[1].Permission.ExpiresAt = nil }, gate.ExceptionUnsigned},
		"a statement of another type": {func(r *gate.Request) {
			r.Exceptions[0].Evidence[1].PredicateType = gate.PredicateApproval
		}, gate.ExceptionUnsigned},
		"statements next to the image only": {func(r *gate.Request) {
			r.Evidence, r.Exceptions = r.Exceptions[0].Evidence, nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := unproven("ana", "bo")
			test.change(&r)
			v := gate.Decide(r)
			if v.Allowed || v.Exception != nil || !slices.Contains(codesOf(v), gate.NoSignature) {
				t.Fatalf("allowed %v by %+v: %v", v.Allowed, v.Exception, codesOf(v))
			}
			if test.want != "" && !slices.Contains(codesOf(v), test.want) {
				t.Errorf("codes %v, want %s", codesOf(v), test.want)
			}
		})
	}
}

func TestExceptionDoesNotLiftRecall(t *testing.T) {
	for name, change := range map[string]func(*gate.Request){
		"a Recall":         func(r *gate.Request) { r.Recalls = []v1alpha1.Recall{recallOf(digest)} },
		"another stamp":    func(r *gate.Request) { r.Stamps.Environment = "staging" },
		"a field unknown":  func(r *gate.Request) { r.Unknown = []string{".spec.requires.quorum"} },
		"a Gate in error":  func(r *gate.Request) { r.Gate.Spec.Namespaces = nil },
		"an image unknown": func(r *gate.Request) { r.Image.Repository = "registry.example.com/blog/web" },
	} {
		t.Run(name, func(t *testing.T) {
			r := unproven("ana", "bo")
			change(&r)
			if v := gate.Decide(r); v.Allowed || v.Exception != nil {
				t.Errorf("allowed %v by %+v", v.Allowed, v.Exception)
			}
		})
	}
}

func TestExceptionExpiryKeepsRunningImages(t *testing.T) {
	r := unproven("ana", "bo")
	r.Now, r.Rescheduled = now.Add(day), true
	if v := gate.Decide(r); !v.Allowed || v.Exception == nil {
		t.Errorf("denied: %+v", v.Reasons)
	}
}
