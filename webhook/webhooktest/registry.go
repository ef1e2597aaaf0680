package webhooktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gate/gatetest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// Registry is a registry in memory, with the keys that sign what is pushed to it.
type Registry struct {
	Host string // host:port
	// Keys by the names of their signers: ci, observer, ana, bo and stranger.
	Keys map[string]*evidence.Signer
}

// StartRegistry starts a registry that ends with the test, with new keys.
func StartRegistry(t registrytest.T) Registry {
	t.Helper()
	r := Registry{Keys: map[string]*evidence.Signer{}}
	for _, name := range []string{"ci", "observer", "ana", "bo", "stranger"} {
		signer, err := NewSigner()
		if err != nil {
			t.Fatal(err)
		}
		r.Keys[name] = signer
	}
	r.Host = registrytest.Start(t, registrytest.WithReferrers).Host
	return r
}

// NewSigner returns a signer with a new key.
func NewSigner() (*evidence.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return evidence.ReadSigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
}

// Push pushes a new image and returns repository@digest.
func (r Registry) Push(t testing.TB, repository string) string {
	t.Helper()
	server := registrytest.Server{Host: r.Host}
	return server.Name(repository) + "@" + server.Image(t, repository)
}

// Attest attaches a statement that a key signs to an image.
func (r Registry) Attest(t testing.TB, reference, key, predicateType string, predicate any) {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	client := registry.NewClient()
	target, err := evidence.FindTarget(t.Context(), client, repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Attest(t.Context(), client, r.Keys[key], target, predicateType, predicate); err != nil {
		t.Fatal(err)
	}
}

// Sign attaches a signature by a key to an image.
func (r Registry) Sign(t testing.TB, reference, key string) {
	t.Helper()
	r.Attest(t, reference, key, gate.PredicateSignature, map[string]any{})
}

// AttestSoak attaches a soak: the image was healthy in staging for 25h, until some time ago.
func (r Registry) AttestSoak(t testing.TB, reference, key string, ago time.Duration) {
	t.Helper()
	r.Attest(t, reference, key, gate.PredicateSoak, NewSoak(reference, 25*time.Hour, ago))
}

// NewSoak returns a soak in staging.
func NewSoak(reference string, duration, ago time.Duration) gate.Soak {
	return gatetest.Soak("shop", reference, duration, ago)
}

// PushProven pushes an image that has everything that ProdGate requires.
func (r Registry) PushProven(t testing.TB) string {
	t.Helper()
	return r.pushSoaked(t, time.Hour)
}

// PushAged pushes an image whose soak is older than ProdGate's maxAge: it may go on running,
// and not be deployed.
func (r Registry) PushAged(t testing.TB) string {
	t.Helper()
	return r.pushSoaked(t, 100*time.Hour)
}

func (r Registry) pushSoaked(t testing.TB, ago time.Duration) string {
	t.Helper()
	reference := r.Push(t, "shop/web")
	r.Sign(t, reference, "ci")
	r.AttestSoak(t, reference, "observer", ago)
	return reference
}

// Digest returns a digest of one repeated digit.
func Digest(digit rune) string { return "sha256:" + strings.Repeat(string(digit), 64) }
