package webhook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/evidence/sigstoretest"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	inToto        = "application/vnd.in-toto+json"
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// statement is an in-toto statement, valid or not.
type statement struct {
	Type          string           `json:"_type"`
	PredicateType string           `json:"predicateType"`
	Subject       []map[string]any `json:"subject"`
	Predicate     json.RawMessage  `json:"predicate"`
}

func subjectOf(algorithm, digest string) map[string]any {
	return map[string]any{"name": "shop/web", "digest": map[string]string{algorithm: digest}}
}

// envelope is the DSSE envelope of a sigstore bundle.
type envelope struct {
	Payload     []byte           `json:"payload"`
	PayloadType string           `json:"payloadType"`
	Signatures  []map[string]any `json:"signatures"`
}

// rawSigner signs any bytes, which no tool does.
type rawSigner struct{ key *ecdsa.PrivateKey }

func newRawSigner(t *testing.T) rawSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return rawSigner{key}
}

func (s rawSigner) public(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sign returns an envelope. Its signature covers the payload's type too (DSSE's "PAE").
func (s rawSigner) sign(t *testing.T, payloadType string, payload []byte) envelope {
	t.Helper()
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return envelope{payload, payloadType, []map[string]any{{"sig": signature}}}
}

// attach attaches a bundle to an image, as anyone who may push can.
func attach(t *testing.T, reference string, bundle []byte) {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	client := registry.NewClient()
	manifest, err := client.Manifest(t.Context(), repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Push(t.Context(), repository, manifest.Descriptor, registry.Artifact{Type: bundleType, Content: bundle}); err != nil {
		t.Fatal(err)
	}
}

func bundleOf(t *testing.T, signed envelope) []byte {
	t.Helper()
	bundle, err := json.Marshal(map[string]any{
		"mediaType": bundleType, "dsseEnvelope": signed, "verificationMaterial": map[string]any{"publicKey": map[string]string{"hint": "x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// TestAttachedStatements attaches soaks that differ from a valid one in one respect to images
// that CI signed.
func TestAttachedStatements(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	observer := newRawSigner(t)
	g := env.ProdGate(namespace)
	g.Spec.Signers[1].Key.Data = observer.public(t)
	env.createGate(t, g)
	other := strings.TrimPrefix(workload.DigestOf(env.Push(t, "shop/web")), "sha256:")

	signed := func(change func(*statement)) func(*testing.T, statement) envelope {
		return func(t *testing.T, s statement) envelope {
			t.Helper()
			change(&s)
			payload, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return observer.sign(t, inToto, payload)
		}
	}
	withPredicate := func(old, replacement string) func(*testing.T, statement) envelope {
		return signed(func(s *statement) {
			s.Predicate = bytes.Replace(s.Predicate, []byte(old), []byte(replacement), 1)
		})
	}
	signedThen := func(change func(*envelope)) func(*testing.T, statement) envelope {
		return func(t *testing.T, s statement) envelope {
			t.Helper()
			e := signed(func(*statement) {})(t, s)
			change(&e)
			return e
		}
	}
	missing := []gate.Code{gate.NoSoak}
	for name, test := range map[string]struct {
		make func(*testing.T, statement) envelope
		want []gate.Code
	}{
		"valid soak":                       {signed(func(*statement) {}), nil},
		"other digest":                     {signed(func(s *statement) { s.Subject = []map[string]any{subjectOf("sha256", other)} }), missing},
		"several digests, this among them": {signed(func(s *statement) { s.Subject = append([]map[string]any{subjectOf("sha256", other)}, s.Subject...) }), nil},
		"digest of other algorithm":        {signed(func(s *statement) { s.Subject = []map[string]any{subjectOf("sha512", strings.Repeat("a", 128))} }), missing},
		"other predicate type":             {signed(func(s *statement) { s.PredicateType = gate.PredicateTest }), missing},
		"unknown predicate version":        {signed(func(s *statement) { s.PredicateType = strings.Replace(s.PredicateType, "v0.1", "v0.9", 1) }), missing},
		"unknown statement type":           {signed(func(s *statement) { s.Type = strings.Replace(s.Type, "v1", "v9", 1) }), missing},
		"other environment":                {withPredicate(`"staging"`, `"dev"`), []gate.Code{gate.OtherEnvironment}},
		"other ladder":                     {withPredicate(`"ladder":"shop"`, `"ladder":"blog"`), []gate.Code{gate.OtherLadder}},
		"duplicate key":                    {withPredicate(`"ladder":"shop"`, `"ladder":"blog","ladder":"shop"`), []gate.Code{gate.NoSoak, gate.Undecodable}},
		"duplicate key in other case":      {withPredicate(`"ladder":"shop"`, `"Ladder":"blog","ladder":"shop"`), []gate.Code{gate.NoSoak, gate.Undecodable}},
		"unsigned":                         {signedThen(func(e *envelope) { e.Signatures = nil }), missing},
		"empty signature":                  {signedThen(func(e *envelope) { e.Signatures[0]["sig"] = "" }), missing},
		"signature and empty signature":    {signedThen(func(e *envelope) { e.Signatures = append(e.Signatures, map[string]any{"sig": ""}) }), missing},
		"signed bytes changed": {signedThen(func(e *envelope) {
			e.Payload = bytes.Replace(e.Payload, []byte(`"restarts":0`), []byte(`"restarts":1`), 1)
		}), missing},
		"payload type changed after signing": {signedThen(func(e *envelope) { e.Signatures = observer.sign(t, "application/json", e.Payload).Signatures }), missing},
		"other payload type":                 {signedThen(func(e *envelope) { *e = observer.sign(t, "application/json", e.Payload) }), missing},
		"signed by other observer":           {signedThen(func(e *envelope) { *e = newRawSigner(t).sign(t, inToto, e.Payload) }), missing},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.Push(t, "shop/web")
			env.Sign(t, image, "ci")
			predicate, err := json.Marshal(webhooktest.NewSoak(image, 25*time.Hour, time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			digest := strings.TrimPrefix(workload.DigestOf(image), "sha256:")
			attach(t, image, bundleOf(t, test.make(t, statement{statementType, gate.PredicateSoak, []map[string]any{subjectOf("sha256", digest)}, predicate})))
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "web-"
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), test.want...)
		})
	}
}

// TestIdentities checks that a certificate counts for its exact subject, and only if the time of
// the signature is known.
func TestIdentities(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	sigstore := sigstoretest.Start(t)
	if err := os.WriteFile(filepath.Join(env.roots, namespace+".json"), sigstore.TrustedRoot, 0o600); err != nil {
		t.Fatal(err)
	}
	g := env.BankGate(namespace)
	g.Spec.Signers[0] = v1alpha1.Signer{Name: "ci", Keyless: &v1alpha1.KeylessSigner{
		Issuer: sigstoretest.Issuer, Subject: "release@org.example.com", TrustedRoot: namespace,
	}}
	env.createGate(t, g)
	stranger := sigstoretest.Start(t)
	for name, test := range map[string]struct {
		services *sigstoretest.Sigstore
		subject  string
		stamped  bool
		want     []gate.Code
	}{
		"exact subject":       {sigstore, "release@org.example.com", true, nil},
		"lookalike subject":   {sigstore, "release@org-evil.example.com", true, []gate.Code{gate.NoSignature}},
		"prefixed subject":    {sigstore, "xrelease@org.example.com", true, []gate.Code{gate.NoSignature}},
		"suffixed subject":    {sigstore, "release@org.example.com.evil.example.com", true, []gate.Code{gate.NoSignature}},
		"no timestamp":        {sigstore, "release@org.example.com", false, []gate.Code{gate.NoSignature}},
		"untrusted authority": {stranger, "release@org.example.com", true, []gate.Code{gate.NoSignature}},
		"untrusted timestamp": {&sigstoretest.Sigstore{FulcioURL: sigstore.FulcioURL, TimestampURL: stranger.TimestampURL}, "release@org.example.com", true, []gate.Code{gate.NoSignature}},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.Push(t, "bank/ledger")
			repository, digest, _ := strings.Cut(image, "@")
			signer := evidence.KeylessSigner(test.services.FulcioURL, func() (string, error) { return sigstore.Token(test.subject), nil })
			if test.stamped {
				signer = signer.WithTimestamps(test.services.TimestampURL)
			}
			client := registry.NewClient()
			target, err := evidence.FindTarget(t.Context(), client, repository, digest)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := evidence.Attest(t.Context(), client, signer, target, gate.PredicateSignature, map[string]any{}); err != nil {
				t.Fatal(err)
			}
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "ledger-"
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), test.want...)
		})
	}
}

// TestApprovals checks that approvals count for their ladder and environment until they expire.
func TestApprovals(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.BankGate(namespace)
	g.Spec.Signers = append(g.Spec.Signers, v1alpha1.Signer{Name: "ana", Key: &v1alpha1.KeySigner{Data: env.Keys["ana"].PublicPEM()}, Time: v1alpha1.TimeTrustSigner})
	g.Spec.Requires.Approvals = &v1alpha1.ApprovalRequirement{By: []string{"ana"}}
	env.createGate(t, g)
	now := time.Now()
	soon, past := now.Add(time.Hour), now.Add(-time.Minute)
	for name, test := range map[string]struct {
		by   string
		says gate.Approval
		want []gate.Code
	}{
		"prod":              {"ana", gate.Approval{Ladder: "bank", Environment: "prod", ApprovedAt: &now, ExpiresAt: &soon}, nil},
		"other environment": {"ana", gate.Approval{Ladder: "bank", Environment: "staging", ApprovedAt: &now}, []gate.Code{gate.NoApproval, gate.OtherEnvironment}},
		"other ladder":      {"ana", gate.Approval{Ladder: "shop", Environment: "prod", ApprovedAt: &now}, []gate.Code{gate.NoApproval, gate.OtherLadder}},
		"expired":           {"ana", gate.Approval{Ladder: "bank", Environment: "prod", ApprovedAt: &now, ExpiresAt: &past}, []gate.Code{gate.ApprovalExpired, gate.NoApproval}},
		"signed by CI":      {"ci", gate.Approval{Ladder: "bank", Environment: "prod", ApprovedAt: &now}, []gate.Code{gate.NoApproval, gate.WrongSigner}},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.Push(t, "bank/ledger")
			env.Sign(t, image, "ci")
			env.Attest(t, image, test.by, gate.PredicateApproval, test.says)
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "ledger-"
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), test.want...)
		})
	}
}

// clusterUID returns the UID by which an observer names the API server's cluster.
func (e *environment) clusterUID(t *testing.T) string {
	t.Helper()
	var system corev1.Namespace
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "kube-system"}, &system); err != nil {
		t.Fatal(err)
	}
	return string(system.UID)
}

// attestRunningHere attests that the image was healthy in a namespace of this cluster for 25h.
func (e *environment) attestRunningHere(t *testing.T, reference, namespace string, change ...func(*gate.Soak)) {
	t.Helper()
	soak := webhooktest.NewSoak(reference, 25*time.Hour, time.Hour)
	soak.Environment, soak.Cluster, soak.Namespace = "prod", e.clusterUID(t), namespace
	for _, c := range change {
		c(&soak)
	}
	e.Attest(t, reference, "observer", gate.PredicateSoak, soak)
}

// pushOutdated pushes a signed image whose soak in staging was recent enough when it was
// deployed, 26 hours ago, and is too old for another deploy.
func (e *environment) pushOutdated(t *testing.T) string {
	t.Helper()
	image := e.Push(t, "shop/web")
	e.Sign(t, image, "ci")
	e.AttestSoak(t, image, "observer", 90*time.Hour)
	return image
}

// generatedPod returns a pod whose name the API server generates.
func generatedPod(namespace, image string) *corev1.Pod {
	pod := webhooktest.NewPod(namespace, "", image)
	pod.GenerateName = "web-"
	return pod
}

func TestProvenHere(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProvenHereGate(namespace))
	at := func(ago time.Duration) func(*gate.Soak) {
		return func(s *gate.Soak) {
			s.Window.StartedAt, s.Window.FinishedAt = time.Now().Add(-ago-25*time.Hour), new(time.Now().Add(-ago))
		}
	}
	for name, test := range map[string]struct {
		change func(*gate.Soak)
		want   []gate.Code
	}{
		"proven when deployed": {func(*gate.Soak) {}, nil},
		"other cluster":        {func(s *gate.Soak) { s.Cluster = "11111111-2222-3333-4444-555555555555" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"unknown cluster":      {func(s *gate.Soak) { s.Cluster = "" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"other namespace":      {func(s *gate.Soak) { s.Namespace = "trial" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"soak here too old":    {at(49 * time.Hour), []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"deployed after maxAge": {func(s *gate.Soak) {
			const seconds = 16 * 3600
			s.Window.StartedAt = s.Window.FinishedAt.Add(-seconds * time.Second)
			s.Window.HealthySeconds, s.Window.LongestHealthySeconds, s.Image.Platforms[0].HealthySeconds = seconds, seconds, seconds
		}, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.pushOutdated(t)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.SoakTooOld)
			env.attestRunningHere(t, image, namespace, test.change)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), test.want...)

			if got := env.restart(t).codesFor(t, namespace, image); !slices.Equal(got, test.want) {
				t.Errorf("after a restart the codes are %v, want %v", got, test.want)
			}
		})
	}
}

// TestRunningProvesNothing checks that an image which ran under an Exception, or while its Gate
// only warned, is denied once that is over, however long it was healthy.
func TestRunningProvesNothing(t *testing.T) {
	env := startedEnv(t)
	unproven := func(t *testing.T) string {
		t.Helper()
		image := env.Push(t, "shop/web")
		env.Sign(t, image, "ci")
		return image
	}
	t.Run("under an Exception", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		env.createGate(t, env.ProvenHereGate(namespace))
		image := unproven(t)
		exception := env.createException(t, image, namespace, time.Now().Add(time.Hour), "ana", "bo")
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)))
		env.attestRunningHere(t, image, namespace)
		if err := env.Client.Delete(t.Context(), exception); err != nil {
			t.Fatal(err)
		}
		if err := webhooktest.WaitUntil(func() bool { return !env.hasException(exception.Name) }); err != nil {
			t.Fatal(err)
		}
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.NotProvenHere, gate.OtherEnvironment)
	})
	for _, action := range []v1alpha1.Action{v1alpha1.ActionWarn, v1alpha1.ActionAudit} {
		t.Run("under "+string(action), func(t *testing.T) {
			namespace := env.NewNamespace(t)
			g := env.ProvenHereGate(namespace)
			g.Spec.Action = action
			env.createGate(t, g)
			image := unproven(t)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)))
			env.attestRunningHere(t, image, namespace)
			denying := g.DeepCopy()
			denying.Spec.Action = v1alpha1.ActionDeny
			if err := env.Client.Patch(t.Context(), denying, client.MergeFrom(g)); err != nil {
				t.Fatal(err)
			}
			if err := webhooktest.WaitUntil(func() bool {
				known := env.program.policies.GatesFor(namespace)
				return len(known) == 1 && known[0].Spec.Action == v1alpha1.ActionDeny
			}); err != nil {
				t.Fatal(err)
			}
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.NotProvenHere, gate.OtherEnvironment)
		})
	}
}
