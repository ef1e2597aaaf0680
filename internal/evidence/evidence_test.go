package evidence

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// newKey returns a signer with a key of its own, P-256.
func newKey(t testing.TB) *Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return signerOf(t, key)
}

// privateKey returns a new key of this kind.
func privateKey(t testing.TB, kind string) any {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "P-521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	check(t, err)
	return key
}

func signerOf(t testing.TB, private any) *Signer {
	t.Helper()
	pem, err := cryptoutils.MarshalPrivateKeyToPEM(private)
	check(t, err)
	signer, err := ReadSigner(pem, noPassword)
	check(t, err)
	return signer
}

func noPassword() ([]byte, error) { return nil, errors.New("there is no password") }

// inGate returns the Gate's signer of this name with this key.
func inGate(name string, signer *Signer) v1alpha1.Signer {
	return v1alpha1.Signer{Name: name, Key: &v1alpha1.KeySigner{Data: signer.PublicPEM()}}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	digestA = "sha256:" + strings.Repeat("a", 64)
	digestB = "sha256:" + strings.Repeat("b", 64)
)

// about returns a statement about digests.
func about(predicateType, predicate string, digests ...string) statement {
	s := statement{Type: statementV1, PredicateType: predicateType, Predicate: json.RawMessage(predicate)}
	for _, digest := range digests {
		s.Subject = append(s.Subject, subject{Name: "web", Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}})
	}
	return s
}

func signed(t testing.TB, signer *Signer, claim statement) []byte {
	t.Helper()
	_, bundle, err := signer.sign(context.Background(), claim)
	check(t, err)
	return bundle
}

func verifier(t testing.TB, signers ...v1alpha1.Signer) *Verifier {
	t.Helper()
	v, err := NewTrust(TrustOptions{}).Verifier(t.Context(), signers)
	check(t, err)
	return v
}

const aSoak = `{"ladder":"shop","environment":"staging","image":{"repository":"r.example.com/shop/web"},` +
	`"window":{"startedAt":"2026-11-01T00:00:00Z","finishedAt":"2026-11-02T00:00:00Z","healthySeconds":86400,"minReady":2}}`

func TestSignerKeyTypes(t *testing.T) {
	for _, name := range []string{"P-256", "P-384", "P-521", "Ed25519", "RSA"} {
		t.Run(name, func(t *testing.T) {
			private := privateKey(t, name)
			signer := signerOf(t, private)
			bundle := signed(t, signer, about(gate.PredicateSoak, aSoak, digestA))
			got, err := verifier(t, inGate("observer", signer)).Verify(bundle, digestA)
			check(t, err)
			if len(got) != 1 || got[0].Signer != "observer" || got[0].Soak == nil || got[0].Soak.Window.HealthySeconds != 86400 {
				t.Errorf("evidence %+v", got)
			}
			if _, err := verifier(t, inGate("observer", newKey(t))).Verify(bundle, digestA); !errors.Is(err, errNoSigner) {
				t.Errorf("with another key: %v, want errNoSigner", err)
			}
		})
	}
}

func TestVerifySelectsByPredicateType(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ci", signer))
	for predicateType, want := range map[string]gate.Evidence{
		gate.PredicateSignature:             {},
		gate.PredicateSPDX:                  {},
		gate.PredicateCycloneDX:             {},
		gate.PredicateProvenance:            {Provenance: &gate.Provenance{}},
		gate.PredicateException:             {Permission: &gate.Permission{}},
		"https://slsa.dev/provenance/v0.2":  {},
		gate.PredicateSoak:                  {Soak: &gate.Soak{}},
		gate.PredicateTest:                  {Test: &gate.Test{}},
		gate.PredicateApproval:              {Approval: &gate.Approval{}},
		gate.PredicateSoak + "x":            {},
		strings.ToUpper(gate.PredicateSoak): {},
	} {
		got, err := v.Verify(signed(t, signer, about(predicateType, "{}", digestA)), digestA)
		check(t, err)
		want.Signer, want.PredicateType, want.Key = "ci", predicateType, string(signer.keypair.GetHint())
		if diff := cmp.Diff([]gate.Evidence{want}, got, cmpopts.IgnoreFields(gate.Evidence{}, "Statement")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", predicateType, diff)
		}
	}
}

func TestVerifyRequiresSubjectDigest(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ci", signer))
	with := func(digests ...map[string]string) statement {
		s := about(gate.PredicateSignature, "{}")
		for _, digest := range digests {
			s.Subject = append(s.Subject, subject{Name: "web@" + digestA, Digest: digest})
		}
		return s
	}
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for name, test := range map[string]struct {
		claim statement
		want  bool
	}{
		"this one":                   {with(map[string]string{"sha256": a}), true},
		"several, this among them":   {with(map[string]string{"sha256": b}, map[string]string{"sha256": a}), true},
		"with another algorithm":     {with(map[string]string{"sha256": a, "sha512": a + a}), true},
		"another":                    {with(map[string]string{"sha256": b}), false},
		"none":                       {with(), false},
		"a name alone":               {with(map[string]string{}), false},
		"another algorithm":          {with(map[string]string{"sha512": a + a}), false},
		"under another algorithm":    {with(map[string]string{"sha1": a}), false},
		"in uppercase":               {with(map[string]string{"sha256": strings.ToUpper(a)}), false},
		"with its algorithm in it":   {with(map[string]string{"sha256": digestA}), false},
		"short":                      {with(map[string]string{"sha256": a[:63]}), false},
		"more subjects than allowed": {with(slices.Repeat([]map[string]string{{"sha256": a}}, maxSubjects+1)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(signed(t, signer, test.claim), digestA)
			if (err == nil && len(got) == 1) != test.want || (err == nil) == (len(got) == 0) {
				t.Errorf("evidence %+v, error %v; want some: %v", got, err, test.want)
			}
		})
	}
}

// TestVerifyRejectsEmptyDigest: a digest without digits equals no subject without one.
func TestVerifyRejectsEmptyDigest(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ci", signer))
	claim := about(gate.PredicateSignature, "{}")
	claim.Subject = []subject{{Name: "web", Digest: map[string]string{}}, {Name: "web", Digest: map[string]string{"sha256": ""}}}
	bundle := signed(t, signer, claim)
	for _, digest := range []string{"", "sha256:", "sha256"} {
		if claim.isAbout(digest) {
			t.Errorf("a subject without a digest is about %q", digest)
		}
		if got, err := v.Verify(bundle, digest); err == nil || len(got) > 0 {
			t.Errorf("about %q there is %+v", digest, got)
		}
	}
}

func TestVerifyParsesStatementsStrictly(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ci", signer))
	s := func(format string, arguments ...any) string { return fmt.Sprintf(format, arguments...) }
	subjects := s(`"subject":[{"digest":{"sha256":%q}}]`, strings.Repeat("a", 64))
	for name, test := range map[string]struct {
		payload string
		want    bool
	}{
		"v1":                        {s(`{"_type":%q,%s,"predicateType":"x","predicate":{}}`, statementV1, subjects), true},
		"v0.1":                      {s(`{"_type":%q,%s,"predicateType":"x","predicate":{}}`, statementV01, subjects), true},
		"without a predicate":       {s(`{"_type":%q,%s,"predicateType":"x"}`, statementV1, subjects), true},
		"another version":           {s(`{"_type":"https://in-toto.io/Statement/v2",%s,"predicateType":"x"}`, subjects), false},
		"no type":                   {s(`{%s,"predicateType":"x"}`, subjects), false},
		"no predicate type":         {s(`{"_type":%q,%s}`, statementV1, subjects), false},
		"two predicate types":       {s(`{"_type":%q,%s,"predicateType":"x","predicateType":"y"}`, statementV1, subjects), false},
		"two, differing in case":    {s(`{"_type":%q,%s,"predicateType":"x","PredicateType":"y"}`, statementV1, subjects), false},
		"two, by Unicode's folding": {s(`{"_type":%q,%s,"predicateType":"x","%subject":[]}`, statementV1, subjects, "ſ"), false},
		"a name in another case":    {s(`{"_type":%q,%s,"PREDICATETYPE":"x"}`, statementV1, subjects), false},
		"subjects in another case":  {s(`{"_type":%q,"Subject":[{"digest":{"sha256":%q}}],"predicateType":"x"}`, statementV1, strings.Repeat("a", 64)), false},
		"something behind it":       {s(`{"_type":%q,%s,"predicateType":"x"}{}`, statementV1, subjects), false},
		"not an object":             {`[]`, false},
		"nothing":                   {``, false},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(test.payload, "%!") {
				t.Fatal("the test's own payload is broken: ", test.payload)
			}
			bundle := signedPayload(t, signer, payloadType, []byte(test.payload))
			if got, err := v.Verify(bundle, digestA); (err == nil && len(got) == 1) != test.want {
				t.Errorf("evidence %+v, error %v; want some: %v", got, err, test.want)
			}
		})
	}
}

func TestVerifyReportsInvalidPredicate(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("observer", signer))
	for name, predicate := range map[string]string{
		"a duplicate key":        `{"ladder":"shop","ladder":"other"}`,
		"a duplicate deep down":  `{"window":{"healthySeconds":1,"healthySeconds":999999}}`,
		"a duplicate in a list":  `{"workloads":[{"name":"a","Name":"b"}]}`,
		"a wrong type":           `{"window":{"healthySeconds":"86400"}}`,
		"a number that is none":  `{"window":{"healthySeconds":1e99}}`,
		"null":                   `null`,
		"a list":                 `[]`,
		"larger than the bounds": `{"ladder":"` + strings.Repeat("a", maxPredicate) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(signed(t, signer, about(gate.PredicateSoak, predicate, digestA)), digestA)
			check(t, err)
			if len(got) != 1 || got[0].Malformed == "" || got[0].Soak != nil {
				t.Errorf("evidence %+v, want one that is malformed", got)
			}
		})
	}
}

func TestPredicateFieldsAreCaseSensitive(t *testing.T) {
	signer := newKey(t)
	predicate := strings.Replace(aSoak, "healthySeconds", "HealthySeconds", 1)
	got, err := verifier(t, inGate("observer", signer)).Verify(signed(t, signer, about(gate.PredicateSoak, predicate, digestA)), digestA)
	check(t, err)
	if len(got) != 1 || got[0].Soak == nil || got[0].Soak.Window.HealthySeconds != 0 || got[0].Soak.Window.MinReady != 2 {
		t.Errorf("evidence %+v", got)
	}
}

func TestVerifyOneKeyForTwoSigners(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ana", signer), inGate("other", newKey(t)), inGate("ana-again", signer))
	got, err := v.Verify(signed(t, signer, about(gate.PredicateApproval, "{}", digestA)), digestA)
	check(t, err)
	if len(got) != 2 || got[0].Signer != "ana" || got[1].Signer != "ana-again" {
		t.Errorf("evidence %+v", got)
	}
}

func TestVerifyRejectsUnknownSignerKind(t *testing.T) {
	signer := newKey(t)
	bundle := signed(t, signer, about(gate.PredicateSignature, "{}", digestA))
	good := inGate("good", signer)
	for name, broken := range map[string]v1alpha1.Signer{
		"nothing":       {Name: "x"},
		"kms":           {Name: "x", KMS: "nokms://key"},
		"keyless":       {Name: "x", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://i", Subject: "s"}},
		"a timestamp":   {Name: "x", Key: good.Key, Timestamp: "tsa"},
		"no PEM":        {Name: "x", Key: &v1alpha1.KeySigner{Data: "hello"}},
		"empty":         {Name: "x", Key: &v1alpha1.KeySigner{}},
		"a certificate": {Name: "x", Key: &v1alpha1.KeySigner{Data: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := NewTrust(TrustOptions{}).Verifier(t.Context(), []v1alpha1.Signer{broken, good})
			var signerError *SignerError
			if !errors.As(err, &signerError) || signerError.Signer != "x" {
				t.Errorf("error %v, want one about signer x", err)
			}
			got, err := v.Verify(bundle, digestA)
			check(t, err)
			if len(got) != 1 || got[0].Signer != "good" {
				t.Errorf("evidence %+v, want the good signer's alone", got)
			}
		})
	}
}

// edit changes a bundle's JSON.
func edit(t testing.TB, bundle []byte, change func(map[string]any)) []byte {
	t.Helper()
	var document map[string]any
	check(t, json.Unmarshal(bundle, &document))
	change(document)
	edited, err := json.Marshal(document)
	check(t, err)
	return edited
}

func envelope(document map[string]any) map[string]any {
	return document["dsseEnvelope"].(map[string]any)
}

func TestVerifyIgnoresUnprovenBundles(t *testing.T) {
	signer := newKey(t)
	v := verifier(t, inGate("ci", signer))
	good := signed(t, signer, about(gate.PredicateSignature, "{}", digestA))
	other := signed(t, signer, about(gate.PredicateSignature, "{}", digestB))
	if _, err := v.Verify(good, digestA); err != nil {
		t.Fatal(err)
	}
	for name, bundle := range map[string][]byte{
		"nothing":          {},
		"no JSON":          []byte("<html>"),
		"truncated":        good[:len(good)/2],
		"an empty object":  []byte("{}"),
		"null":             []byte("null"),
		"a list":           []byte("[]"),
		"deep nesting":     []byte(strings.Repeat("[", 1<<20)),
		"an unknown field": edit(t, good, func(d map[string]any) { d["more"] = 1 }),
		"an unknown version": edit(t, good, func(d map[string]any) {
			d["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json"
		}),
		"no signatures":        edit(t, good, func(d map[string]any) { envelope(d)["signatures"] = []any{} }),
		"an empty signature":   edit(t, good, func(d map[string]any) { envelope(d)["signatures"] = []any{map[string]any{"sig": ""}} }),
		"null for a signature": edit(t, good, func(d map[string]any) { envelope(d)["signatures"] = []any{nil} }),
		"another's signature":  edit(t, good, func(d map[string]any) { envelope(d)["signatures"] = envelopeOf(t, other)["signatures"] }),
		"another's payload":    edit(t, good, func(d map[string]any) { envelope(d)["payload"] = envelopeOf(t, other)["payload"] }),
		"another payload type": edit(t, good, func(d map[string]any) { envelope(d)["payloadType"] = "text/plain" }),
		"two signatures": edit(t, good, func(d map[string]any) {
			envelope(d)["signatures"] = append(envelope(d)["signatures"].([]any), envelope(d)["signatures"].([]any)...)
		}),
		"no envelope": edit(t, good, func(d map[string]any) { delete(d, "dsseEnvelope") }),
		"no key":      edit(t, good, func(d map[string]any) { delete(d, "verificationMaterial") }),
		"a certificate, not a key": edit(t, good, func(d map[string]any) {
			d["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		}),
		"about another digest":        other,
		"signed as something else":    signedPayload(t, signer, "application/json", mustPayload(t, good)),
		"a signature over plain data": []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo="},"signature":"AAAA"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := v.Verify(bundle, digestA); err == nil || len(got) != 0 {
				t.Errorf("evidence %+v, error %v", got, err)
			}
		})
	}
}

func envelopeOf(t testing.TB, bundle []byte) map[string]any {
	t.Helper()
	var document map[string]any
	check(t, json.Unmarshal(bundle, &document))
	return envelope(document)
}

func TestReadSignerFormats(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	encrypted, err := cryptoutils.MarshalPrivateKeyToEncryptedDER(key, cryptoutils.StaticPasswordFunc([]byte("secret")))
	check(t, err)
	pem := cryptoutils.PEMEncode(cryptoutils.EncryptedSigstorePrivateKeyPEMType, encrypted)

	password := func(s string) Password { return func() ([]byte, error) { return []byte(s), nil } }
	if _, err := ReadSigner(pem, password("secret")); err != nil {
		t.Errorf("with its password: %v", err)
	}
	for name, give := range map[string]Password{"a wrong password": password("wrong"), "an empty password": password(""), "none": noPassword} {
		if _, err := ReadSigner(pem, give); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("with %s: %v", name, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing":      nil,
		"no PEM":       []byte("hello"),
		"a public key": []byte(signerOf(t, key).PublicPEM()),
		"no DER":       cryptoutils.PEMEncode(cryptoutils.PrivateKeyPEMType, []byte("hello")),
	} {
		if _, err := ReadSigner(bad, noPassword); err == nil {
			t.Errorf("%s was read as a key", name)
		}
	}
}

// fixture is a registry with an image, and a store that reads it.
type fixture struct {
	server     *registrytest.Server
	client     *registry.Client
	store      *Store
	repository string
	digest     string
}

func newFixture(t testing.TB, kind registrytest.Kind) fixture {
	t.Helper()
	server := registrytest.Start(t, kind)
	client := registry.NewClient()
	return fixture{server, client, NewStore(client, NewTrust(TrustOptions{})), server.Name("shop/web"), server.Image(t, "shop/web")}
}

func (w fixture) attest(t testing.TB, signer *Signer, predicateType string, predicate any) Attested {
	t.Helper()
	target, err := FindTarget(context.Background(), w.client, w.repository, w.digest)
	check(t, err)
	attested, err := Attest(context.Background(), w.client, signer, target, predicateType, predicate)
	check(t, err)
	return attested
}

func (w fixture) fetch(t testing.TB, signers ...v1alpha1.Signer) ([]gate.Evidence, error) {
	t.Helper()
	return w.store.Fetch(t.Context(), w.query(signers...))
}

func (w fixture) query(signers ...v1alpha1.Signer) Query {
	return Query{Image: gate.Image{Repository: w.repository, Digest: w.digest}, Signers: signers}
}

var bySource = cmpopts.SortSlices(func(a, b gate.Evidence) bool { return a.Source < b.Source })

func TestAttestIsFetched(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, kind)
			ci, observer := newKey(t), newKey(t)
			signature := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
			soak := w.attest(t, observer, gate.PredicateSoak, json.RawMessage(aSoak))
			w.attest(t, newKey(t), gate.PredicateSoak, json.RawMessage(aSoak)) // by an unknown signer

			got, err := w.fetch(t, inGate("ci", ci), inGate("observer", observer))
			check(t, err)
			want := []gate.Evidence{
				{Signer: "ci", Key: string(ci.keypair.GetHint()), PredicateType: gate.PredicateSignature, Source: signature.Digest},
				{Signer: "observer", Key: string(observer.keypair.GetHint()), PredicateType: gate.PredicateSoak, Source: soak.Digest, Statement: soak.Statement},
			}
			if diff := cmp.Diff(want, got, bySource, cmpopts.IgnoreFields(gate.Evidence{}, "Soak")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAttestIndexCoversPlatforms: whichever of their digests a pod names.
func TestAttestIndexCoversPlatforms(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			w, observer := newFixture(t, kind), newKey(t)
			digest, children := w.server.Index(t, "shop/web", "linux/amd64", "linux/arm64", "unknown/unknown", "")
			w.digest = digest
			attested := w.attest(t, observer, gate.PredicateSoak, json.RawMessage(aSoak))
			if diff := cmp.Diff([]string{digest, children[0], children[1], children[3]}, attested.Subjects); diff != "" {
				t.Errorf("subjects (-want +got):\n%s", diff)
			}
			for digest, want := range map[string]int{digest: 1, children[0]: 1, children[1]: 1, children[2]: 0, children[3]: 1} {
				w.digest = digest
				found, err := w.fetch(t, inGate("observer", observer))
				check(t, err)
				if len(found) != want {
					t.Errorf("of %s there are %d attestations, want %d", digest, len(found), want)
				}
			}
		})
	}
}

func TestAttestRejectsMissingImage(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	if _, err := FindTarget(t.Context(), w.client, w.repository, digestA); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func TestFetchIgnoresJunk(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, kind)
			ci := newKey(t)
			attach := func(mediaType, content string, annotations map[string]string) {
				w.server.Attach(t, "shop/web", w.digest, mediaType, []byte(content), annotations)
			}
			soon := map[string]string{predicateTypeAnnotation: gate.PredicateSignature}
			attach(bundleType, "not a bundle", soon)
			attach(bundleType, "{}", soon)
			attach(bundleType, strings.Repeat("x", registry.MaxBlob+1), soon) // too large
			attach(bundleType, string(signed(t, ci, about(gate.PredicateSignature, "{}", digestB))), soon)
			attach(bundleType, string(signed(t, newKey(t), about(gate.PredicateSignature, "{}", w.digest))), soon)
			attach("application/spdx+json", "{}", nil)
			proof := w.attest(t, ci, gate.PredicateSignature, map[string]any{})

			got, err := w.fetch(t, inGate("ci", ci))
			var bound *BoundError
			if !errors.As(err, &bound) || len(got) != 1 || got[0].Source != proof.Digest {
				t.Errorf("evidence %+v, error %v; want the one of %s and a word on what is too large", got, err, proof.Digest)
			}
		})
	}
}

func TestFetchDistrustsAnnotations(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	soak := signed(t, ci, about(gate.PredicateSoak, aSoak, w.digest))
	w.server.Attach(t, "shop/web", w.digest, bundleType, soak, map[string]string{predicateTypeAnnotation: gate.PredicateSignature})
	got, err := w.fetch(t, inGate("ci", ci))
	check(t, err)
	if len(got) != 1 || got[0].PredicateType != gate.PredicateSoak {
		t.Errorf("evidence %+v, want a soak", got)
	}
}

func TestFetchIgnoresPredicateAnnotation(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	bundle := signed(t, ci, about(gate.PredicateSignature, "{}", w.digest))
	w.server.Attach(t, "shop/web", w.digest, bundleType, bundle, map[string]string{predicateTypeAnnotation: "https://example.com/other"})
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("evidence %+v, %v", got, err)
	}
}

// failing answers requests to a path with an error.
func failing(w fixture, path string) {
	w.server.Before(func(response http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, path) {
			response.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
}

func TestFetchReturnsEvidenceWithReadError(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	soak := w.attest(t, ci, gate.PredicateSoak, json.RawMessage(aSoak))
	failing(w, "/manifests/"+soak.Digest)
	got, err := w.fetch(t, inGate("ci", ci))
	var failed *registry.Error
	if !errors.As(err, &failed) || len(got) != 1 || got[0].PredicateType != gate.PredicateSignature {
		t.Errorf("evidence %+v, error %v; want the signature and a registry's error", got, err)
	}
}

func TestStoreForgetsRemovedSigner(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	signers := []v1alpha1.Signer{inGate("ci", ci)}
	if got := w.store.Known(t.Context(), w.query(signers...)); len(got) != 0 {
		t.Fatalf("known before it was fetched: %+v", got)
	}
	found, err := w.fetch(t, signers...)
	check(t, err)
	w.server.Stop()

	if diff := cmp.Diff(found, w.store.Known(t.Context(), w.query(signers...))); diff != "" || len(found) != 1 {
		t.Errorf("known with the registry down (-found +known):\n%s", diff)
	}
	again, err := w.fetch(t, signers...)
	if err == nil || len(again) != 1 {
		t.Errorf("fetched with the registry down: %+v, %v; want what is known and an error", again, err)
	}
	for name, others := range map[string][]v1alpha1.Signer{
		"no signer":   {},
		"another key": {inGate("ci", newKey(t))},
		"another one": {inGate("someone", ci)},
	} {
		if got := w.store.Known(t.Context(), w.query(others...)); len(got) != 0 {
			t.Errorf("known to a Gate with %s: %+v", name, got)
		}
	}
	w.digest = digestA
	if got := w.store.Known(t.Context(), w.query(signers...)); len(got) != 0 {
		t.Errorf("known about another digest: %+v", got)
	}
}

func TestStoreFindsNewEvidence(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	w.attest(t, ci, gate.PredicateSoak, json.RawMessage(aSoak))
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStoreSharesConcurrentFetches(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})

	const askers = 20
	var lists atomic.Int32
	arrived, open := make(chan struct{}), make(chan struct{})
	w.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") && lists.Add(1) == 1 {
			close(arrived)
			<-open
		}
		return false
	})
	var group sync.WaitGroup
	var asking atomic.Int32
	for range askers {
		group.Go(func() {
			asking.Add(1)
			if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	<-arrived
	for asking.Load() < askers { // all are on their way; most of them join the flight
		runtime.Gosched()
	}
	close(open)
	group.Wait()
	if n := lists.Load(); n > askers/2 {
		t.Errorf("the registry was asked %d times by %d askers", n, askers)
	}
}

func TestStoreFetchSurvivesCanceledCaller(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	arrived, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") {
			once.Do(func() { close(arrived) })
			<-open
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	impatient := make(chan error, 1)
	go func() {
		_, err := w.store.Fetch(ctx, w.query(inGate("ci", ci)))
		impatient <- err
	}()
	<-arrived
	cancel()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("the impatient one got %v", err)
	}
	close(open)
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStoreEvictsLeastRecentlyUsed(t *testing.T) {
	one := []gate.Evidence{{Signer: "ci", PredicateType: gate.PredicateSignature, Source: digestA}}
	c := newCache(3 * (len("k0") + sizeOf(one)))
	for _, key := range []string{"k0", "k1", "k2"} {
		c.put(key, one)
	}
	c.get("k0")
	c.put("k3", one)
	c.put("k3", one) // the same again takes no more
	kept := slices.Sorted(maps.Keys(c.entries))
	if diff := cmp.Diff([]string{"k0", "k2", "k3"}, kept); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.put("large", slices.Repeat(one, 10))
	if len(c.entries) != 0 || c.left != 3*(len("k0")+sizeOf(one)) {
		t.Errorf("after what is too large: %d entries, %d left", len(c.entries), c.left)
	}
}
