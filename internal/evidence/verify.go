package evidence

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
)

// Verifier verifies bundles by a Gate's signers, and returns their evidence.
type Verifier struct {
	keys       []trustedKey
	identities []trustedIdentity
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
	if said.Soak != nil {
		said.Statement = digests.Sum(b.payload)
	}
	all := make([]gate.Evidence, len(claims))
	for i, w := range claims {
		all[i] = said
		all[i].Signer, all[i].Identity, all[i].Key, all[i].Signed = w.signer, w.identity, w.key, w.signed
	}
	return all, nil
}
