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
func (r Registry) Push(tb testing.TB, repository string) string {
	tb.Helper()
	server := registrytest.Server{Host: r.Host}
	return server.Name(repository) + "@" + server.Image(tb, repository)
}

// Attest attaches a statement that a key signs to an image.
func (r Registry) Attest(tb testing.TB, reference, key, predicateType string, predicate any) {
	tb.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	client := registry.NewClient()
	target, err := evidence.FindTarget(tb.Context(), client, repository, digest)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := evidence.Attest(tb.Context(), client, r.Keys[key], target, predicateType, predicate); err != nil {
		tb.Fatal(err)
	}
}

// Sign attaches a signature by a key to an image.
func (r Registry) Sign(tb testing.TB, reference, key string) {
	tb.Helper()
	r.Attest(tb, reference, key, gate.PredicateSignature, map[string]any{})
}

// AttestSoak attaches a soak: the image was healthy in staging for 25h, until some time ago.
func (r Registry) AttestSoak(tb testing.TB, reference, key string, ago time.Duration) {
	tb.Helper()
	r.Attest(tb, reference, key, gate.PredicateSoak, NewSoak(reference, 25*time.Hour, ago))
}

// NewSoak returns a soak in staging.
func NewSoak(reference string, duration, ago time.Duration) gate.Soak {
	return gatetest.Soak("shop", reference, duration, ago)
}

// PushProven pushes an image that has everything that ProdGate requires.
func (r Registry) PushProven(tb testing.TB) string {
	tb.Helper()
	return r.pushSoaked(tb, time.Hour)
}

// PushAged pushes an image whose soak is older than ProdGate's maxAge: it may go on running,
// and not be deployed.
func (r Registry) PushAged(tb testing.TB) string {
	tb.Helper()
	return r.pushSoaked(tb, 100*time.Hour)
}

func (r Registry) pushSoaked(tb testing.TB, ago time.Duration) string {
	tb.Helper()
	reference := r.Push(tb, "shop/web")
	r.Sign(tb, reference, "ci")
	r.AttestSoak(tb, reference, "observer", ago)
	return reference
}

// Digest returns a digest of one repeated digit.
func Digest(digit rune) string { return "sha256:" + strings.Repeat(string(digit), 64) }
