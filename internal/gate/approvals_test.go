package gate_test

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

func keyless(name string, subjects ...string) v1alpha1.Signer {
	return v1alpha1.Signer{Name: name, Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", Subjects: subjects}}
}

func TestThresholdCountsPeople(t *testing.T) {
	type word struct{ signer, identity, key string }
	for name, test := range map[string]struct {
		signers []v1alpha1.Signer
		words   []word
		want    int
	}{
		"two keys":                      {[]v1alpha1.Signer{trusted("ana"), trusted("bo")}, []word{{"ana", "", "a"}, {"bo", "", "b"}}, 2},
		"a key twice":                   {[]v1alpha1.Signer{trusted("ana")}, []word{{"ana", "", "a"}, {"ana", "", "a"}}, 1},
		"a key under two names":         {[]v1alpha1.Signer{trusted("ana"), {Name: "kms", KMS: "hashivault://a", Time: v1alpha1.TimeTrustSigner}}, []word{{"ana", "", "a"}, {"kms", "", "a"}}, 1},
		"two subjects of one signer":    {[]v1alpha1.Signer{keyless("managers", "ana@example.com", "bo@example.com")}, []word{{"managers", "ana@example.com", ""}, {"managers", "bo@example.com", ""}}, 2},
		"one subject twice":             {[]v1alpha1.Signer{keyless("managers", "ana@example.com", "bo@example.com")}, []word{{"managers", "ana@example.com", ""}, {"managers", "ana@example.com", ""}}, 1},
		"one subject, two signers":      {[]v1alpha1.Signer{keyless("managers", "ana@example.com"), keyless("oncall", "ana@example.com")}, []word{{"managers", "ana@example.com", ""}, {"oncall", "ana@example.com", ""}}, 1},
		"one subject in other letters":  {[]v1alpha1.Signer{keyless("managers", "ana@example.com"), keyless("oncall", "Ana@example.com")}, []word{{"managers", "ana@example.com", ""}, {"oncall", "Ana@example.com", ""}}, 1},
		"a person's old and new key":    {[]v1alpha1.Signer{ofPerson(trusted("ana-1"), "ana"), ofPerson(trusted("ana-2"), "ana")}, []word{{"ana-1", "", "a"}, {"ana-2", "", "b"}}, 1},
		"a person's key and identity":   {[]v1alpha1.Signer{ofPerson(trusted("ana"), "ana@example.com"), keyless("managers", "ana@example.com")}, []word{{"ana", "", "a"}, {"managers", "ana@example.com", ""}}, 1},
		"different people's key, in it": {[]v1alpha1.Signer{ofPerson(trusted("ana"), "ana@example.com"), keyless("managers", "bo@example.com")}, []word{{"ana", "", "a"}, {"managers", "bo@example.com", ""}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			for _, count := range []int32{1, 2} {
				r := proven()
				r.Evidence = slices.Delete(slices.Clone(r.Evidence), theApproval, theApproval+1)
				r.Gate.Spec.Exceptions = nil
				r.Gate.Spec.Signers = append(slices.Clone(r.Gate.Spec.Signers[:3]), test.signers...)
				by := []string{}
				for _, signer := range test.signers {
					by = append(by, signer.Name)
				}
				// A Gate that asks for more people than it names isn't judged by; a
				// pattern has any number of them.
				r.Gate.Spec.Signers = append(r.Gate.Spec.Signers, v1alpha1.Signer{
					Name: "others", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", SubjectPattern: "other@.*"},
				})
				r.Gate.Spec.Requires.Approvals = &v1alpha1.ApprovalRequirement{By: append(by, "others"), Count: count}
				for _, w := range test.words {
					r.Evidence = append(r.Evidence, gate.Evidence{Signer: w.signer, Identity: w.identity, Key: w.key, PredicateType: gate.PredicateApproval, Approval: approved()})
				}
				if v := gate.Decide(r); v.Allowed != (test.want >= int(count)) {
					t.Errorf("of %d: allowed %v: %+v", count, v.Allowed, v.Reasons)
				}
			}
		})
	}
}

func ofPerson(s v1alpha1.Signer, person string) v1alpha1.Signer {
	s.Person = person
	return s
}

func TestSignerNotAfter(t *testing.T) {
	end := now.Add(-time.Hour)
	for name, test := range map[string]struct {
		signed      time.Time
		now         time.Time
		rescheduled bool
		want        bool
	}{
		"before the end, no proven time":         {now: end, want: true},
		"after the end, no proven time":          {now: end.Add(1), want: false},
		"after the end, runs already":            {now: end.Add(1), rescheduled: true, want: true},
		"proven to be before the end":            {signed: end, now: now, want: true},
		"proven to be after the end":             {signed: end.Add(1), now: now, want: false},
		"proven to be after it, runs already":    {signed: end.Add(1), now: now, rescheduled: true, want: false},
		"the end is to come, proven to be later": {signed: end.Add(1), now: end, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			r := proven()
			r.Gate.Spec.Signers[0].NotAfter = new(metav1.NewTime(end))
			r.Now, r.Rescheduled = test.now, test.rescheduled
			// Those that state times are moved along.
			r.Gate.Spec.Requires.Soak.MaxAge, r.Gate.Spec.Requires.Tests[1].MaxAge, r.Gate.Spec.Requires.Approvals.MaxAge = nil, nil, nil
			r.Gate.Spec.Requires.SBOM, r.Gate.Spec.Requires.Provenance = nil, nil
			r.Evidence[theSignature].Signed = test.signed
			v := gate.Decide(r)
			if v.Allowed != test.want || !test.want && !slices.Equal(codesOf(v), []gate.Code{gate.SignerEnded}) {
				t.Errorf("allowed %v: %+v", v.Allowed, v.Reasons)
			}
		})
	}
}

func TestApprovalKeyRotation(t *testing.T) {
	r := proven()
	r.Gate.Spec.Signers[0].NotAfter = new(metav1.NewTime(now.Add(-time.Hour)))
	r.Gate.Spec.Signers = append(r.Gate.Spec.Signers, trusted("ci-2"))
	needs := &r.Gate.Spec.Requires
	needs.Signature.By, needs.SBOM, needs.Provenance = []string{"ci", "ci-2"}, nil, nil
	if v := gate.Decide(r); v.Allowed {
		t.Fatal("allowed by the old key alone")
	}
	r.Evidence = append(r.Evidence, gate.Evidence{Signer: "ci-2", PredicateType: gate.PredicateSignature})
	if v := gate.Decide(r); !v.Allowed {
		t.Errorf("denied: %+v", v.Reasons)
	}
}
