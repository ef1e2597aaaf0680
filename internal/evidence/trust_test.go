package evidence

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/kms/fake"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

const (
	issuer  = "https://token.actions.example.com"
	release = "https://github.com/org/shop/.github/workflows/release.yml@refs/heads/main"
)

// sigstore is one in memory, with its trusted root in a folder as it would be mounted.
type sigstore struct {
	*ca.VirtualSigstore

	folder string
}

func newSigstore(t testing.TB) sigstore {
	t.Helper()
	virtual, err := ca.NewVirtualSigstore()
	check(t, err)
	s := sigstore{virtual, t.TempDir()}
	s.mount(t, "corp", everything)
	return s
}

// parts of a trusted root that a test wants.
type parts struct{ logs, stamps, certificates bool }

var everything = parts{logs: true, stamps: true, certificates: true}

// mount writes a trusted root as cosign --trusted-root takes it.
func (s sigstore) mount(t testing.TB, name string, with parts) {
	t.Helper()
	var err error
	var authorities []root.CertificateAuthority
	var stamps []root.TimestampingAuthority
	logs := map[string]*root.TransparencyLog{}
	if with.certificates {
		authorities = s.FulcioCertificateAuthorities()
	}
	if with.stamps {
		stamps = s.TimestampingAuthorities()
	}
	if with.logs {
		logs = s.RekorLogs()
		for id, log := range logs { // it has the text of its id for the id
			log.ID, err = hex.DecodeString(id)
			check(t, err)
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, map[string]*root.TransparencyLog{}, stamps, logs)
	check(t, err)
	content, err := json.Marshal(trusted)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(s.folder, name+".json"), content, 0o600))
}

func (s sigstore) trust() *Trust { return NewTrust(TrustOptions{Roots: s.folder}) }

func (s sigstore) verifier(t testing.TB, signers ...v1alpha1.Signer) *Verifier {
	t.Helper()
	v, err := s.trust().Verifier(t.Context(), signers)
	check(t, err)
	return v
}

// keyless returns a signer with one identity.
func keyless(name, subject string) v1alpha1.Signer {
	return v1alpha1.Signer{Name: name, Keyless: &v1alpha1.KeylessSigner{Issuer: issuer, Subject: subject, TrustedRoot: "corp"}}
}

func payloadOf(t testing.TB, claim statement) []byte {
	t.Helper()
	payload, err := json.Marshal(claim)
	check(t, err)
	return payload
}

// attested returns a statement signed by a certificate, logged at this time.
func (s sigstore) attested(t testing.TB, subject string, at time.Time, claim statement) *protobundle.Bundle {
	t.Helper()
	entity, err := s.AttestAtTime(subject, issuer, payloadOf(t, claim), at, true)
	check(t, err)
	return s.bundle(t, entity)
}

// bundle returns an entity as it is attached.
func (s sigstore) bundle(t testing.TB, entity *ca.TestEntity) *protobundle.Bundle {
	t.Helper()
	content, err := entity.SignatureContent()
	check(t, err)
	verification, err := entity.VerificationContent()
	check(t, err)
	envelope := content.EnvelopeContent().RawEnvelope()
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	check(t, err)
	b := &protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{
				Certificate: &protocommon.X509Certificate{RawBytes: verification.Certificate().Raw},
			},
			TimestampVerificationData: &protobundle.TimestampVerificationData{},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: envelope.PayloadType,
			Signatures: []*protodsse.Signature{{Sig: content.Signature()}},
		}},
	}
	stamps, err := entity.Timestamps()
	check(t, err)
	for _, stamp := range stamps {
		data := b.GetVerificationMaterial().GetTimestampVerificationData()
		data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	entries, err := entity.TlogEntries()
	check(t, err)
	for _, entry := range entries {
		b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, s.entry(t, entry.TransparencyLogEntry()))
	}
	return b
}

// entry completes a log entry: of version 1, the library in memory keeps the kind and the
// promise to itself.
func (s sigstore) entry(t testing.TB, entry *protorekor.TransparencyLogEntry) *protorekor.TransparencyLogEntry {
	t.Helper()
	if entry.GetKindVersion() != nil {
		return entry
	}
	entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	promise, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	})
	check(t, err)
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	return entry
}

// bundleOf returns a bundle's JSON, with changes.
func bundleOf(t testing.TB, b *protobundle.Bundle, change ...func(*protobundle.Bundle)) []byte {
	t.Helper()
	b, _ = proto.Clone(b).(*protobundle.Bundle)
	for _, c := range change {
		c(b)
	}
	raw, err := protojson.Marshal(b)
	check(t, err)
	return raw
}

func withoutStamps(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }

func withoutLog(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }

// soon is inside the ten minutes that a certificate is valid for.
func soon() time.Time { return time.Now().Add(time.Second).Truncate(time.Second) }

func TestKeylessSigner(t *testing.T) {
	s := newSigstore(t)
	claim := about(gate.PredicateSignature, "{}", digestA)
	at := soon()
	bundle := bundleOf(t, s.attested(t, release, at, claim))
	got, err := s.verifier(t, keyless("ci", release)).Verify(bundle, digestA)
	check(t, err)
	if len(got) != 1 || got[0].Signer != "ci" || got[0].Identity != release || got[0].Key != "" {
		t.Fatalf("evidence %+v", got)
	}
	if got[0].Signed.IsZero() || got[0].Signed.After(at) {
		t.Errorf("signed %v, want the first of log and timestamp, at most %v", got[0].Signed, at)
	}
	if _, err := s.verifier(t, keyless("ci", release)).Verify(bundle, digestB); err == nil {
		t.Error("verified for another digest")
	}
}

func TestIdentitiesMatchWholly(t *testing.T) {
	s := newSigstore(t)
	claim := about(gate.PredicateSignature, "{}", digestA)
	pattern := func(p string) v1alpha1.Signer {
		return v1alpha1.Signer{Name: "ci", Keyless: &v1alpha1.KeylessSigner{Issuer: issuer, SubjectPattern: p, TrustedRoot: "corp"}}
	}
	const workflow = `https://github\.com/org/[a-z]+/\.github/workflows/release\.yml@refs/heads/main`
	otherIssuer := keyless("ci", release)
	otherIssuer.Keyless.Issuer = issuer + "/"
	for name, test := range map[string]struct {
		signer  v1alpha1.Signer
		subject string
		want    bool
	}{
		"this one":                          {keyless("ci", release), release, true},
		"a lookalike of the organisation":   {keyless("ci", release), strings.Replace(release, "/org/", "/org-evil/", 1), false},
		"something before":                  {keyless("ci", release), "x" + release, false},
		"something behind":                  {keyless("ci", release), release + "x", false},
		"in other letters":                  {keyless("ci", release), strings.ToUpper(release), false},
		"of another issuer":                 {otherIssuer, release, false},
		"a dot is a dot":                    {keyless("ci", "ana@example.com"), "ana@exampleXcom", false},
		"a pattern":                         {pattern(workflow), release, true},
		"a pattern, lookalike":              {pattern(workflow), strings.Replace(release, "/org/", "/org-evil/", 1), false},
		"a pattern, something before":       {pattern(workflow), "https://evil.example/?" + release, false},
		"a pattern, something behind":       {pattern(workflow), release + "-evil", false},
		"a pattern's first alternative":     {pattern("ana@example.com|bo@example.com"), "ana@example.com.evil.example", false},
		"a pattern's last alternative":      {pattern("ana@example.com|bo@example.com"), "evil-bo@example.com", false},
		"either alternative":                {pattern("ana@example.com|bo@example.com"), "bo@example.com", true},
		"several subjects, this among them": {v1alpha1.Signer{Name: "ci", Keyless: &v1alpha1.KeylessSigner{Issuer: issuer, Subjects: []string{"ana@example.com", release}, TrustedRoot: "corp"}}, release, true},
		"several subjects, another":         {v1alpha1.Signer{Name: "ci", Keyless: &v1alpha1.KeylessSigner{Issuer: issuer, Subjects: []string{"ana@example.com", "bo@example.com"}, TrustedRoot: "corp"}}, release, false},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := bundleOf(t, s.attested(t, test.subject, soon(), claim))
			got, err := s.verifier(t, test.signer).Verify(bundle, digestA)
			if (err == nil && len(got) == 1 && got[0].Identity == test.subject) != test.want {
				t.Errorf("evidence %+v, error %v; want some: %v", got, err, test.want)
			}
		})
	}
}

func TestIdentityPatternRejectsUnanchoredAlternatives(t *testing.T) {
	s := newSigstore(t)
	signer := keyless("ci", "")
	signer.Keyless.SubjectPattern = "ana@example.com)|(?:.*"
	v, err := s.trust().Verifier(t.Context(), []v1alpha1.Signer{signer})
	var signerError *SignerError
	if !errors.As(err, &signerError) || signerError.Elsewhere {
		t.Errorf("error %v, want one about the signer", err)
	}
	bundle := bundleOf(t, s.attested(t, "evil@example.com", soon(), about(gate.PredicateSignature, "{}", digestA)))
	if got, err := v.Verify(bundle, digestA); err == nil {
		t.Errorf("evidence %+v", got)
	}
}

func TestCertificateRequiresTime(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	claim := about(gate.PredicateSignature, "{}", digestA)
	good := s.attested(t, release, soon(), claim)
	unrelated := s.attested(t, release, soon(), claim).GetVerificationMaterial().GetTlogEntries()
	otherEntries := other.attested(t, release, soon(), claim).GetVerificationMaterial().GetTlogEntries()
	late := s.attested(t, release, time.Now().Add(time.Hour), claim)
	logged, err := s.AttestAtTimeHashedRekordV2(release, issuer, payloadOf(t, claim), soon())
	check(t, err)
	v2 := s.bundle(t, logged)
	s.mount(t, "stamps", parts{stamps: true, certificates: true})
	s.mount(t, "certificates", parts{certificates: true})
	for name, test := range map[string]struct {
		root   string
		bundle []byte
		want   bool
	}{
		"a log and a timestamp":                 {"corp", bundleOf(t, good), true},
		"a log alone":                           {"corp", bundleOf(t, good, withoutStamps), true},
		"a log of version 2":                    {"corp", bundleOf(t, v2), true},
		"a log of version 2 without timestamp":  {"corp", bundleOf(t, v2, withoutStamps), false},
		"a timestamp where there are logs":      {"corp", bundleOf(t, good, withoutLog), false},
		"a timestamp where there are no logs":   {"stamps", bundleOf(t, good, withoutLog), true},
		"a log where there are only timestamps": {"stamps", bundleOf(t, good, withoutStamps), false},
		"nothing":                               {"corp", bundleOf(t, good, withoutStamps, withoutLog), false},
		"a log's time after the certificate's":  {"corp", bundleOf(t, late, withoutStamps), false},
		"another entry of the log": {"corp", bundleOf(t, good, func(b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries[0] = unrelated[0]
		}), false},
		"an entry of another log": {"corp", bundleOf(t, good, func(b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries[0] = otherEntries[0]
		}), false},
		"a certificate of another authority": {"corp", bundleOf(t, other.attested(t, release, soon(), claim)), false},
	} {
		t.Run(name, func(t *testing.T) {
			signer := keyless("ci", release)
			signer.Keyless.TrustedRoot = test.root
			got, err := s.verifier(t, signer).Verify(test.bundle, digestA)
			if (err == nil && len(got) == 1) != test.want {
				t.Errorf("evidence %+v, error %v; want some: %v", got, err, test.want)
			}
		})
	}
	t.Run("a root that proves no time", func(t *testing.T) {
		signer := keyless("ci", release)
		signer.Keyless.TrustedRoot = "certificates"
		if _, err := s.trust().Verifier(t.Context(), []v1alpha1.Signer{signer}); err == nil {
			t.Error("taken")
		}
	})
}

// stamped returns a key's bundle with a timestamp of this authority.
func stamped(t testing.TB, s sigstore, bundle []byte) []byte {
	t.Helper()
	b := &protobundle.Bundle{}
	check(t, protojson.Unmarshal(bundle, b))
	stamp, err := s.TimestampResponse(b.GetDsseEnvelope().GetSignatures()[0].GetSig())
	check(t, err)
	b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
	}
	raw, err := protojson.Marshal(b)
	check(t, err)
	return raw
}

func TestKeySignerTimestamp(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	key := newKey(t)
	plain := signed(t, key, about(gate.PredicateSignature, "{}", digestA))
	another := signed(t, key, about(gate.PredicateSoak, aSoak, digestA))
	timed := inGate("ci", key)
	timed.Timestamp = "corp"
	for name, test := range map[string]struct {
		signer v1alpha1.Signer
		bundle []byte
		want   bool
	}{
		"of the authority":                       {timed, stamped(t, s, plain), true},
		"of an authority that isn't trusted":     {timed, stamped(t, other, plain), false},
		"none":                                   {timed, plain, false},
		"where the Gate names no authority":      {inGate("ci", key), stamped(t, s, plain), false},
		"of another signature of the same key's": {timed, swapStamps(t, plain, stamped(t, s, another)), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.verifier(t, test.signer).Verify(test.bundle, digestA)
			check(t, err) // a time that proves nothing takes no signature away
			if len(got) != 1 || got[0].Signed.IsZero() == test.want {
				t.Fatalf("evidence %+v, want a time: %v", got, test.want)
			}
			if age := time.Since(got[0].Signed); test.want && (age < 0 || age > time.Minute) {
				t.Errorf("signed %v", got[0].Signed)
			}
		})
	}
}

// swapStamps gives a bundle the timestamps of another one.
func swapStamps(t testing.TB, to, from []byte) []byte {
	t.Helper()
	a, b := &protobundle.Bundle{}, &protobundle.Bundle{}
	check(t, protojson.Unmarshal(to, a))
	check(t, protojson.Unmarshal(from, b))
	a.VerificationMaterial.TimestampVerificationData = b.GetVerificationMaterial().GetTimestampVerificationData()
	raw, err := protojson.Marshal(a)
	check(t, err)
	return raw
}

func TestTimestampReplacesSignerClock(t *testing.T) {
	s, key := newSigstore(t), newKey(t)
	timed := inGate("observer", key)
	timed.Timestamp = "corp"
	now := time.Now()
	result, err := json.Marshal(gate.Test{
		Result: "PASSED", Configuration: []gate.TestConfiguration{{Name: "e2e"}}, PassedTests: []string{"checkout"}, FinishedAt: &now,
	})
	check(t, err)
	bundle := signed(t, key, about(gate.PredicateTest, string(result), digestA))
	request := gate.Request{
		Gate: &v1alpha1.Gate{Spec: v1alpha1.GateSpec{
			Environment: "prod", Namespaces: []string{"shop"}, Images: []v1alpha1.GateImage{{Repository: "r.example.com/shop/web"}},
			Signers:  []v1alpha1.Signer{timed},
			Requires: v1alpha1.Requirements{Tests: []v1alpha1.TestRequirement{{Name: "e2e", By: []string{"observer"}, MaxAge: &metav1.Duration{Duration: time.Hour}}}},
		}},
		Image: gate.Image{Repository: "r.example.com/shop/web", Digest: digestA}, Now: now,
	}
	for name, test := range map[string]struct {
		bundle []byte
		want   []gate.Code
	}{
		"with it":    {stamped(t, s, bundle), nil},
		"without it": {bundle, []gate.Code{gate.NoTrustedTime}},
	} {
		request.Evidence, err = s.verifier(t, timed).Verify(test.bundle, digestA)
		check(t, err)
		var codes []gate.Code
		for _, reason := range gate.Decide(request).Reasons {
			codes = append(codes, reason.Code)
		}
		if diff := cmp.Diff(test.want, codes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTrustedRootIsReloaded(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	trust := s.trust()
	var now atomic.Int64
	trust.now = func() time.Time { return time.Unix(now.Load(), 0) }
	signers := []v1alpha1.Signer{keyless("ci", release)}
	verifies := func(bundle []byte) bool {
		v, _ := trust.Verifier(t.Context(), signers)
		_, err := v.Verify(bundle, digestA)
		return err == nil
	}
	claim := about(gate.PredicateSignature, "{}", digestA)
	ours, theirs := bundleOf(t, s.attested(t, release, soon(), claim)), bundleOf(t, other.attested(t, release, soon(), claim))
	if !verifies(ours) || verifies(theirs) {
		t.Fatal("the first root doesn't count")
	}
	before := trust.fingerprint(t.Context(), signers)
	other.folder = s.folder
	other.mount(t, "corp", everything)
	now.Add(int64(rootLife/time.Second) + 1)
	if after := trust.fingerprint(t.Context(), signers); after == before {
		t.Error("what was verified by the old root is still known")
	}
	if verifies(ours) || !verifies(theirs) {
		t.Error("the second root doesn't count")
	}
	check(t, os.WriteFile(filepath.Join(s.folder, "corp.json"), []byte("{"), 0o600))
	now.Add(int64(rootLife/time.Second) + 1)
	if !verifies(theirs) {
		t.Error("a root that can't be read took away the one before it")
	}
	check(t, os.Remove(filepath.Join(s.folder, "corp.json")))
	now.Add(int64(rootLife/time.Second) + 1)
	if verifies(theirs) {
		t.Error("a root that was taken away still counts")
	}
}

func TestTrustedRootMissing(t *testing.T) {
	s := newSigstore(t)
	key := newKey(t)
	bundle := signed(t, key, about(gate.PredicateSignature, "{}", digestA))
	public := keyless("x", release)
	public.Keyless.TrustedRoot = ""
	missing := keyless("x", release)
	missing.Keyless.TrustedRoot = "missing"
	outside := inGate("x", newKey(t))
	outside.Timestamp = "../" + filepath.Base(s.folder) + "/corp"
	down := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(down.Close)
	for name, test := range map[string]struct {
		trust  *Trust
		signer v1alpha1.Signer
		want   string
	}{
		"no folder":             {NewTrust(TrustOptions{}), missing, "--trusted-roots"},
		"no file":               {s.trust(), missing, "missing.json"},
		"the public one":        {s.trust(), public, "--sigstore-public-root"},
		"outside of the folder": {s.trust(), outside, "no name"},
		"the public one, from a mirror that is down": {NewTrust(TrustOptions{PublicRoot: true, PublicRootMirror: down.URL}), public, "fetching sigstore's public root"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := test.trust.Verifier(t.Context(), []v1alpha1.Signer{test.signer, inGate("ci", key)})
			var signerError *SignerError
			if !errors.As(err, &signerError) || !signerError.Elsewhere || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
			if got, err := v.Verify(bundle, digestA); err != nil || len(got) != 1 {
				t.Errorf("the other signer: %+v, %v", got, err)
			}
		})
	}
}

// withKMS has sigstore's fake KMS hold this key.
func withKMS(ctx context.Context, key *ecdsa.PrivateKey) context.Context {
	return context.WithValue(ctx, fake.KmsCtxKey{}, crypto.PrivateKey(key))
}

func TestKMSSigner(t *testing.T) {
	private := privateKey(t, "P-256").(*ecdsa.PrivateKey)
	ctx := withKMS(t.Context(), private)
	signer, err := KMSSigner(ctx, "fakekms://key")
	check(t, err)
	bundle := signed(t, signer, about(gate.PredicateSignature, "{}", digestA))
	trust := NewTrust(TrustOptions{})
	v, err := trust.Verifier(ctx, []v1alpha1.Signer{{Name: "ci", KMS: "fakekms://key"}})
	check(t, err)
	got, err := v.Verify(bundle, digestA)
	check(t, err)
	byKey, err := verifier(t, inGate("ci", signer)).Verify(bundle, digestA)
	check(t, err)
	if diff := cmp.Diff(byKey, got); diff != "" || len(got) != 1 {
		t.Errorf("by the KMS and by its public key (-key +kms):\n%s", diff)
	}
}

// flaky is a KMS that can be taken away.
type flaky struct {
	kms.SignerVerifier

	down *atomic.Bool
	n    *atomic.Int64
}

func (f flaky) PublicKey(options ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	f.n.Add(1)
	if f.down.Load() {
		return nil, errors.New("no route to the KMS")
	}
	return f.SignerVerifier.PublicKey(options...)
}

func TestKMSKeyIsCached(t *testing.T) {
	var down atomic.Bool
	var asked, now atomic.Int64
	kms.AddProvider("flakykms://", func(ctx context.Context, _ string, hash crypto.Hash, _ ...signature.RPCOption) (kms.SignerVerifier, error) {
		key, err := fake.LoadSignerVerifier(ctx, hash)
		return flaky{key, &down, &asked}, err
	})
	private := privateKey(t, "P-256").(*ecdsa.PrivateKey)
	ctx := withKMS(t.Context(), private)
	trust := NewTrust(TrustOptions{})
	trust.now = func() time.Time { return time.Unix(now.Load(), 0) }
	signers := []v1alpha1.Signer{{Name: "ci", KMS: "flakykms://key"}}

	down.Store(true)
	_, err := trust.Verifier(ctx, signers)
	var signerError *SignerError
	if !errors.As(err, &signerError) || !signerError.Elsewhere {
		t.Errorf("error %v, want one about what the signer names", err)
	}
	down.Store(false)
	if _, err := trust.Verifier(ctx, signers); err == nil || asked.Load() != 1 {
		t.Errorf("asked %d times at once, error %v", asked.Load(), err)
	}
	now.Add(int64(failureLife/time.Second) + 1)
	for range 3 {
		_, err := trust.Verifier(ctx, signers)
		check(t, err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want once in vain and once", n)
	}
	down.Store(true)
	now.Add(int64(kmsLife/time.Second) + 1)
	for range 3 {
		if _, err := trust.Verifier(ctx, signers); err != nil {
			t.Errorf("with the KMS down: %v; its key was known", err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want once more", n)
	}
}

func TestVerifyOneCertificateForSeveralSigners(t *testing.T) {
	s := newSigstore(t)
	bundle := bundleOf(t, s.attested(t, release, soon(), about(gate.PredicateSignature, "{}", digestA)))
	got, err := s.verifier(t, keyless("a", release), keyless("b", "bo@example.com"), keyless("c", release)).Verify(bundle, digestA)
	check(t, err)
	if len(got) != 2 || got[0].Signer != "a" || got[1].Signer != "c" {
		t.Errorf("evidence %+v, want that of a and c", got)
	}
}
