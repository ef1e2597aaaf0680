package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// trustedKey is a public key with the name of the Gate's signer. A key with two names gives
// evidence under both.
type trustedKey struct {
	signer   string
	hint     string
	material root.TrustedMaterial
	verifier *verify.Verifier
	// timed is set where times are proven.
	timed bool
}

// newTrustedKey returns a key whose times are proven by trusted, or by nothing where that is
// nil.
func newTrustedKey(signer string, public crypto.PublicKey, trusted *root.TrustedRoot) (trustedKey, error) {
	anyHash, err := newKeyVerifier(public)
	if err != nil {
		return trustedKey{}, err
	}
	// A bundle's key hint is an unverified claim, so it decides nothing here.
	material := root.TrustedMaterialCollection{root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(anyHash, time.Time{}, time.Time{}), nil
	})}
	if trusted != nil {
		material = append(material, trusted)
	}
	// A key has no certificate whose validity would need a time. The Gate's requirements on
	// time are judged by the time source that it trusts.
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	if err != nil {
		return trustedKey{}, err
	}
	hint, err := hintOf(public)
	if err != nil {
		return trustedKey{}, err
	}
	return trustedKey{signer: signer, hint: hint, material: material, verifier: verifier, timed: trusted != nil}, nil
}

// verify reports whether the key signed the bundle, and returns the claim with its proven
// time. A time that isn't trusted is ignored.
func (k trustedKey) verify(b *bundle.Bundle, policy verify.PolicyBuilder) (claim, bool) {
	if _, err := k.verifier.Verify(b, policy); err != nil {
		return claim{}, false
	}
	w := claim{signer: k.signer, key: k.hint}
	if !k.timed {
		return w, true
	}
	if stamps, _, err := verify.VerifySignedTimestamp(b, k.material); err == nil {
		for _, stamp := range stamps {
			w.noteTime(stamp.Time)
		}
	}
	if entries, err := verify.VerifyTlogEntry(b, k.material, 1, true); err == nil {
		for _, entry := range entries {
			w.noteTime(entry.Time)
		}
	}
	return w, true
}

// keyVerifier accepts all algorithms that sigstore's tools use with one key: cosign has signed
// with SHA-256 for any elliptic curve, and with Ed25519ph.
type keyVerifier []signature.Verifier

func newKeyVerifier(public crypto.PublicKey) (keyVerifier, error) {
	choices := [][]signature.LoadOption{{}}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			choices = append(choices, []signature.LoadOption{options.WithHash(crypto.SHA256)})
		}
	case ed25519.PublicKey:
		choices = append(choices, []signature.LoadOption{options.WithED25519ph()})
	}
	verifiers := make(keyVerifier, 0, len(choices))
	for _, choice := range choices {
		load := signature.LoadVerifierWithOpts
		if len(choice) == 0 {
			load = signature.LoadDefaultVerifier
		}
		verifier, err := load(public, choice...)
		if err != nil {
			return nil, fmt.Errorf("using its public key: %w", err)
		}
		verifiers = append(verifiers, verifier)
	}
	return verifiers, nil
}

// VerifySignature implements signature.Verifier.
func (v keyVerifier) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	sigBytes, err := io.ReadAll(sig)
	if err != nil {
		return err
	}
	messageBytes, err := io.ReadAll(message)
	if err != nil {
		return err
	}
	for _, verifier := range v {
		if err = verifier.VerifySignature(bytes.NewReader(sigBytes), bytes.NewReader(messageBytes), opts...); err == nil {
			return nil
		}
	}
	return err
}

// PublicKey implements signature.Verifier.
func (v keyVerifier) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return v[0].PublicKey(opts...)
}
