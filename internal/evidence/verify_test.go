package evidence

import (
	"testing"

	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/envladder/envladder/internal/gate"
)

// signedPayload is a bundle of any payload.
func signedPayload(t testing.TB, signer *Signer, payloadType string, payload []byte) []byte {
	t.Helper()
	signed, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: payloadType}, signer.keypair, sign.BundleOptions{})
	check(t, err)
	bundle, err := protojson.Marshal(signed)
	check(t, err)
	return bundle
}

func mustPayload(t testing.TB, bundle []byte) []byte {
	t.Helper()
	parsed, err := parseBundle(bundle)
	check(t, err)
	return parsed.payload
}

// FuzzVerify gives a verifier bundles that anybody may have written: whatever is
// accepted was signed, and no seed but the first is.
func FuzzVerify(f *testing.F) {
	signer := newKey(f)
	good := signed(f, signer, about(gate.PredicateSoak, aSoak, digestA))
	payload := mustPayload(f, good)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{}]},"verificationMaterial":{"publicKey":{}}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","messageSignature":{},"verificationMaterial":{"x509CertificateChain":{}}}`))
	v := verifier(f, inGate("observer", signer))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		evidence, err := v.Verify(bundle, digestA)
		if err != nil {
			return
		}
		if len(evidence) != 1 || string(mustPayload(t, bundle)) != string(payload) {
			t.Errorf("accepted what wasn't signed: %q", bundle)
		}
	})
}

// FuzzStatement reads payloads as if a trusted signer had signed them.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"aa"}}],"predicateType":"https://envladder.dev/attestation/soak/v0.1","predicate":` + aSoak + `}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://in-toto.io/attestation/test-result/v0.1","predicate":{"result":"PASSED","configuration":[{"name":"e2e"}]}}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://envladder.dev/attestation/approval/v0.1","predicate":{"a":1,"A":2}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		statement, err := parseStatement(payload)
		if err != nil {
			return
		}
		e := statement.evidence()
		contents := 0
		for _, set := range []bool{e.Soak != nil, e.Test != nil, e.Approval != nil} {
			if set {
				contents++
			}
		}
		if contents > 1 || contents == 1 && e.Malformed != "" {
			t.Errorf("%q says several things: %+v", payload, e)
		}
	})
}
