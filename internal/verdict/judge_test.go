package verdict_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/verdict"
)

// fixture is a registry with an image, signers, and a judge.
type fixture struct {
	server       *registrytest.Server
	client       *registry.Client
	judge        *verdict.Judge
	digest       string
	ci, observer *evidence.Signer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{server: registrytest.Start(t, registrytest.WithReferrers), client: registry.NewClient(), ci: newKey(t), observer: newKey(t)}
	w.judge = verdict.New(evidence.NewStore(w.client, evidence.NewTrust(evidence.TrustOptions{})))
	w.digest = w.server.Image(t, "shop/web")
	return w
}

func newKey(t *testing.T) *evidence.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	loaded, err := signature.LoadDefaultSignerVerifier(private)
	check(t, err)
	signer, err := evidence.NewSigner(loaded)
	check(t, err)
	return signer
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// gate asks for a signature by ci and a day's soak in staging by observer.
func (w *fixture) gate(change ...func(*v1alpha1.GateSpec)) verdict.Gate {
	g := &v1alpha1.Gate{ObjectMeta: metav1.ObjectMeta{Name: "shop-prod"}, Spec: v1alpha1.GateSpec{
		Environment:  "prod",
		Namespaces:   []string{"shop"},
		Images:       []v1alpha1.GateImage{{Repository: w.server.Name("shop/*"), Ladder: "shop", Mirrors: []string{"mirror.example.com/shop/*"}}},
		ExemptImages: []v1alpha1.ExemptImage{{Repository: "docker.io/istio/*", Tags: v1alpha1.TagsAllow}, {Repository: "docker.io/library/redis"}},
		Signers: []v1alpha1.Signer{
			{Name: "ci", Key: &v1alpha1.KeySigner{Data: w.ci.PublicPEM()}, Time: v1alpha1.TimeTrustSigner},
			{Name: "observer", Key: &v1alpha1.KeySigner{Data: w.observer.PublicPEM()}, Time: v1alpha1.TimeTrustSigner},
		},
		Requires: v1alpha1.Requirements{
			Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}},
			Soak:      &v1alpha1.SoakRequirement{By: []string{"observer"}, Environment: "staging", Duration: metav1.Duration{Duration: 24 * time.Hour}},
		},
	}}
	for _, c := range change {
		c(&g.Spec)
	}
	g.SetDefaults()
	return verdict.Gate{Gate: g}
}

func (w *fixture) attest(t *testing.T, signer *evidence.Signer, predicateType string, predicate any) {
	t.Helper()
	target, err := evidence.FindTarget(t.Context(), w.client, w.server.Name("shop/web"), w.digest)
	check(t, err)
	_, err = evidence.Attest(t.Context(), w.client, signer, target, predicateType, predicate)
	check(t, err)
}

func soak(hours int) gate.Soak {
	end := now.Add(-time.Hour)
	seconds := int64(hours) * 3600
	return gate.Soak{Ladder: "shop", Environment: "staging", Window: gate.SoakWindow{
		StartedAt: end.Add(-time.Duration(hours) * time.Hour), FinishedAt: &end,
		HealthySeconds: seconds, LongestHealthySeconds: seconds, MinReady: 2,
	}}
}

// prove gives the image what the gate asks for.
func (w *fixture) prove(t *testing.T) {
	t.Helper()
	w.attest(t, w.ci, gate.PredicateSignature, json.RawMessage("{}"))
	w.attest(t, w.observer, gate.PredicateSoak, soak(24))
}

func (w *fixture) ask(t *testing.T, reference string, gates ...verdict.Gate) []verdict.GateVerdict {
	t.Helper()
	return w.judge.Judge(t.Context(), verdict.Query{Gates: gates, Reference: reference, Now: now})
}

func (w *fixture) image() string { return w.server.Name("shop/web@" + w.digest) }

// codes of an result; none where it is allowed.
func codes(result verdict.GateVerdict) []gate.Code {
	var all []gate.Code
	for _, reason := range result.Reasons {
		all = append(all, reason.Code)
	}
	if result.Allowed != (len(all) == 0) {
		panic("allowed with reasons, or denied without")
	}
	return slices.Compact(all)
}

func wantCodes(t *testing.T, verdicts []verdict.GateVerdict, want ...[]gate.Code) {
	t.Helper()
	got := make([][]gate.Code, len(verdicts))
	for i, result := range verdicts {
		got[i] = codes(result)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes (-want +got):\n%s\n%+v", diff, verdicts)
	}
}

type c = []gate.Code

var allowed c

func TestJudgeAllowsWithCompleteProof(t *testing.T) {
	w := newFixture(t)
	wantCodes(t, w.ask(t, w.image(), w.gate()), c{gate.NoSignature, gate.NoSoak})
	w.attest(t, w.ci, gate.PredicateSignature, json.RawMessage("{}"))
	wantCodes(t, w.ask(t, w.image(), w.gate()), c{gate.NoSoak})
	w.attest(t, w.observer, gate.PredicateSoak, soak(6))
	wantCodes(t, w.ask(t, w.image(), w.gate()), c{gate.SoakTooShort})
	w.attest(t, w.observer, gate.PredicateSoak, soak(24))
	wantCodes(t, w.ask(t, w.image(), w.gate()), allowed)
}

func TestJudgeIgnoresSoakByBuilder(t *testing.T) {
	w := newFixture(t)
	w.attest(t, w.ci, gate.PredicateSoak, soak(24))
	w.attest(t, w.observer, gate.PredicateSignature, json.RawMessage("{}"))
	verdicts := w.ask(t, w.image(), w.gate())
	if verdicts[0].Allowed {
		t.Fatalf("allowed: %+v", verdicts)
	}
	for _, reason := range verdicts[0].Reasons {
		if reason.Code != gate.WrongSigner && reason.Code != gate.NoSignature && reason.Code != gate.NoSoak {
			t.Errorf("reason %+v", reason)
		}
	}
}

func TestJudgeIgnoresTagWithDigest(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	other := w.server.Image(t, "shop/web")
	w.server.Tag(t, "shop/web", "v1", other)
	wantCodes(t, w.ask(t, w.server.Name("shop/web:v1@"+w.digest), w.gate()), allowed)
	w.server.Tag(t, "shop/web", "v2", w.digest)
	wantCodes(t, w.ask(t, w.server.Name("shop/web:v2@"+other), w.gate()), c{gate.NoSignature, gate.NoSoak})
}

func TestJudgeDeniesTag(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	w.server.Tag(t, "shop/web", "v1", w.digest)
	for _, reference := range []string{"shop/web:v1", "shop/web"} {
		verdicts := w.ask(t, w.server.Name(reference), w.gate())
		wantCodes(t, verdicts, c{gate.NoDigest})
		if verdicts[0].Image != w.server.Name(reference) {
			t.Errorf("the verdict names %q", verdicts[0].Image)
		}
	}
}

func TestJudgeFetchesEvidenceFromGateRepository(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	verdicts := w.ask(t, "mirror.example.com/shop/web@"+w.digest, w.gate())
	wantCodes(t, verdicts, allowed)
	if verdicts[0].Image != w.image() {
		t.Errorf("judged as %s, want %s", verdicts[0].Image, w.image())
	}
	// The mirror's path must be the Gate's: another name is another repository.
	wantCodes(t, w.ask(t, "mirror.example.com/shop/other@"+w.digest, w.gate()), c{gate.NoSignature, gate.NoSoak})
}

func TestJudgeDeniesUnlistedReference(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	for _, reference := range []string{
		w.server.Name("shop/web/extra@" + w.digest), // a `*` is one element
		w.server.Name("shop@" + w.digest),
		w.server.Name("shopping/web@" + w.digest),
		"mirror.example.com/web@" + w.digest,
		"evil.example.com/shop/web@" + w.digest,
		w.server.Host + ".evil.example.com/shop/web@" + w.digest,
		"docker.io/istio/proxyv2/extra:1.24",
		"nginx@" + w.digest,
		"169.254.169.254/shop/web@" + w.digest,
		w.server.Name("shop/web@sha256:" + strings.ToUpper(strings.TrimPrefix(w.digest, "sha256:"))),
		w.server.Name("shop/web@" + w.digest[:len(w.digest)-1]),
		w.server.Name("shop/../shop/web@" + w.digest),
		"",
		"\x1b[31mred\x1b[0m\r\nallowed",
	} {
		verdicts := w.ask(t, reference, w.gate())
		wantCodes(t, verdicts, c{gate.UnknownImage})
		for _, text := range []string{verdicts[0].Image, verdicts[0].Reasons[0].Message} {
			if strings.ContainsAny(text, "\x1b\r\n") {
				t.Errorf("%q has control characters", text)
			}
		}
	}
}

// TestJudgeIstioPlaceholder checks that a pod which Istio didn't inject is denied even if a Gate
// exempts the image that its placeholder would name.
func TestJudgeIstioPlaceholder(t *testing.T) {
	w := newFixture(t)
	for name, g := range map[string]verdict.Gate{
		"not listed": w.gate(),
		"exempted": w.gate(func(spec *v1alpha1.GateSpec) {
			spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: "docker.io/library/auto", Tags: v1alpha1.TagsAllow}}
		}),
		"listed": w.gate(func(spec *v1alpha1.GateSpec) { spec.Images[0].Repository = "docker.io/library/auto" }),
	} {
		t.Run(name, func(t *testing.T) {
			wantCodes(t, w.ask(t, "auto", g), c{gate.NotInjected})
		})
	}
	wantCodes(t, w.ask(t, "auto:latest", w.gate()), c{gate.UnknownImage})
}

func TestJudgeExemptsImagesUnlessRecalled(t *testing.T) {
	w := newFixture(t)
	digest := "sha256:" + strings.Repeat("1", 64)
	wantCodes(t, w.ask(t, "istio/proxyv2:1.24", w.gate()), allowed)
	wantCodes(t, w.ask(t, "docker.io/istio/proxyv2@"+digest, w.gate()), allowed)
	wantCodes(t, w.ask(t, "index.docker.io/istio/proxyv2", w.gate()), allowed)
	wantCodes(t, w.ask(t, "redis@"+digest, w.gate()), allowed)
	wantCodes(t, w.ask(t, "redis:7", w.gate()), c{gate.NoDigest}) // tags: Deny is the default

	recalled := verdict.Query{
		Gates: []verdict.Gate{w.gate()}, Reference: "redis:7@" + digest, Now: now,
		Recalls: []v1alpha1.Recall{{ObjectMeta: metav1.ObjectMeta{Name: "bad-redis"}, Spec: v1alpha1.RecallSpec{Digests: []string{digest}, Reason: "CVE"}}},
	}
	wantCodes(t, w.judge.Judge(t.Context(), recalled), c{gate.Recalled})
}

func TestJudgeChecksRecallEveryTime(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	wantCodes(t, w.ask(t, w.image(), w.gate()), allowed)
	recalls := []v1alpha1.Recall{{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: v1alpha1.RecallSpec{Digests: []string{w.digest}, Reason: "leaks"}}}
	query := verdict.Query{Gates: []verdict.Gate{w.gate()}, Reference: w.image(), Now: now, Recalls: recalls, Rescheduled: true}
	wantCodes(t, w.judge.Judge(t.Context(), query), c{gate.Recalled})
}

func TestJudgeUnavailableRegistry(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	unproven := w.server.Image(t, "shop/web")
	wantCodes(t, w.ask(t, w.image(), w.gate()), allowed)
	w.server.Stop()

	t.Run("what is proven stays allowed", func(t *testing.T) {
		wantCodes(t, w.ask(t, w.image(), w.gate()), allowed)
	})
	t.Run("what isn't is denied, and the registry is named", func(t *testing.T) {
		verdicts := w.ask(t, w.server.Name("shop/web@"+unproven), w.gate())
		// Whether it has proof isn't known, so no one is asked to attest any.
		wantCodes(t, verdicts, c{gate.RegistryUnavailable})
		if message := verdicts[0].Reasons[0].Message; !strings.Contains(message, w.server.Name("shop/web")) {
			t.Errorf("message %q", message)
		}
	})
	t.Run("age is looked at every time", func(t *testing.T) {
		aged := w.gate(func(spec *v1alpha1.GateSpec) {
			spec.Requires.Soak.MaxAge = &metav1.Duration{Duration: 24 * time.Hour}
		})
		query := verdict.Query{Gates: []verdict.Gate{aged}, Reference: w.image(), Now: now}
		wantCodes(t, w.judge.Judge(t.Context(), query), allowed)
		query.Now = now.Add(48 * time.Hour)
		wantCodes(t, w.judge.Judge(t.Context(), query), c{gate.RegistryUnavailable, gate.SoakTooOld})
		query.Rescheduled = true
		wantCodes(t, w.judge.Judge(t.Context(), query), allowed)
	})
	t.Run("a key that left takes its evidence along", func(t *testing.T) {
		rotated := w.gate(func(spec *v1alpha1.GateSpec) { spec.Signers[0].Key = &v1alpha1.KeySigner{Data: newKey(t).PublicPEM()} })
		verdicts := w.ask(t, w.image(), rotated)
		wantCodes(t, verdicts, c{gate.RegistryUnavailable})
	})
	t.Run("what needs no proof is said too", func(t *testing.T) {
		query := verdict.Query{
			Gates: []verdict.Gate{w.gate()}, Reference: w.server.Name("shop/web@" + unproven), Now: now,
			Stamps:  gate.Stamps{Environment: "staging"},
			Recalls: []v1alpha1.Recall{{Spec: v1alpha1.RecallSpec{Digests: []string{unproven}, Reason: "leaks"}}},
		}
		wantCodes(t, w.judge.Judge(t.Context(), query), c{gate.OtherStamp, gate.Recalled, gate.RegistryUnavailable})
	})
}

func TestJudgeDeniesAfterDeadline(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	defer close(hang)
	w.server.Before(func(http.ResponseWriter, *http.Request) bool {
		cancel()
		<-hang
		return true
	})
	verdicts := w.judge.Judge(ctx, verdict.Query{Gates: []verdict.Gate{w.gate()}, Reference: w.image(), Now: now})
	wantCodes(t, verdicts, c{gate.RegistryUnavailable})
}

func TestJudgeReportsMissingWithReadError(t *testing.T) {
	w := newFixture(t)
	w.attest(t, w.ci, gate.PredicateSignature, json.RawMessage("{}"))
	broken := w.server.Attach(t, "shop/web", w.digest, "application/vnd.dev.sigstore.bundle.v0.3+json", []byte("{}"), nil)
	w.server.Before(func(response http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, broken) {
			response.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	wantCodes(t, w.ask(t, w.image(), w.gate()), c{gate.NoSoak, gate.RegistryUnavailable})
}

func TestJudgeReportsTooLargeProof(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	w.server.Attach(t, "shop/web", w.digest, "application/vnd.dev.sigstore.bundle.v0.3+json", make([]byte, 11<<20), nil)
	wantCodes(t, w.ask(t, w.image(), w.gate()), allowed) // it isn't needed
	verdicts := w.ask(t, w.image(), w.gate(func(spec *v1alpha1.GateSpec) {
		spec.Requires.SBOM = &v1alpha1.SBOMRequirement{By: []string{"ci"}}
	}))
	wantCodes(t, verdicts, c{gate.NoSBOM, gate.ProofTooLarge})
	if message := verdicts[0].Reasons[1].Message; !strings.Contains(message, "an attestation of 11 MiB is over the bound of 10 MiB and wasn't read") {
		t.Errorf("message %q", message)
	}
}

// panicking is a Source that panics about one repository.
type panicking struct {
	verdict.Source

	repository string
}

func (p panicking) Known(ctx context.Context, query evidence.Query) []gate.Evidence {
	if query.Image.Repository == p.repository {
		panic("a nil map")
	}
	return p.Source.Known(ctx, query)
}

func TestJudgeDeniesOnPanic(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	judge := verdict.New(panicking{evidence.NewStore(w.client, evidence.NewTrust(evidence.TrustOptions{})), w.server.Name("other/web")})
	other := w.gate(func(spec *v1alpha1.GateSpec) {
		spec.Images = []v1alpha1.GateImage{{Repository: w.server.Name("other/*"), Mirrors: []string{w.server.Name("shop/*")}}}
	})
	verdicts := judge.Judge(t.Context(), verdict.Query{Gates: []verdict.Gate{w.gate(), other}, Reference: w.image(), Now: now})
	wantCodes(t, verdicts, allowed, c{gate.InternalError})
	if verdicts[1].Action != v1alpha1.ActionDeny {
		t.Errorf("%+v", verdicts[1])
	}
}

// panickingTransport panics on each request.
type panickingTransport struct{}

func (panickingTransport) RoundTrip(*http.Request) (*http.Response, error) { panic("a header") }

func TestJudgeDeniesOnTransportPanic(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	judge := verdict.New(evidence.NewStore(registry.NewClientOver(panickingTransport{}), evidence.NewTrust(evidence.TrustOptions{})))
	for range 2 { // no call uses what the first one left behind
		verdicts := judge.Judge(t.Context(), verdict.Query{Gates: []verdict.Gate{w.gate()}, Reference: w.image(), Now: now})
		wantCodes(t, verdicts, c{gate.InternalError})
	}
}

func TestJudgeAppliesStricterGate(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	digest := "@sha256:" + strings.Repeat("1", 64)
	withAction := func(action v1alpha1.Action, change ...func(*v1alpha1.GateSpec)) verdict.Gate {
		g := w.gate(append(change, func(spec *v1alpha1.GateSpec) { spec.Action = action })...)
		g.Name = strings.ToLower(string(action))
		return g
	}
	elsewhere := func(spec *v1alpha1.GateSpec) {
		spec.Images, spec.ExemptImages = []v1alpha1.GateImage{{Repository: "r.example.com/billing/*"}}, nil
	}
	denying := func(change ...func(*v1alpha1.GateSpec)) verdict.Gate {
		return w.gate(append([]func(*v1alpha1.GateSpec){elsewhere}, change...)...)
	}
	exempting := func(repository string) func(*v1alpha1.GateSpec) {
		return func(spec *v1alpha1.GateSpec) { spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: repository}} }
	}
	warn, audit := v1alpha1.ActionWarn, v1alpha1.ActionAudit
	for name, test := range map[string]struct {
		reference string
		gates     []verdict.Gate
		want      []c
	}{
		"listed by Audit":                    {w.image(), []verdict.Gate{withAction(audit), denying()}, []c{allowed, {gate.UnknownImage}}},
		"listed by Warn":                     {w.image(), []verdict.Gate{denying(), withAction(warn)}, []c{allowed, {gate.UnknownImage}}},
		"exempt by Audit":                    {"redis" + digest, []verdict.Gate{withAction(audit), denying()}, []c{{gate.UnknownImage}}},
		"exempt by Warn, listed by Audit":    {w.image(), []verdict.Gate{withAction(warn, elsewhere, exempting(w.server.Name("shop/*"))), withAction(audit), denying()}, []c{allowed, {gate.UnknownImage}}},
		"listed by Audit, unknown to Warn":   {w.image(), []verdict.Gate{withAction(audit), denying(func(spec *v1alpha1.GateSpec) { spec.Action = warn })}, []c{allowed, {gate.UnknownImage}}},
		"listed by both":                     {w.image(), []verdict.Gate{withAction(audit), w.gate()}, []c{allowed, allowed}},
		"listed by Audit, exempt by Deny":    {w.image(), []verdict.Gate{withAction(audit), denying(exempting(w.server.Name("shop/*")))}, []c{allowed}},
		"exempt by Deny, only with a digest": {w.server.Name("shop/web"), []verdict.Gate{withAction(audit), denying(exempting(w.server.Name("shop/*")))}, []c{{gate.NoDigest}, {gate.NoDigest}}},
		"listed by Deny, not by Audit":       {w.image(), []verdict.Gate{denying(func(spec *v1alpha1.GateSpec) { spec.Action = audit }), w.gate()}, []c{allowed}},
		"listed by one Deny, not by another": {w.image(), []verdict.Gate{denying(), w.gate()}, []c{allowed}},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts := w.ask(t, test.reference, test.gates...)
			wantCodes(t, verdicts, test.want...)
			for _, result := range verdicts {
				if slices.Contains(codes(result), gate.UnknownImage) && result.Gate.Name != "shop-prod" {
					t.Errorf("denied by Gate %s", result.Gate.Name)
				}
			}
		})
	}
}

func TestJudgeAllowsSufficientProofDespiteReadErrors(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	broken := w.server.Attach(t, "shop/web", w.digest, "application/vnd.dev.sigstore.bundle.v0.3+json", []byte("{}"), nil)
	w.server.Before(func(response http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, broken) {
			response.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	wantCodes(t, w.ask(t, w.image(), w.gate()), allowed)
}

func TestJudgeAppliesEveryGateOfImage(t *testing.T) {
	w := newFixture(t)
	w.attest(t, w.ci, gate.PredicateSignature, json.RawMessage("{}"))
	lenient := w.gate(func(spec *v1alpha1.GateSpec) { spec.Requires.Soak, spec.Action = nil, v1alpha1.ActionWarn })
	lenient.Name = "lenient"
	strict := w.gate()
	elsewhere := w.gate(func(spec *v1alpha1.GateSpec) {
		spec.Images = []v1alpha1.GateImage{{Repository: "r.example.com/billing/*"}}
	})
	elsewhere.Name = "elsewhere"

	verdicts := w.ask(t, w.image(), lenient, elsewhere, strict)
	wantCodes(t, verdicts, allowed, c{gate.NoSoak})
	if verdicts[0].Gate.Name != "lenient" || verdicts[0].Action != v1alpha1.ActionWarn || verdicts[1].Gate.Name != "shop-prod" || verdicts[1].Action != v1alpha1.ActionDeny {
		t.Errorf("%+v", verdicts)
	}
}

func TestJudgeDeniesForUnusableGate(t *testing.T) {
	w := newFixture(t)
	w.prove(t)
	elsewhere := func(spec *v1alpha1.GateSpec) {
		spec.Images = []v1alpha1.GateImage{{Repository: "r.example.com/billing/*"}}
	}
	newer := w.gate(elsewhere)
	newer.Unknown = []string{".spec.requires.quorum"}
	wantCodes(t, w.ask(t, w.image(), w.gate(), newer), allowed, c{gate.Unsupported})
	wantCodes(t, w.ask(t, "istio/proxyv2:1.24", w.gate(), newer), c{gate.Unsupported})

	strange := w.gate(elsewhere, func(spec *v1alpha1.GateSpec) { spec.Signers[0].Time = "Guess" })
	verdicts := w.ask(t, w.image(), strange)
	if verdicts[0].Allowed || !slices.Contains(codes(verdicts[0]), gate.Unsupported) {
		t.Errorf("%+v", verdicts)
	}

	broken := w.gate(func(spec *v1alpha1.GateSpec) { spec.Signers[1].Key.Data = "not a key" })
	verdicts = w.ask(t, w.image(), broken)
	if verdicts[0].Allowed || !slices.Contains(codes(verdicts[0]), gate.GateInvalid) {
		t.Errorf("%+v", verdicts)
	}
}

func TestJudgeUnknownImageUnderStrictestGate(t *testing.T) {
	w := newFixture(t)
	audit := w.gate(func(spec *v1alpha1.GateSpec) { spec.Action = v1alpha1.ActionAudit })
	audit.Name = "audit"
	warn := w.gate(func(spec *v1alpha1.GateSpec) { spec.Action = v1alpha1.ActionWarn })
	warn.Name = "warn"
	verdicts := w.ask(t, "evil.example.com/web:1", audit, warn)
	wantCodes(t, verdicts, c{gate.UnknownImage})
	if verdicts[0].Action != v1alpha1.ActionWarn || verdicts[0].Gate.Name != "warn" {
		t.Errorf("%+v", verdicts)
	}
}

func TestJudgeDeniesWithoutGate(t *testing.T) {
	w := newFixture(t)
	wantCodes(t, w.ask(t, w.image()), c{gate.NoGate})
}
