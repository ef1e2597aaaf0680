package evidence

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// Legacy verifies the signatures and attestations of cosign 2, and ClusterImagePolicies. It is
// implemented by internal/evidence/legacy, which only verifying programs link.
type Legacy interface {
	// Signed returns the statements that a signer signed about an image in the form of
	// cosign 2. Finding none is no error; failing to read them is.
	Signed(ctx context.Context, image gate.Image, signer LegacySigner) ([]LegacyClaim, error)
	// Admits returns the reason why a ClusterImagePolicy doesn't admit an image, or "" if
	// it does. It returns an error if the policy couldn't be evaluated.
	Admits(ctx context.Context, policy []byte, image gate.Image) (refused string, err error)
	// Resolve returns a ClusterImagePolicy with the external data that it names: the keys of
	// a KMS, and trusted roots. While these are the same, so is its result for a digest.
	Resolve(ctx context.Context, policy []byte) ([]byte, error)
}

// LegacySigner is a signer of a Gate with the data that it names: a key, or identities and the
// trusted root (JSON) that their certificates chain to.
type LegacySigner struct {
	Key        crypto.PublicKey
	Identities []LegacyIdentity
	Root       []byte
}

// LegacyIdentity has a subject, or an anchored pattern of subjects.
type LegacyIdentity struct{ Issuer, Subject, SubjectPattern string }

// LegacyClaim is a verified signature or attestation.
type LegacyClaim struct {
	PredicateType string
	// Identity is the certificate's subject, where there is one.
	Identity string
	// Statement in JSON; a signature has none.
	Statement []byte
	Source    string
}

// Policy is a ClusterImagePolicy of the cluster.
type Policy struct {
	Name string
	// Document in JSON or YAML; empty where the cluster has none of this name.
	Document []byte
}

// PolicyDocument returns the document of a ClusterImagePolicy from an API server: without its
// status and the metadata of the cluster. Evidence is cached until the document changes.
func PolicyDocument(object map[string]any, name string) ([]byte, error) {
	document, err := json.Marshal(map[string]any{
		"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": map[string]any{"name": name}, "spec": object["spec"],
	})
	if err != nil {
		return nil, fmt.Errorf("encoding ClusterImagePolicy %q: %w", name, err)
	}
	return document, nil
}

// WithLegacy makes the Store use legacy for the signers and policies of Gates that need it.
func (s *Store) WithLegacy(legacy Legacy) *Store {
	s.legacy = legacy
	return s
}

// errNoLegacy is returned in programs that don't link an implementation of Legacy.
var errNoLegacy = errors.New("this program verifies neither cosign 2's signatures nor ClusterImagePolicies")

// fetchLegacy returns the statements of signers with `legacy: true`.
func (s *Store) fetchLegacy(ctx context.Context, q Query) ([]gate.Evidence, error) {
	var found []gate.Evidence
	var errs []error
	for _, signer := range q.Signers {
		if !signer.Legacy {
			continue
		}
		claims, err := s.legacyEvidence(ctx, q, signer)
		if err != nil {
			errs = append(errs, err)
		}
		found = append(found, claims...)
	}
	return found, errors.Join(errs...)
}

// legacyEvidence returns the evidence of one signer with `legacy: true`.
func (s *Store) legacyEvidence(ctx context.Context, q Query, signer v1alpha1.Signer) ([]gate.Evidence, error) {
	if s.legacy == nil {
		return nil, &SignerError{Signer: signer.Name, Err: errNoLegacy, Elsewhere: true}
	}
	whole, err := s.trust.legacySigner(ctx, signer)
	if err != nil {
		return nil, nil //nolint:nilerr // Trust.Verifier reports the same signer
	}
	claims, err := s.legacy.Signed(ctx, q.Image, whole)
	var key string
	if whole.Key != nil {
		key, _ = hintOf(whole.Key) // a verified key can be encoded
	}
	var found []gate.Evidence
	for _, w := range claims {
		if e, ok := w.evidence(q.Image.Digest); ok {
			e.Signer, e.Key, e.Identity, e.Source = signer.Name, key, w.Identity, w.Source
			found = append(found, e)
		}
	}
	return found, err
}

// evidence returns the content of a claim, without its signer.
func (c LegacyClaim) evidence(digest string) (gate.Evidence, bool) {
	if c.Statement == nil {
		return gate.Evidence{PredicateType: c.PredicateType}, c.PredicateType == gate.PredicateSignature
	}
	claim, err := parseStatement(c.Statement)
	if err != nil || claim.PredicateType != c.PredicateType || !claim.isAbout(digest) {
		return gate.Evidence{}, false
	}
	return claim.evidence(), true
}

// legacySigner returns a signer with the data that it names.
func (t *Trust) legacySigner(ctx context.Context, signer v1alpha1.Signer) (LegacySigner, error) {
	if signer.Keyless == nil {
		public, err := t.publicKey(ctx, signer)
		return LegacySigner{Key: public}, err
	}
	content, err := t.RootJSON(ctx, rootOf(signer))
	if err != nil {
		return LegacySigner{}, err
	}
	whole := LegacySigner{Root: content}
	identities, err := identitiesOf(signer.Keyless)
	for _, identity := range identities {
		whole.Identities = append(whole.Identities, LegacyIdentity{
			Issuer:         identity.Issuer.Issuer,
			Subject:        identity.SubjectAlternativeName.SubjectAlternativeName,
			SubjectPattern: identity.SubjectAlternativeName.Regexp.String(),
		})
	}
	return whole, err
}

// RootJSON returns the trusted root of this name, as cosign takes it.
func (t *Trust) RootJSON(ctx context.Context, name string) ([]byte, error) {
	trusted, err := t.root(ctx, name)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(trusted)
	if err != nil {
		return nil, fmt.Errorf("encoding trusted root %q: %w", name, err)
	}
	return content, nil
}

// KMSPublicPEM returns the public key of a KMS's URI.
func (t *Trust) KMSPublicPEM(ctx context.Context, uri string) (string, error) {
	public, err := t.key(ctx, uri)
	if err != nil {
		return "", err
	}
	pem, err := cryptoutils.MarshalPublicKeyToPEM(public)
	return string(pem), err
}

// fetchPolicy evaluates the query's ClusterImagePolicy.
func (s *Store) fetchPolicy(ctx context.Context, q Query) ([]gate.Evidence, error) {
	if q.Policy == nil {
		return nil, nil
	}
	e := gate.Evidence{Policy: q.Policy.Name, PredicateType: gate.PredicateSignature}
	var err error
	switch {
	case len(q.Policy.Document) == 0:
		e.Malformed = "there is no policy of this name"
	case s.legacy == nil:
		e.Malformed = errNoLegacy.Error()
	default:
		e.Malformed, err = s.legacy.Admits(ctx, q.Policy.Document, q.Image)
	}
	if err != nil {
		return nil, err
	}
	return []gate.Evidence{e}, nil
}
