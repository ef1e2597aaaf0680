package legacy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/logging"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/evidence/legacy"
	"github.com/envladder/envladder/internal/evidence/sigstoretest"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/programtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// fixture is a registry with an image, the real cosign that writes its older form, and a
// store that knows it.
type fixture struct {
	server   *registrytest.Server
	image    gate.Image
	store    *evidence.Store
	plain    *evidence.Store // knows bundles alone
	verifier *legacy.Verifier
	dir      string
	public   string
	*sigstoretest.Sigstore
}

func newFixture(t *testing.T, kind ...registrytest.Kind) *fixture {
	t.Helper()
	kind = append(kind, registrytest.WithoutReferrers)
	programtest.Cosign(t)
	w := &fixture{server: registrytest.Start(t, kind[0]), dir: t.TempDir(), Sigstore: sigstoretest.Start(t)}
	w.image = gate.Image{Repository: w.server.Name("shop/web"), Digest: w.server.Image(t, "shop/web")}
	check(t, os.WriteFile(filepath.Join(w.dir, "corp.json"), w.TrustedRoot, 0o600))
	client, trust := registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{Roots: w.dir})
	w.verifier = legacy.New(client, trust)
	w.store, w.plain = evidence.NewStore(client, trust).WithLegacy(w.verifier), evidence.NewStore(client, trust)
	w.cosign(t, "generate-key-pair", "--output-key-prefix", "ci")
	public, err := os.ReadFile(filepath.Join(w.dir, "ci.pub"))
	check(t, err)
	w.public = string(public)
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *fixture) cosign(t *testing.T, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, programtest.Cosign(t), arguments...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=secret", "HOME="+w.dir, "DOCKER_CONFIG="+w.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("cosign %s: %v\n%s", strings.Join(arguments, " "), err, stderr.String())
	}
}

func (w *fixture) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	check(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func (w *fixture) name() string { return w.image.Repository + "@" + w.image.Digest }

var older = []string{"-y", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"}

func (w *fixture) byKey() []string { return append([]string{"--key", "ci.key"}, older...) }

func (w *fixture) byPerson(t *testing.T, email string) []string {
	t.Helper()
	return append([]string{
		"--fulcio-url", w.FulcioURL, "--identity-token", w.file(t, "token", w.Token(email)),
		"--timestamp-server-url", w.TimestampURL, "--insecure-skip-verify",
	}, older...)
}

const approval = `{"ladder":"shop","environment":"prod","comment":"fine"}`

// signAndAttest leaves a signature, an SBOM and an approval in the older form.
func (w *fixture) signAndAttest(t *testing.T, by []string) {
	t.Helper()
	w.cosign(t, append([]string{"sign", w.name()}, by...)...)
	w.cosign(t, append([]string{"attest", "--type", "spdxjson", "--predicate", w.file(t, "sbom.json", `{"spdxVersion":"SPDX-2.3","name":"web"}`), w.name()}, by...)...)
	w.cosign(t, append([]string{"attest", "--type", gate.PredicateApproval, "--predicate", w.file(t, "approval.json", approval), w.name()}, by...)...)
}

func (w *fixture) key(legacy bool) v1alpha1.Signer {
	return v1alpha1.Signer{Name: "ci", Key: &v1alpha1.KeySigner{Data: w.public}, Legacy: legacy}
}

func person(subject string) v1alpha1.Signer {
	return v1alpha1.Signer{Name: "ana", Legacy: true, Keyless: &v1alpha1.KeylessSigner{Issuer: sigstoretest.Issuer, Subject: subject, TrustedRoot: "corp"}}
}

// found returns the predicate types of what is found for a signer.
func (w *fixture) found(t *testing.T, store *evidence.Store, signer v1alpha1.Signer) map[string]gate.Evidence {
	t.Helper()
	got, err := store.Fetch(t.Context(), evidence.Query{Image: w.image, Signers: []v1alpha1.Signer{signer}})
	check(t, err)
	all := map[string]gate.Evidence{}
	for _, e := range got {
		all[e.PredicateType] = e
	}
	return all
}

func TestLegacyCountsOnlyIfGateAllowsIt(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) { theOlderFormCounts(t, newFixture(t, kind)) })
	}
}

func theOlderFormCounts(t *testing.T, w *fixture) {
	t.Helper()
	w.signAndAttest(t, w.byKey())
	found := w.found(t, w.store, w.key(true))
	if len(found) != 3 || found[gate.PredicateSignature].Signer != "ci" || found[gate.PredicateSPDX].Signer != "ci" {
		t.Errorf("evidence %+v", found)
	}
	if a := found[gate.PredicateApproval].Approval; a == nil || a.Environment != "prod" || a.Comment != "fine" {
		t.Errorf("approval %+v", found[gate.PredicateApproval])
	}
	if found := w.found(t, w.store, w.key(false)); len(found) != 0 {
		t.Errorf("where the Gate doesn't say so: %+v", found)
	}
	stranger := w.key(true)
	w.cosign(t, "generate-key-pair", "--output-key-prefix", "other")
	public, err := os.ReadFile(filepath.Join(w.dir, "other.pub"))
	check(t, err)
	stranger.Key.Data = string(public)
	if found := w.found(t, w.store, stranger); len(found) != 0 {
		t.Errorf("by another key: %+v", found)
	}
	other := *w
	other.image.Digest = w.server.Image(t, "shop/web")
	if found := other.found(t, w.store, w.key(true)); len(found) != 0 {
		t.Errorf("about another image: %+v", found)
	}
}

func TestLegacyUnsupportedIsReported(t *testing.T) {
	w := newFixture(t)
	_, err := w.plain.Fetch(t.Context(), evidence.Query{Image: w.image, Signers: []v1alpha1.Signer{w.key(true)}})
	if err == nil || !strings.Contains(err.Error(), "cosign 2") {
		t.Errorf("error %v", err)
	}
}

// fakeClusterCache is a cache that gives what it is given.
type fakeClusterCache struct{ kept []v1alpha1.CachedAttestation }

func (s fakeClusterCache) Load(context.Context, string, string) ([]v1alpha1.CachedAttestation, error) {
	return s.kept, nil
}

func (fakeClusterCache) Key(context.Context) ([]byte, error) { return bytes.Repeat([]byte{7}, 32), nil }

// afterRestart returns how much evidence is known after a restart, with the
// registry down.
func (w *fixture) afterRestart(t *testing.T, found []gate.Evidence, before, after evidence.Query) int {
	t.Helper()
	keeper := evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{Roots: w.dir})).WithLegacy(w.verifier)
	keeper.UseClusterCache(fakeClusterCache{})
	_, err := keeper.Fetch(t.Context(), before)
	check(t, err)
	kept, err := keeper.Cacheable(t.Context(), before, found)
	check(t, err)
	w.server.Before(func(rw http.ResponseWriter, _ *http.Request) bool {
		t.Error("the registry was asked")
		return false
	})
	defer w.server.Before(func(http.ResponseWriter, *http.Request) bool { return false })
	trust := evidence.NewTrust(evidence.TrustOptions{Roots: w.dir})
	client := registry.NewClient()
	restarted := evidence.NewStore(client, trust).WithLegacy(legacy.New(client, trust))
	restarted.UseClusterCache(fakeClusterCache{kept})
	return len(restarted.Known(t.Context(), after))
}

// TestLegacyEvidenceIsCached: what can't be read again as a bundle is kept as the webhook's
// own word, for the very signer that it was verified by.
func TestLegacyEvidenceIsCached(t *testing.T) {
	w := newFixture(t)
	w.signAndAttest(t, w.byKey())
	query := func(signers ...v1alpha1.Signer) evidence.Query {
		return evidence.Query{Image: w.image, Signers: signers}
	}
	found, err := w.store.Fetch(t.Context(), query(w.key(true)))
	check(t, err)
	ended := w.key(true)
	ended.NotAfter = new(metav1.NewTime(time.Now()))
	replaced := person("ana@example.com")
	replaced.Name = "ci"
	other := query(w.key(true))
	other.Image.Digest = w.server.Image(t, "shop/web")
	for name, test := range map[string]struct {
		after evidence.Query
		want  int
	}{
		"for the signer":                      {query(w.key(true)), 3},
		"where the older form counts no more": {query(w.key(false)), 0},
		"where the signer is somebody else":   {query(replaced), 0},
		"where the Gate says more of it":      {query(ended), 0},
		"where the signer has left":           {query(person("ana@example.com")), 0},
		"about another image":                 {other, 0},
	} {
		if got := w.afterRestart(t, found, query(w.key(true)), test.after); got != test.want {
			t.Errorf("%s %d are known, want %d", name, got, test.want)
		}
	}
}

func TestLegacyKeylessSignatures(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) { peopleSignInTheOlderForm(t, newFixture(t, kind)) })
	}
}

func peopleSignInTheOlderForm(t *testing.T, w *fixture) {
	t.Helper()
	// Signatures alone: of an attestation in the older form, cosign 3 has other bytes
	// timestamped than the cosign 2 in policy-controller checks.
	w.cosign(t, append([]string{"sign", w.name()}, w.byPerson(t, "ana@example.com")...)...)
	found := w.found(t, w.store, person("ana@example.com"))
	if len(found) != 1 || found[gate.PredicateSignature].Identity != "ana@example.com" {
		t.Errorf("evidence %+v", found)
	}
	if found := w.found(t, w.store, person("na@example.com")); len(found) != 0 {
		t.Errorf("of somebody else: %+v", found)
	}
	pattern := person("")
	pattern.Keyless.SubjectPattern = "na@example.com"
	if found := w.found(t, w.store, pattern); len(found) != 0 {
		t.Errorf("by a pattern of a part of the name: %+v", found)
	}
}

func TestLegacyFailureIsNotAbsence(t *testing.T) {
	w := newFixture(t)
	w.signAndAttest(t, w.byKey())
	for name, fail := range map[string]func(http.ResponseWriter){
		"broken": func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusInternalServerError) },
		"huge": func(rw http.ResponseWriter) {
			chunk := bytes.Repeat([]byte("x"), 1<<20)
			for range 128 {
				if _, err := rw.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		w.server.Before(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/sha256-") || !strings.HasSuffix(r.URL.Path, ".sig") && !strings.HasSuffix(r.URL.Path, ".att") {
				return false
			}
			fail(rw)
			return true
		})
		got, err := w.store.Fetch(t.Context(), evidence.Query{Image: w.image, Signers: []v1alpha1.Signer{w.key(true)}})
		if err == nil || len(got) != 0 {
			t.Errorf("%s: evidence %+v, error %v; want an error", name, got, err)
		}
	}
}

// policy returns a ClusterImagePolicy, as people have them.
func (w *fixture) policy(t *testing.T, apiVersion string, change func(map[string]any)) []byte {
	t.Helper()
	spec := map[string]any{
		"images":      []any{map[string]any{"glob": w.server.Host + "/shop/**"}},
		"authorities": []any{map[string]any{"name": "ci", "key": map[string]any{"data": w.public}, "ctlog": nil}},
	}
	delete(spec["authorities"].([]any)[0].(map[string]any), "ctlog")
	change(spec)
	document, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": "ClusterImagePolicy", "metadata": map[string]any{"name": "corp"}, "spec": spec,
	})
	check(t, err)
	return document
}

func authority(spec map[string]any) map[string]any {
	return spec["authorities"].([]any)[0].(map[string]any)
}

func TestClusterImagePolicyDecides(t *testing.T) {
	w := newFixture(t)
	w.signAndAttest(t, w.byKey())
	other := w.image
	other.Digest = w.server.Image(t, "shop/web")
	attestation := func(predicateType string) func(map[string]any) {
		return func(spec map[string]any) {
			authority(spec)["attestations"] = []any{map[string]any{"name": "must", "predicateType": predicateType}}
		}
	}
	const refusing = `predicateType: "none"` // in CUE
	judging := func(policy map[string]any) func(map[string]any) {
		return func(spec map[string]any) {
			authority(spec)["attestations"] = []any{map[string]any{"name": "must", "predicateType": "spdxjson", "policy": policy}}
		}
	}
	above := func(policy map[string]any) func(map[string]any) {
		return func(spec map[string]any) { spec["policy"] = policy }
	}
	inConfigMap := map[string]any{"type": "cue", "configMapRef": map[string]any{"name": "policy", "key": "cue"}}
	remote := map[string]any{"type": "cue", "remote": map[string]any{"url": "https://example.com/policy", "sha256sum": strings.Repeat("0", 64)}}
	for name, test := range map[string]struct {
		change  func(map[string]any)
		image   gate.Image
		refused string // part of why
		err     string
	}{
		"its key":             {func(map[string]any) {}, w.image, "", ""},
		"an unsigned image":   {func(map[string]any) {}, other, "no signatures found", ""},
		"an attestation":      {attestation("spdxjson"), w.image, "", ""},
		"no such attestation": {attestation("cyclonedx"), w.image, "no matching attestations", ""},
		"a static refusal": {func(spec map[string]any) {
			spec["authorities"] = []any{map[string]any{"name": "no", "static": map[string]any{"action": "fail", "message": "not today"}}}
		}, w.image, "not today", ""},
		"other images":       {func(spec map[string]any) { spec["images"] = []any{map[string]any{"glob": "r.example.com/**"}} }, w.image, "other images", ""},
		"warnings count too": {func(spec map[string]any) { spec["mode"] = "warn" }, other, "no signatures found", ""},
		"a match": {func(spec map[string]any) {
			spec["match"] = []any{map[string]any{"group": "apps", "version": "v1", "resource": "deployments"}}
		}, w.image, "", "match"},
		"a key in a Secret": {func(spec map[string]any) {
			authority(spec)["key"] = map[string]any{"secretRef": map[string]any{"name": "key"}}
		}, w.image, "", "Secret"},
		"a policy that an attestation doesn't meet": {judging(map[string]any{"type": "cue", "data": refusing}), w.image, "conflicting values", ""},
		"a policy of attestations in a ConfigMap":   {judging(inConfigMap), w.image, "", "configMapRef"},
		"a policy of attestations that is remote":   {judging(remote), w.image, "", "remote"},
		"a policy in a ConfigMap":                   {above(inConfigMap), w.image, "", "configMapRef"},
		"a policy that is remote":                   {above(remote), w.image, "", "remote"},
		"a policy about the image's configuration":  {above(map[string]any{"type": "cue", "data": "x: 1", "fetchConfigFile": true}), w.image, "", "fetchConfigFile"},
		"an unknown field":                          {func(spec map[string]any) { spec["quorum"] = 2 }, w.image, "", "quorum"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{"policy.sigstore.dev/v1alpha1", "policy.sigstore.dev/v1beta1"} {
				refused, err := w.verifier.Admits(t.Context(), w.policy(t, version, test.change), test.image)
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) {
						t.Errorf("%s: refused %q, error %v; want one about %q", version, refused, err, test.err)
					}
					continue
				}
				check(t, err)
				if (refused == "") != (test.refused == "") || !strings.Contains(refused, test.refused) {
					t.Errorf("%s: refused %q, want %q", version, refused, test.refused)
				}
			}
		})
	}
}

func TestGateWithClusterImagePolicy(t *testing.T) {
	w := newFixture(t)
	w.signAndAttest(t, w.byKey())
	q := evidence.Query{Image: w.image, Policy: &evidence.Policy{Name: "corp", Document: w.policy(t, "policy.sigstore.dev/v1beta1", func(map[string]any) {})}}
	got, err := w.store.Fetch(t.Context(), q)
	check(t, err)
	if len(got) != 1 || got[0].Policy != "corp" || got[0].Malformed != "" {
		t.Errorf("evidence %+v", got)
	}
	if known := w.store.Known(t.Context(), q); len(known) != 1 {
		t.Errorf("known %+v", known)
	}
	changed := q
	changed.Policy = &evidence.Policy{Name: "corp", Document: w.policy(t, "policy.sigstore.dev/v1beta1", func(spec map[string]any) { spec["mode"] = "warn" })}
	renamed := q
	renamed.Policy = &evidence.Policy{Name: "other", Document: q.Policy.Document}
	none := q
	none.Policy = nil
	for name, test := range map[string]struct {
		after evidence.Query
		want  int
	}{
		"for the policy":               {q, 1},
		"for a policy that changed":    {changed, 0},
		"for another one":              {renamed, 0},
		"where the Gate names no more": {none, 0},
	} {
		if known := w.afterRestart(t, got, q, test.after); known != test.want {
			t.Errorf("after a restart, %s %d are known, want %d", name, known, test.want)
		}
	}
	q.Policy = &evidence.Policy{Name: "corp"}
	if got, err := w.store.Fetch(t.Context(), q); err != nil || len(got) != 1 || got[0].Malformed == "" {
		t.Errorf("where the cluster has none: %+v, %v", got, err)
	}
}

// TestLegacyLogsNoAttestations: policy-controller would tell them in a log of its own.
func TestLegacyLogsNoAttestations(t *testing.T) {
	w := newFixture(t)
	w.signAndAttest(t, w.byKey())
	core, logged := observer.New(zap.DebugLevel)
	ctx := logging.WithLogger(t.Context(), zap.New(core).Sugar())
	policy := w.policy(t, "policy.sigstore.dev/v1beta1", func(spec map[string]any) {
		spec["policy"] = map[string]any{"type": "cue", "data": "authorityMatches: {}"}
	})
	if refused, err := w.verifier.Admits(ctx, policy, w.image); refused != "" || err != nil {
		t.Fatalf("refused %q, error %v", refused, err)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(w.public))
	check(t, err)
	claims, err := w.verifier.Signed(ctx, w.image, evidence.LegacySigner{Key: key})
	if len(claims) == 0 || err != nil {
		t.Fatalf("claims %+v, error %v", claims, err)
	}
	for _, entry := range logged.All() {
		t.Errorf("logged: %s", entry.Message)
	}
}

// broken is a context that panics where policy-controller looks into it.
type broken struct{ context.Context }

func (broken) Value(any) any { panic("no such value") }

// TestLegacyReturnsPanicAsError: policy-controller is asked in goroutines, and what it reads is
// anybody's to write.
func TestLegacyReturnsPanicAsError(t *testing.T) {
	w := newFixture(t)
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(w.public))
	check(t, err)
	_, err = w.verifier.Signed(broken{t.Context()}, w.image, evidence.LegacySigner{Key: key})
	if _, caught := errors.AsType[*panics.Error](err); !caught {
		t.Errorf("error %v, want the panic", err)
	}
}

// TestClusterImagePolicyResultIsBoundToRoot: what a policy names outside of itself is part
// of what its word was kept for.
func TestClusterImagePolicyResultIsBoundToRoot(t *testing.T) {
	w := newFixture(t)
	w.cosign(t, append([]string{"sign", w.name()}, w.byPerson(t, "ana@example.com")...)...)
	q := evidence.Query{Image: w.image, Policy: &evidence.Policy{Name: "corp", Document: w.policy(t, "policy.sigstore.dev/v1beta1", func(spec map[string]any) {
		spec["authorities"] = []any{map[string]any{
			"name": "ana",
			"keyless": map[string]any{
				"url": "https://fulcio.example.com", "trustRootRef": "corp", "insecureIgnoreSCT": true,
				"identities": []any{map[string]any{"issuer": sigstoretest.Issuer, "subject": "ana@example.com"}},
			},
			"rfc3161timestamp": map[string]any{"trustRootRef": "corp"},
		}}
	})}}
	found, err := w.store.Fetch(t.Context(), q)
	check(t, err)
	if known := w.afterRestart(t, found, q, q); known != 1 {
		t.Errorf("%d are known, want its word", known)
	}
	check(t, os.WriteFile(filepath.Join(w.dir, "corp.json"), sigstoretest.Start(t).TrustedRoot, 0o600))
	if known := w.afterRestart(t, found, q, q); known != 0 {
		t.Errorf("with another root %d are known, want none", known)
	}
}
