package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/observer/soakstore"
)

func TestAttesterPushesToEvidenceRepository(t *testing.T) {
	server, client := registrytest.Start(t, registrytest.WithReferrers), registry.NewClient()
	digest := server.Image(t, "shop/web")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.LoadDefaultSignerVerifier(private)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := evidence.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	j := attestJob{
		key:       soakstore.Key{Namespace: "shop", Spec: v1alpha1.SoakSpec{Repository: server.Name("shop/web"), Digest: digest}},
		evidence:  server.Name("evidence/web"),
		statement: gate.Soak{Environment: "staging"},
	}
	attached, err := NewAttester(client, signer).attest(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]int{"shop/web": 0, "evidence/web": 1} {
		listed, err := client.Referrers(t.Context(), server.Name(repository), digest)
		if err != nil || len(listed) != want || want == 1 && listed[0].Digest != attached.Digest {
			t.Errorf("%s: %+v, %v", repository, listed, err)
		}
	}
}
