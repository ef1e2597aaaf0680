package evidence

import (
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// trustedIdentity is one or several identities in certificates, with the name of the Gate's
// signer.
type trustedIdentity struct {
	signer     string
	root       *root.TrustedRoot
	verifier   *verify.Verifier
	identities verify.CertificateIdentities
}

func newTrustedIdentity(signer v1alpha1.Signer, trusted *root.TrustedRoot) (trustedIdentity, error) {
	identities, err := identitiesOf(signer.Keyless)
	if err != nil {
		return trustedIdentity{}, err
	}
	verifier, err := newCertificateVerifier(trusted)
	if err != nil {
		return trustedIdentity{}, fmt.Errorf("using its trusted root %q: %w", rootOf(signer), err)
	}
	return trustedIdentity{signer: signer.Name, root: trusted, verifier: verifier, identities: identities}, nil
}

// newCertificateVerifier returns a verifier that requires everything that the trusted root can
// verify. A certificate is valid for some minutes, so a time by a third party is always
// required.
func newCertificateVerifier(trusted *root.TrustedRoot) (*verify.Verifier, error) {
	options := []verify.VerifierOption{verify.WithoutStatementPredicate()}
	switch {
	case len(trusted.FulcioCertificateAuthorities()) == 0:
		return nil, errors.New("it has no certificate authority")
	case len(trusted.RekorLogs()) > 0:
		options = append(options, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	case len(trusted.TimestampingAuthorities()) > 0:
		options = append(options, verify.WithSignedTimestamps(1))
	default:
		return nil, errors.New("it has neither logs nor timestamping authorities, so nothing would prove that a certificate was valid when it signed")
	}
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return verify.NewVerifier(trusted, options...)
}

func identitiesOf(keyless *v1alpha1.KeylessSigner) (verify.CertificateIdentities, error) {
	if keyless.SubjectPattern != "" {
		pattern, err := gate.SubjectPattern(keyless.SubjectPattern)
		if err != nil {
			return nil, err
		}
		identity, err := verify.NewShortCertificateIdentity(keyless.Issuer, "", "", pattern.String())
		return verify.CertificateIdentities{identity}, err
	}
	subjects := keyless.Subjects
	if keyless.Subject != "" {
		subjects = append([]string{keyless.Subject}, subjects...)
	}
	var identities verify.CertificateIdentities
	for _, subject := range subjects {
		identity, err := verify.NewShortCertificateIdentity(keyless.Issuer, "", subject, "")
		if err != nil {
			return nil, err
		}
		identities = append(identities, identity)
	}
	if len(identities) == 0 {
		return nil, errors.New("it names no subject")
	}
	return identities, nil
}

// identityClaims returns the claims of signers whose certificate signed the bundle. Signers of
// the same trusted root share the expensive part.
func (v *Verifier) identityClaims(b *bundle.Bundle, artifact verify.ArtifactPolicyOption) []claim {
	if !hasCertificate(b) {
		return nil
	}
	results := map[*root.TrustedRoot]*verify.VerificationResult{}
	var claims []claim
	for _, identity := range v.identities {
		result, done := results[identity.root]
		if !done {
			// The certificate's identity is compared afterwards, for each signer.
			policy := verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe())
			result, _ = identity.verifier.Verify(b, policy)
			results[identity.root] = result
		}
		if w, ok := identity.match(result); ok {
			claims = append(claims, w)
		}
	}
	return claims
}

func hasCertificate(b *bundle.Bundle) bool {
	content, err := b.VerificationContent()
	return err == nil && content.Certificate() != nil
}

func (i trustedIdentity) match(result *verify.VerificationResult) (claim, bool) {
	if result == nil || result.Signature == nil || result.Signature.Certificate == nil {
		return claim{}, false
	}
	summary := *result.Signature.Certificate
	if _, err := i.identities.Verify(summary); err != nil {
		return claim{}, false
	}
	w := claim{signer: i.signer, identity: summary.SubjectAlternativeName}
	for _, stamp := range result.VerifiedTimestamps {
		w.noteTime(stamp.Timestamp)
	}
	return w, !w.signed.IsZero()
}
