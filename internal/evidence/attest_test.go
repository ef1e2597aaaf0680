package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/programtest"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// cosign is the real one, with a folder of its own.
type cosign struct {
	program, dir string
}

func newCosign(t testing.TB) cosign {
	t.Helper()
	return cosign{programtest.Cosign(t), t.TempDir()}
}

// run runs cosign offline. No call of it takes more than a second; a minute is for a
// machine that does other things.
func (c cosign) run(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program, arguments...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=secret", "HOME="+c.dir, "DOCKER_CONFIG="+c.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		t.Logf("cosign %s: %v\n%s", strings.Join(arguments, " "), err, stderr.String())
	}
	return stdout.String(), err
}

func (c cosign) mustRun(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := c.run(t, arguments...)
	check(t, err)
	return out
}

// newKey makes a key pair as its users do and reads it as ours.
func (c cosign) newKey(t testing.TB, name string) *Signer {
	t.Helper()
	c.mustRun(t, "generate-key-pair", "--output-key-prefix", name)
	pem, err := os.ReadFile(filepath.Join(c.dir, name+".key"))
	check(t, err)
	signer, err := ReadSigner(pem, func() ([]byte, error) { return []byte("secret"), nil })
	check(t, err)
	return signer
}

func (c cosign) file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	check(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// offline are what `cosign sign` and `cosign attest` need without a transparency log.
var offline = []string{"-y", "--use-signing-config=false", "--tlog-upload=false"}

func TestVerifyCosignSignatures(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			c, w := newCosign(t), newFixture(t, kind)
			signer := c.newKey(t, "ci")
			image := w.repository + "@" + w.digest
			sbom := c.file(t, "sbom.json", `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"web"}`)
			bom := c.file(t, "bom.json", `{"bomFormat":"CycloneDX","specVersion":"1.6"}`)
			result := c.file(t, "result.json", `{"result":"PASSED","configuration":[{"name":"e2e"}],"passedTests":["checkout"]}`)

			c.mustRun(t, append([]string{"sign", "--key", "ci.key", image}, offline...)...)
			c.mustRun(t, append([]string{"attest", "--key", "ci.key", "--type", "spdxjson", "--predicate", sbom, image}, offline...)...)
			c.mustRun(t, append([]string{"attest", "--key", "ci.key", "--type", "cyclonedx", "--predicate", bom, image}, offline...)...)
			c.mustRun(t, append([]string{"attest", "--key", "ci.key", "--type", gate.PredicateTest, "--predicate", result, image}, offline...)...)

			got, err := w.fetch(t, inGate("ci", signer))
			check(t, err)
			found := map[string]gate.Evidence{}
			for _, e := range got {
				found[e.PredicateType] = e
			}
			for _, want := range []string{gate.PredicateSignature, gate.PredicateSPDX, gate.PredicateCycloneDX, gate.PredicateTest} {
				if _, ok := found[want]; !ok {
					t.Errorf("no %s in %+v", want, got)
				}
			}
			if test := found[gate.PredicateTest].Test; test == nil || len(test.PassedTests) != 1 || test.Configuration[0].Name != "e2e" {
				t.Errorf("test result %+v", found[gate.PredicateTest])
			}
			if got, err := w.fetch(t, inGate("ci", newKey(t))); err != nil || len(got) != 0 {
				t.Errorf("with another key: %+v, %v", got, err)
			}
		})
	}
}

func TestCosignVerifiesAttest(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			c, w := newCosign(t), newFixture(t, kind)
			signer := c.newKey(t, "observer")
			w.attest(t, signer, gate.PredicateSoak, json.RawMessage(aSoak))
			c.newKey(t, "other")

			verify := func(key, predicateType string) (string, error) {
				return c.run(t, "verify-attestation", "--key", key, "--insecure-ignore-tlog=true", "--type", predicateType, w.repository+"@"+w.digest)
			}
			out, err := verify("observer.pub", gate.PredicateSoak)
			if err != nil || !strings.Contains(out, `"payload"`) {
				t.Errorf("cosign printed %q, %v", out, err)
			}
			if _, err := verify("other.pub", gate.PredicateSoak); err == nil {
				t.Error("cosign verified with another key")
			}
			if _, err := verify("observer.pub", gate.PredicateApproval); err == nil {
				t.Error("cosign found an approval in a soak")
			}
		})
	}
}

func TestAttestLayoutMatchesCosign(t *testing.T) {
	c, w := newCosign(t), newFixture(t, registrytest.WithReferrers)
	signer := c.newKey(t, "observer")
	predicate := c.file(t, "soak.json", aSoak)
	c.mustRun(t, append([]string{"attest", "--key", "observer.key", "--type", gate.PredicateSoak, "--predicate", predicate, w.repository + "@" + w.digest}, offline...)...)
	ours := w.attest(t, signer, gate.PredicateSoak, json.RawMessage(aSoak))

	listed, err := w.client.Referrers(t.Context(), w.repository, w.digest)
	check(t, err)
	if len(listed) != 2 {
		t.Fatalf("referrers %+v", listed)
	}
	theirs := listed[0].Digest
	if theirs == ours.Digest {
		theirs = listed[1].Digest
	}
	a, b := w.layout(t, theirs), w.layout(t, ours.Digest)
	if a != b {
		t.Errorf("cosign's:\n%s\nours:\n%s", a, b)
	}
}

// layout returns an attestation without its time, its size and its signature.
func (w fixture) layout(t testing.TB, digest string) string {
	t.Helper()
	manifest, err := w.client.Manifest(t.Context(), w.repository, digest)
	check(t, err)
	bundle, err := w.client.Blob(t.Context(), w.repository, manifest.Layers[0].Digest, manifest.Layers[0].Size)
	check(t, err)
	var parsed struct {
		MediaType            string         `json:"mediaType"`
		VerificationMaterial map[string]any `json:"verificationMaterial"`
		DsseEnvelope         struct {
			PayloadType string `json:"payloadType"`
		} `json:"dsseEnvelope"`
	}
	check(t, json.Unmarshal(bundle, &parsed))
	delete(manifest.Annotations, createdAnnotation)
	layout, err := json.MarshalIndent(map[string]any{
		"mediaType":    manifest.MediaType,
		"artifactType": manifest.ArtifactType,
		"annotations":  manifest.Annotations,
		"layers":       len(manifest.Layers),
		"layerType":    manifest.Layers[0].MediaType,
		"bundle":       parsed,
	}, "", "  ")
	check(t, err)
	return string(layout)
}

func TestVerifyCosignKeyTypes(t *testing.T) {
	// cosign imports keys that others made. It signs with Ed25519ph by Ed25519 keys, and
	// verifies with SHA-256 by P-384 keys, whatever it signed with, unless told.
	for name, hash := range map[string]string{"Ed25519": "sha256", "P-384": "sha384", "RSA": "sha256"} {
		t.Run(name, func(t *testing.T) {
			c, w := newCosign(t), newFixture(t, registrytest.WithReferrers)
			private := privateKey(t, name)
			pem, err := cryptoutils.MarshalPrivateKeyToPEM(private)
			check(t, err)
			c.file(t, "plain.pem", string(pem))
			c.mustRun(t, "import-key-pair", "--key", "plain.pem", "--output-key-prefix", "ci")
			c.mustRun(t, append([]string{"sign", "--key", "ci.key", w.repository + "@" + w.digest}, offline...)...)
			got, err := w.fetch(t, inGate("ci", signerOf(t, private)))
			if err != nil || len(got) != 1 {
				t.Errorf("evidence %+v, %v", got, err)
			}

			w.attest(t, signerOf(t, private), gate.PredicateSoak, json.RawMessage(aSoak))
			c.mustRun(t, "verify-attestation", "--key", "ci.pub", "--insecure-ignore-tlog=true", "--signature-digest-algorithm", hash,
				"--type", gate.PredicateSoak, w.repository+"@"+w.digest)
		})
	}
}
