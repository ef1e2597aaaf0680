// Package interop tests envladder and the real cosign with sigstore's own services, which run
// as programs on loopback: Fulcio with a certificate log, Rekor 2 and a timestamping authority;
// and with a KMS.
package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
)

var shared *bed.Bed

func TestMain(m *testing.M) {
	parts := bed.Parts{
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}, {Name: "plain"}},
		Programs:   []string{"cosign", "fulcio", "rekor", "timestamp-server", "tesseract", "local-kms"},
	}
	os.Exit(bed.Main(m, parts, func(b *bed.Bed) { shared = b }))
}

// sigstore returns the services. The first test that needs them starts them.
var sigstore = sync.OnceValues(func() (*services, error) { return startServices(context.Background(), shared) })

// check fails the test if there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commandTimeout allows for a busy machine. Signing waits some seconds for the logs.
const commandTimeout = time.Minute

// command runs a program with only the settings of the bed.
func command(ctx context.Context, b *bed.Bed, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = b.Dir
	cmd.Env = []string{
		"HOME=" + b.Dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=",
		// A KMS without authentication still requires credentials. The bed's CA signs its
		// certificate.
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=eu-west-2", "SSL_CERT_FILE=" + b.CA.File,
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(path), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// cosign runs cosign.
func cosign(ctx context.Context, b *bed.Bed, args ...string) (string, error) {
	path, err := b.Program(ctx, "cosign")
	if err != nil {
		return "", err
	}
	return command(ctx, b, path, args...)
}

// envladder runs envladder.
func envladder(ctx context.Context, b *bed.Bed, args ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "envladder"))
	if err != nil {
		return "", err
	}
	return command(ctx, b, path, args...)
}

// image is an image in a registry and its Gate.
type image struct {
	*services

	t                     *testing.T
	repository, reference string
	gate                  string // file
}

// newImage pushes an image.
func newImage(t *testing.T, s *services, registry *bed.Registry) *image {
	t.Helper()
	pushed, err := registry.Push(t.Context(), "shop/web", "1", t.Name())
	check(t, err)
	return &image{services: s, t: t, repository: pushed.Repository, reference: pushed.Ref()}
}

// file writes a file and returns its path.
func (i *image) file(name, content string) string {
	i.t.Helper()
	path := filepath.Join(i.t.TempDir(), name)
	check(i.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// cosign runs a command of cosign for the image.
func (i *image) cosign(args ...string) error {
	i.t.Helper()
	_, err := cosign(i.t.Context(), i.bed, append(args, i.reference)...)
	return err
}

// attest makes an attestation for the image with envladder.
func (i *image) attest(kind string, args ...string) {
	i.t.Helper()
	_, err := envladder(i.t.Context(), i.bed, append(append([]string{"attest", kind, "--ladder", "shop"}, args...), i.reference)...)
	check(i.t, err)
}

// codes returns the codes of the Gate's denial, or an empty string if the Gate allows the
// image.
func (i *image) codes() string {
	i.t.Helper()
	out, err := envladder(i.t.Context(), i.bed, "verify", i.reference, "--gate", i.gate, "--trusted-roots", i.roots(), "-o", "json")
	var verdict struct {
		Allowed bool
		Reasons []struct{ Code string }
	}
	if jsonErr := json.Unmarshal([]byte(out), &verdict); jsonErr != nil || verdict.Allowed != (err == nil) {
		i.t.Fatalf("no verdict: %v, %v", jsonErr, err)
	}
	var codes []string
	for _, reason := range verdict.Reasons {
		codes = append(codes, reason.Code)
	}
	return strings.Join(codes, " ")
}

// wantCodes checks the codes of the Gate's denial.
func (i *image) wantCodes(want string) {
	i.t.Helper()
	if got := i.codes(); got != want {
		i.t.Errorf("codes are %q, want %q", got, want)
	}
}

const (
	ci      = "ci@example.com"
	ana     = "ana@example.com"
	mallory = "mallory@example.com"

	approvalType = "https://envladder.dev/attestation/approval/v0.1"
	testType     = "https://in-toto.io/attestation/test-result/v0.1"
)

// keylessGate requires a signature and tests from CI, an approval from a person, and a soak
// signed with a key and a timestamp. A soak by hand has no statements before it, so it counts
// only because the Gate trusts the signer's clock.
const keylessGate = `apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: shop-prod}
spec:
  environment: prod
  namespaces: [shop]
  images:
  - {repository: %[3]q, ladder: shop}
  signers:
  - {name: ci, keyless: {issuer: %[1]q, subject: ci@example.com, trustedRoot: corp}}
  - {name: managers, keyless: {issuer: %[1]q, subject: ana@example.com, trustedRoot: corp}}
  - {name: observer, timestamp: corp, time: TrustSigner, key: {data: %[2]q}}
  requires:
    signature: {by: [ci]}
    tests: [{name: e2e, by: [ci], maxAge: 1h}]
    approvals: {by: [managers], maxAge: 1h}
    soak: {by: [observer], environment: staging, duration: 24h, maxAge: 720h}
`

// bySigningConfig returns arguments of cosign to sign with an identity and the services.
func (i *image) bySigningConfig(email string, args ...string) []string {
	i.t.Helper()
	return append(args, "-y", "--signing-config", i.signingConfig, "--trusted-root", i.trustedRoot, "--identity-token", i.tokenFile(email))
}

// byFlags returns arguments of envladder to sign with an identity and the services, without the
// log.
func (i *image) byFlags(email string) []string {
	i.t.Helper()
	return []string{"--environment", "prod", "--identity-token", i.tokenFile(email), "--fulcio-url", i.fulcio, "--timestamp-server-url", i.stamps}
}

// withLog adds the arguments for the log.
func (i *image) withLog(args []string) []string {
	return append(args, "--rekor-url", i.rekor, "--rekor-version", "2")
}

// tokenFile writes an OIDC token to a file.
func (i *image) tokenFile(email string) string {
	i.t.Helper()
	token, err := i.token(email)
	check(i.t, err)
	return i.file("token", token)
}

// TestKeyless checks that a Gate accepts signatures and attestations of cosign and envladder
// with certificates of Fulcio, timestamps and entries in Rekor 2, and that cosign verifies
// envladder's attestations.
func TestKeyless(t *testing.T) {
	s, err := sigstore()
	check(t, err)
	for _, name := range []string{"main", "plain"} {
		t.Run("registry "+name, func(t *testing.T) { checkKeyless(t, newImage(t, s, shared.Registry(name))) })
	}
}

// checkKeyless is TestKeyless with one registry.
func checkKeyless(t *testing.T, i *image) {
	t.Helper()
	keys := t.TempDir()
	_, err := cosign(t.Context(), i.bed, "generate-key-pair", "--output-key-prefix", filepath.Join(keys, "observer"))
	check(t, err)
	public, err := os.ReadFile(filepath.Join(keys, "observer.pub"))
	check(t, err)
	i.gate = i.file("gate.yaml", fmt.Sprintf(keylessGate, i.url, public, i.repository))

	check(t, i.cosign(i.bySigningConfig(ci, "sign")...))
	result := i.file("result.json", `{"result":"PASSED","configuration":[{"name":"e2e"}],"passedTests":["checkout"]}`)
	check(t, i.cosign(i.bySigningConfig(ci, "attest", "--type", testType, "--predicate", result)...))
	i.attest("soak", i.withLog([]string{
		"--environment", "staging", "--healthy", "24h", "--key", filepath.Join(keys, "observer.key"), "--timestamp-server-url", i.stamps,
	})...)
	i.attest("approval", i.withLog(i.byFlags(mallory))...)
	i.attest("approval", i.byFlags(ana)...) // not in the log that the trusted root has
	i.wantCodes("NoApproval")

	i.attest("approval", i.withLog(i.byFlags(ana))...)
	i.wantCodes("")

	verify := func(email string) error {
		return i.cosign("verify-attestation", "--trusted-root", i.trustedRoot, "--use-signed-timestamps",
			"--certificate-identity", email, "--certificate-oidc-issuer", i.url, "--type", approvalType)
	}
	check(t, verify(ana))
	if verify(ci) == nil {
		t.Error("cosign verifies the approval for another identity")
	}
}
