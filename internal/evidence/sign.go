package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/protobuf/encoding/protojson"
)

// Signer signs statements with a private key in a file or a KMS, or with an identity.
type Signer struct {
	keypair sign.Keypair // nil where each signature has its own
	// token returns the OIDC token of a keyless signer.
	token func() (string, error)
	// extras are added to a signature: certificate, timestamps, log entries.
	extras sign.BundleOptions
}

// serviceRetries bounds the retries of requests to which a service responds with an error;
// the library waits 1 and 2 seconds in between.
const serviceRetries = 2

// WithTimestamps makes the Signer add timestamps of the timestamping authority (RFC 3161) at a
// URL, for Gates that don't trust the signer's clock.
func (s *Signer) WithTimestamps(url string) *Signer {
	with := *s
	with.extras.TimestampAuthorities = append(slices.Clone(s.extras.TimestampAuthorities),
		sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: url, Retries: serviceRetries}))
	return &with
}

// WithLog makes the Signer enter each signature into the transparency log at a URL: a Rekor
// with this version of its protocol (1 or 2).
func (s *Signer) WithLog(url string, version uint32) *Signer {
	with := *s
	with.extras.TransparencyLogs = append(slices.Clone(s.extras.TransparencyLogs),
		sign.NewRekor(&sign.RekorOptions{BaseURL: url, Version: version, Retries: serviceRetries}))
	return &with
}

// KeylessSigner returns a Signer with a temporary key for each signature, for which the Fulcio
// at a URL issues a certificate to the holder of an OIDC token.
func KeylessSigner(fulcioURL string, token func() (string, error)) *Signer {
	return &Signer{token: token, extras: sign.BundleOptions{
		CertificateProvider: sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(fulcioURL, "/"), Retries: serviceRetries}),
	}}
}

// Password returns the password of an encrypted key.
type Password func() ([]byte, error)

// ReadSigner reads a private key in PEM: PKCS #8, SEC 1, PKCS #1, or cosign's encrypted
// form (ENCRYPTED SIGSTORE PRIVATE KEY).
func ReadSigner(pem []byte, password Password) (*Signer, error) {
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(pem, func(bool) ([]byte, error) { return password() })
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	signer, err := signature.LoadDefaultSignerVerifier(private)
	if err != nil {
		return nil, fmt.Errorf("using the private key: %w", err)
	}
	return NewSigner(signer)
}

// KMSSigner returns a Signer with a key in a KMS, given by cosign's URI.
func KMSSigner(ctx context.Context, uri string) (*Signer, error) {
	key, err := kms.Get(ctx, uri, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("finding the key %q: %w", uri, err)
	}
	return NewSigner(key)
}

// NewSigner returns a Signer that signs with a key.
func NewSigner(key signature.SignerVerifier) (*Signer, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(public)
	if err != nil {
		return nil, fmt.Errorf("using the key: %w", err)
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return nil, fmt.Errorf("using the key: %w", err)
	}
	return &Signer{keypair: keypair{key: key, public: public, algorithm: algorithm, der: der}}, nil
}

// PublicPEM returns the public key for a Gate's signer. A keyless signer has none.
func (s *Signer) PublicPEM() string {
	if s.keypair == nil {
		return ""
	}
	pem, _ := s.keypair.GetPublicKeyPem() // it was encoded before, in the constructor
	return pem
}

// ProvesTime reports whether the signatures have proven times, by a timestamping authority or
// a transparency log.
func (s *Signer) ProvesTime() bool {
	return len(s.extras.TimestampAuthorities)+len(s.extras.TransparencyLogs) > 0
}

// sign returns the statement as it is signed, and the bundle with it.
func (s *Signer) sign(ctx context.Context, claim statement) (payload, bundle []byte, err error) {
	payload, err = json.Marshal(claim)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the statement: %w", err)
	}
	extras, key := s.extras, s.keypair
	extras.Context = ctx
	if key == nil {
		if key, err = sign.NewEphemeralKeypair(nil); err != nil {
			return nil, nil, fmt.Errorf("creating a temporary key: %w", err)
		}
		token, err := s.token()
		if err != nil {
			return nil, nil, err
		}
		extras.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: token}
	}
	signed, err := sign.Bundle(&sign.DSSEData{Data: payload, PayloadType: payloadType}, key, extras)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	bundle, err = protojson.Marshal(signed)
	return payload, bundle, err
}

// keypair is a sign.Keypair over any signer that sigstore knows: key files and KMSs.
type keypair struct {
	key       signature.SignerVerifier
	public    crypto.PublicKey
	algorithm signature.AlgorithmDetails
	der       []byte // PKIX
}

var _ sign.Keypair = keypair{}

func (k keypair) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }

func (k keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

// GetHint returns the key hint that cosign writes.
func (k keypair) GetHint() []byte { return []byte(hintOfDER(k.der)) }

// hintOf returns the key hint of a public key.
func hintOf(public crypto.PublicKey) (string, error) {
	der, err := cryptoutils.MarshalPublicKeyToDER(public)
	if err != nil {
		return "", fmt.Errorf("using its public key: %w", err)
	}
	return hintOfDER(der), nil
}

func hintOfDER(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (k keypair) GetKeyAlgorithm() string {
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	case ed25519.PublicKey:
		return "ED25519"
	default:
		return ""
	}
}

func (k keypair) GetPublicKey() crypto.PublicKey { return k.public }

func (k keypair) GetPublicKeyPem() (string, error) {
	pem, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	return string(pem), err
}

// SignData returns the signature and the data. The digest that the signer computed isn't known
// here, and a DSSE envelope doesn't need it.
func (k keypair) SignData(ctx context.Context, data []byte) (sig, signed []byte, err error) {
	sig, err = k.key.SignMessage(bytes.NewReader(data), options.WithContext(ctx))
	return sig, data, err
}
