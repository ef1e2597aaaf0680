package evidence

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence/sigstoretest"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// services are a sigstore, its trusted root in a file, and who trusts it.
type services struct {
	*sigstoretest.Sigstore

	root  string
	trust *Trust
}

func startServices(t testing.TB) services {
	t.Helper()
	s := services{Sigstore: sigstoretest.Start(t)}
	folder := t.TempDir()
	s.root = filepath.Join(folder, "corp.json")
	check(t, os.WriteFile(s.root, s.TrustedRoot, 0o600))
	s.trust = NewTrust(TrustOptions{Roots: folder})
	return s
}

// ana is a keyless signer in the Gate.
var ana = v1alpha1.Signer{Name: "managers", Keyless: &v1alpha1.KeylessSigner{
	Issuer: sigstoretest.Issuer, Subjects: []string{"ana@example.com", "bo@example.com"}, TrustedRoot: "corp",
}}

// trusting returns the fixture with a store that trusts the services.
func (w fixture) trusting(s services) fixture {
	w.store = NewStore(w.client, s.trust)
	return w
}

func TestKeylessSignerOfPerson(t *testing.T) {
	s := startServices(t)
	w := newFixture(t, registrytest.WithReferrers).trusting(s)
	for _, email := range []string{"ana@example.com", "mallory@example.com"} {
		signer := KeylessSigner(s.FulcioURL, func() (string, error) { return s.Token(email), nil })
		w.attest(t, signer.WithTimestamps(s.TimestampURL), gate.PredicateApproval, json.RawMessage(`{"ladder":"shop","environment":"prod"}`))
	}
	got, err := w.fetch(t, ana)
	check(t, err)
	if len(got) != 1 || got[0].Identity != "ana@example.com" || got[0].Signed.IsZero() || got[0].Approval == nil {
		t.Errorf("evidence %+v, want ana's alone", got)
	}
}

func TestKeySignerWithTimestamp(t *testing.T) {
	s := startServices(t)
	w := newFixture(t, registrytest.WithReferrers).trusting(s)
	key := newKey(t)
	w.attest(t, key.WithTimestamps(s.TimestampURL), gate.PredicateSoak, json.RawMessage(aSoak))
	signer := inGate("observer", key)
	signer.Timestamp = "corp"
	got, err := w.fetch(t, signer)
	check(t, err)
	if len(got) != 1 || got[0].Signed.IsZero() {
		t.Errorf("evidence %+v, want one with a time", got)
	}
}

func TestKeylessReportsServiceFailure(t *testing.T) {
	s := startServices(t)
	w := newFixture(t, registrytest.WithReferrers)
	target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
	check(t, err)
	refused := KeylessSigner(s.FulcioURL, func() (string, error) { return "no.token.here", nil })
	for name, signer := range map[string]*Signer{
		"a token that isn't one":              refused,
		"an authority that answers otherwise": newKey(t).WithTimestamps(s.FulcioURL),
		"a log of version 1 that isn't one":   newKey(t).WithLog(s.FulcioURL, 1),
		"a log of version 2 that isn't one":   newKey(t).WithLog(s.FulcioURL, 2),
	} {
		if _, err := Attest(t.Context(), w.client, signer, target, gate.PredicateSignature, map[string]any{}); err == nil {
			t.Errorf("%s: attested", name)
		}
	}
	if got, err := w.client.Referrers(t.Context(), w.repository, w.digest); err != nil || len(got) != 0 {
		t.Errorf("attached %+v, %v", got, err)
	}
}

// keylessFlags have cosign use the services, and nothing of the public ones.
func (s services) keylessFlags(t testing.TB, c cosign, email string) []string {
	t.Helper()
	token := c.file(t, "token", s.Token(email))
	return []string{
		"-y", "--use-signing-config=false", "--tlog-upload=false", "--fulcio-url", s.FulcioURL, "--identity-token", token,
		"--timestamp-server-url", s.TimestampURL, "--insecure-skip-verify",
	}
}

func TestKeylessVerifiesCosignSignatures(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			s, c := startServices(t), newCosign(t)
			w := newFixture(t, kind).trusting(s)
			image := w.repository + "@" + w.digest
			c.mustRun(t, append([]string{"sign", image}, s.keylessFlags(t, c, "ana@example.com")...)...)
			predicate := c.file(t, "approval.json", `{"ladder":"shop","environment":"prod"}`)
			c.mustRun(t, append([]string{"attest", "--type", gate.PredicateApproval, "--predicate", predicate, image}, s.keylessFlags(t, c, "bo@example.com")...)...)
			got, err := w.fetch(t, ana)
			check(t, err)
			found := map[string]string{}
			for _, e := range got {
				found[e.PredicateType] = e.Identity
			}
			if found[gate.PredicateSignature] != "ana@example.com" || found[gate.PredicateApproval] != "bo@example.com" {
				t.Errorf("evidence %+v", got)
			}
		})
	}
}

func TestKeylessIsVerifiedByCosign(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			s, c := startServices(t), newCosign(t)
			w := newFixture(t, kind).trusting(s)
			signer := KeylessSigner(s.FulcioURL, func() (string, error) { return s.Token("ana@example.com"), nil })
			w.attest(t, signer.WithTimestamps(s.TimestampURL), gate.PredicateApproval, json.RawMessage(`{"ladder":"shop","environment":"prod"}`))
			verify := func(email string) error {
				_, err := c.run(t, "verify-attestation", "--trusted-root", s.root, "--use-signed-timestamps", "--insecure-ignore-tlog=true", "--insecure-ignore-sct=true",
					"--certificate-identity", email, "--certificate-oidc-issuer", sigstoretest.Issuer, "--type", gate.PredicateApproval, w.repository+"@"+w.digest)
				return err
			}
			check(t, verify("ana@example.com"))
			if verify("bo@example.com") == nil {
				t.Error("cosign verifies it for somebody else")
			}
		})
	}
}
