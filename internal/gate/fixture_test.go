package gate_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

const (
	repository = "registry.example.com/shop/web"
	day        = 24 * time.Hour
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest = digestOf("the image")
	chart  = digestOf("the chart")
)

func digestOf(text string) string {
	const hexDigits = "0123456789abcdef"
	sum := sha256.Sum256([]byte(text))
	var hex strings.Builder
	for _, b := range sum {
		hex.WriteByte(hexDigits[b>>4])
		hex.WriteByte(hexDigits[b&15])
	}
	return "sha256:" + hex.String()
}

// publicKey returns a different key for each name.
func publicKey(name string) string {
	seed := sha256.Sum256([]byte(name))
	der, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func trusted(name string) v1alpha1.Signer {
	return v1alpha1.Signer{Name: name, Key: &v1alpha1.KeySigner{Data: publicKey(name)}, Time: v1alpha1.TimeTrustSigner}
}

func asked(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }

func upTo(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

// fullGate asks for everything that this version judges.
func fullGate() *v1alpha1.Gate {
	g := &v1alpha1.Gate{Spec: v1alpha1.GateSpec{
		Environment: "prod",
		Namespaces:  []string{"shop"},
		Action:      v1alpha1.ActionDeny,
		Images:      []v1alpha1.GateImage{{Repository: "registry.example.com/shop/*", Ladder: "shop"}},
		Signers: []v1alpha1.Signer{
			{Name: "ci", Key: &v1alpha1.KeySigner{Data: publicKey("ci")}},
			trusted("observer"), trusted("e2e"), trusted("ana"), trusted("bo"),
		},
		Requires: v1alpha1.Requirements{
			Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}},
			SBOM:      &v1alpha1.SBOMRequirement{By: []string{"ci"}},
			Soak: &v1alpha1.SoakRequirement{
				By: []string{"observer"}, Environment: "staging", Duration: asked(day),
				MaxAge: upTo(30 * day), MaxGap: upTo(5 * time.Minute), MaxRestarts: new(int32(3)), MinReady: new(int32(2)),
				Chart: v1alpha1.ChartSame,
			},
			Tests: []v1alpha1.TestRequirement{
				{Name: "e2e", By: []string{"e2e"}},
				{Name: "load", By: []string{"e2e"}, MaxAge: upTo(7 * day)},
			},
			Approvals: &v1alpha1.ApprovalRequirement{By: []string{"ana", "bo"}, Count: 1, MaxAge: upTo(7 * day)},
			Provenance: &v1alpha1.ProvenanceRequirement{
				By: []string{"ci"}, Builder: builder,
				Source: &v1alpha1.ProvenanceSource{Repository: "https://github.com/example/shop", Ref: "refs/heads/main"},
			},
		},
		Exceptions: &v1alpha1.ExceptionPolicy{By: []string{"ana", "bo"}, Count: 2},
	}}
	g.Name, g.Generation = "shop-prod", 3
	return g
}

// Places in proven's evidence.
const (
	theSignature = iota
	theSBOM
	theSoak
	theE2E
	theLoad
	theApproval
	theProvenance
)

// proven returns a request that is allowed, with nothing to spare where a figure is asked.
func proven() gate.Request {
	return gate.Request{
		Gate:  fullGate(),
		Image: gate.Image{Repository: repository, Digest: digest, Ladder: "shop"},

		Namespace: "shop",
		Stamps:    gate.Stamps{Ladder: "shop", Environment: "prod", ChartDigest: chart},
		Evidence: []gate.Evidence{
			{Signer: "ci", PredicateType: gate.PredicateSignature, Source: digestOf("signature")},
			{Signer: "ci", PredicateType: gate.PredicateSPDX, Source: digestOf("sbom")},
			{Signer: "observer", PredicateType: gate.PredicateSoak, Source: digestOf("soak"), Soak: soaked(24 * 3600)},
			{Signer: "e2e", PredicateType: gate.PredicateTest, Source: digestOf("e2e"), Test: passed("e2e")},
			{Signer: "e2e", PredicateType: gate.PredicateTest, Source: digestOf("load"), Test: passed("load")},
			{Signer: "ana", PredicateType: gate.PredicateApproval, Source: digestOf("approval"), Approval: approved()},
			{Signer: "ci", PredicateType: gate.PredicateProvenance, Source: digestOf("provenance"), Provenance: built(builder, sourceURI)},
		},
		Now: now,
	}
}

// soaked returns a soak of so many healthy seconds in 25 hours that ended an hour ago.
func soaked(seconds int64) *gate.Soak {
	return &gate.Soak{
		Ladder: "shop", Environment: "staging",
		Image: gate.SoakImage{Repository: repository},
		Chart: gate.SoakChart{Digest: chart},
		Window: gate.SoakWindow{
			StartedAt: now.Add(-26 * time.Hour), FinishedAt: new(now.Add(-time.Hour)),
			HealthySeconds: seconds, LongestHealthySeconds: seconds / 2,
			LongestGapSeconds: 300, MinReady: 2, Restarts: 3,
			Interruptions:      []gate.Interruption{{From: now.Add(-20 * time.Hour), To: now.Add(-19 * time.Hour), Reason: "Degraded"}},
			InterruptedSeconds: 3600,
		},
	}
}

func passed(suite string) *gate.Test {
	return &gate.Test{
		Result: "PASSED", Configuration: []gate.TestConfiguration{{Name: suite}},
		PassedTests: []string{"checkout"}, FinishedAt: new(now.Add(-7 * day)),
	}
}

func approved() *gate.Approval {
	return &gate.Approval{Ladder: "shop", Environment: "prod", ApprovedAt: new(now.Add(-7 * day)), ExpiresAt: new(now.Add(time.Second))}
}

const (
	builder   = "https://github.com/actions/runner/github-hosted"
	sourceURI = "git+https://github.com/example/shop@refs/heads/main"
)

// built returns the provenance of a build of one source.
func built(builder, uri string) *gate.Provenance {
	p := &gate.Provenance{}
	p.RunDetails.Builder.ID = builder
	p.BuildDefinition.ResolvedDependencies = []gate.ResolvedDependency{{URI: uri}}
	return p
}

// exception lets the image run in shop for another second, by the word of these.
func exception(name string, by ...string) gate.Exception {
	end := now.Add(time.Second)
	x := gate.Exception{Name: name, Spec: v1alpha1.ExceptionSpec{
		Digest: digest, Namespaces: []string{"shop"}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end),
	}}
	for _, signer := range by {
		x.Evidence = append(x.Evidence, gate.Evidence{
			Signer: signer, PredicateType: gate.PredicateException, Source: digestOf(name + signer),
			Permission: &gate.Permission{Namespace: "shop", Reason: "incident 117", ExpiresAt: &end},
		})
	}
	return x
}

func codesOf(v gate.Verdict) []gate.Code {
	codes := []gate.Code{}
	for _, reason := range v.Reasons {
		codes = append(codes, reason.Code)
	}
	return codes
}

func TestDecideAllowsProven(t *testing.T) {
	if v := gate.Decide(proven()); !v.Allowed {
		t.Fatalf("denied: %+v", v.Reasons)
	}
}

type asking = metav1.Duration
