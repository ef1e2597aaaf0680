package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
)

// Verifier verifies bundles by a Gate's signers, and returns their evidence.
type Verifier struct {
	keys       []trustedKey
	identities []trustedIdentity
}

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

// SignerError is returned for a signer of the Gate whose signatures can't be verified; it
// proves nothing.
type SignerError struct {
	Signer string
	Err    error
	// Elsewhere is set if the Gate is valid, but the source that the signer names is
	// unavailable: a KMS that doesn't respond, or a trusted root that isn't mounted.
	Elsewhere bool
}

func (e *SignerError) Error() string { return fmt.Sprintf("signer %q: %v", e.Signer, e.Err) }

func (e *SignerError) Unwrap() error { return e.Err }

// Verifier returns a Verifier for signers. The error joins a *SignerError for each signer whose
// signatures can't be verified; the returned Verifier has the others.
func (t *Trust) Verifier(ctx context.Context, signers []v1alpha1.Signer) (*Verifier, error) {
	// Concurrently, since a KMS that doesn't respond must not delay other signers.
	parts := make([]Verifier, len(signers))
	errs := make([]error, len(signers))
	var group sync.WaitGroup
	for i, signer := range signers {
		group.Go(func() {
			errs[i] = panics.Catch(func() (err error) {
				parts[i], err = t.verifierOf(ctx, signer)
				return err
			})
		})
	}
	group.Wait()
	all := &Verifier{}
	for _, part := range parts {
		all.keys = append(all.keys, part.keys...)
		all.identities = append(all.identities, part.identities...)
	}
	return all, errors.Join(errs...)
}

// verifierOf returns a Verifier for one signer.
func (t *Trust) verifierOf(ctx context.Context, signer v1alpha1.Signer) (Verifier, error) {
	var trusted *root.TrustedRoot
	if name := rootOf(signer); name != "" {
		var err error
		if trusted, err = t.root(ctx, name); err != nil {
			return Verifier{}, &SignerError{Signer: signer.Name, Err: err, Elsewhere: true}
		}
	}
	if signer.Keyless != nil {
		identity, err := newTrustedIdentity(signer, trusted)
		if err != nil {
			return Verifier{}, &SignerError{Signer: signer.Name, Err: err}
		}
		return Verifier{identities: []trustedIdentity{identity}}, nil
	}
	public, err := t.publicKey(ctx, signer)
	if err != nil {
		return Verifier{}, &SignerError{Signer: signer.Name, Err: err, Elsewhere: signer.KMS != ""}
	}
	key, err := newTrustedKey(signer.Name, public, trusted)
	if err != nil {
		return Verifier{}, &SignerError{Signer: signer.Name, Err: err}
	}
	return Verifier{keys: []trustedKey{key}}, nil
}

func (t *Trust) publicKey(ctx context.Context, signer v1alpha1.Signer) (crypto.PublicKey, error) {
	switch {
	case signer.KMS != "":
		return t.key(ctx, signer.KMS)
	case signer.Key == nil:
		return nil, errors.New("it has no key")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(signer.Key.Data))
	if err != nil {
		return nil, fmt.Errorf("reading its public key: %w", err)
	}
	return public, nil
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

// claim is the signer of a bundle, with the proven time.
type claim struct {
	signer, identity, key string
	signed                time.Time
}

// noteTime records a proven time. The earliest one counts: the signature is at least as old.
func (w *claim) noteTime(t time.Time) {
	if w.signed.IsZero() || t.Before(w.signed) {
		w.signed = t
	}
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

// Verify returns the evidence in a bundle about a digest: one for each signer who signed it.
// It returns errNoSigner for a bundle by another signer.
func (v *Verifier) Verify(bundleJSON []byte, digest string) ([]gate.Evidence, error) {
	parsed, err := parseBundle(bundleJSON)
	if err != nil {
		return nil, err
	}
	hexDigest, ok := strings.CutPrefix(digest, "sha256:")
	raw, err := hex.DecodeString(hexDigest)
	if !ok || err != nil {
		return nil, fmt.Errorf("verifying a bundle about %q: it isn't a SHA-256 digest", digest)
	}
	artifact := verify.WithArtifactDigest("sha256", raw)
	claims := v.identityClaims(parsed.Bundle, artifact)
	if len(claims) == 0 {
		claims = v.keyClaims(parsed.Bundle, verify.NewPolicy(artifact, verify.WithKey()))
	}
	if len(claims) == 0 {
		return nil, errNoSigner
	}
	// Parse further only if an accepted signer signed it.
	return parsed.evidence(digest, claims)
}

// keyClaims returns the claims of signers whose key signed the bundle. The keys that match its
// hint are tried first, and all others only if none of them signed it: a Gate may have many.
func (v *Verifier) keyClaims(b *bundle.Bundle, policy verify.PolicyBuilder) []claim {
	hint := b.GetVerificationMaterial().GetPublicKey().GetHint()
	for _, hinted := range []bool{true, false} {
		var claims []claim
		for _, key := range v.keys {
			if (key.hint == hint) != hinted {
				continue
			}
			if w, ok := key.verify(b, policy); ok {
				claims = append(claims, w)
			}
		}
		if len(claims) > 0 {
			return claims
		}
	}
	return nil
}

// errNoSigner is returned for a bundle that no signer of the Gate signed for this digest.
var errNoSigner = errors.New("no signer of the Gate signed this for the digest")

// parsedBundle is a sigstore bundle with a DSSE envelope that contains the payload.
type parsedBundle struct {
	*bundle.Bundle
	payload []byte
}

func parseBundle(bundleJSON []byte) (parsedBundle, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(bundleJSON); err != nil {
		return parsedBundle{}, fmt.Errorf("parsing bundle: %w", err)
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil {
		return parsedBundle{}, errors.New("parsing bundle: it holds no DSSE envelope")
	}
	if envelope.GetPayloadType() != payloadType {
		return parsedBundle{}, fmt.Errorf("parsing bundle: its payload is %q, not %q", envelope.GetPayloadType(), payloadType)
	}
	return parsedBundle{Bundle: b, payload: envelope.GetPayload()}, nil
}

func (b parsedBundle) evidence(digest string, claims []claim) ([]gate.Evidence, error) {
	statement, err := parseStatement(b.payload)
	if err != nil {
		return nil, err
	}
	if !statement.isAbout(digest) {
		return nil, fmt.Errorf("the statement isn't about %s", digest)
	}
	said := statement.evidence()
	all := make([]gate.Evidence, len(claims))
	for i, w := range claims {
		all[i] = said
		all[i].Signer, all[i].Identity, all[i].Key, all[i].Signed = w.signer, w.identity, w.key, w.signed
	}
	return all, nil
}
