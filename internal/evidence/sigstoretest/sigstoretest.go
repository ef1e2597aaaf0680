// Package sigstoretest starts a sigstore for tests: a certificate authority that accepts
// OIDC tokens as Fulcio does, a timestamping authority, and the trusted root of both.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Issuer of the tokens that the certificate authority accepts.
const Issuer = "https://id.example.com"

// life is the lifetime of a certificate, as Fulcio's.
const life = 10 * time.Minute

// maxRequest is far above the size of a client's request.
const maxRequest = 64 << 10

// T is the used part of *testing.T; scripts implement it too.
type T interface {
	Helper()
	Fatal(arguments ...any)
	Cleanup(clean func())
}

// Sigstore has the services of a sigstore on loopback ports.
type Sigstore struct {
	// FulcioURL and TimestampURL are the URLs of the services.
	FulcioURL, TimestampURL string
	// TrustedRoot is the content of trusted_root.json.
	TrustedRoot []byte

	issuer authority
	stamps authority
}

// authority is a certificate with its key.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Start starts a sigstore that ends with the test.
func Start(t T) *Sigstore {
	t.Helper()
	top, topKey, err := ca.GenerateRootCa()
	check(t, err)
	middle, middleKey, err := ca.GenerateFulcioIntermediate(top, topKey)
	check(t, err)
	stampMiddle, stampMiddleKey, err := ca.GenerateTSAIntermediate(top, topKey)
	check(t, err)
	stampKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	stamp, err := ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), stampKey, stampMiddle, stampMiddleKey)
	check(t, err)

	s := &Sigstore{issuer: authority{middle, middleKey}, stamps: authority{stamp, stampKey}}
	s.FulcioURL = serve(t, s.issue)
	s.TimestampURL = serve(t, s.stamp)
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: top, Intermediates: []*x509.Certificate{middle}, ValidityPeriodStart: from, ValidityPeriodEnd: to, URI: s.FulcioURL,
		}},
		map[string]*root.TransparencyLog{},
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: top, Intermediates: []*x509.Certificate{stampMiddle}, Leaf: stamp, ValidityPeriodStart: from, ValidityPeriodEnd: to, URI: s.TimestampURL,
		}},
		map[string]*root.TransparencyLog{})
	check(t, err)
	s.TrustedRoot, err = json.Marshal(trusted)
	check(t, err)
	return s
}

// Token returns an OIDC token of a person.
func (s *Sigstore) Token(email string) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	claims := fmt.Sprintf(`{"iss":%q,"aud":"sigstore","sub":%q,"email":%q,"email_verified":true,"exp":%d}`, Issuer, email, email, time.Now().Add(life).Unix())
	return encode(`{"alg":"ES256"}`) + "." + encode(claims) + "." + encode("not checked")
}

// issue returns a certificate for the key of a token's holder, as Fulcio's
// /api/v2/signingCert does.
func (s *Sigstore) issue(body []byte, r *http.Request) ([]byte, error) {
	var asked struct {
		PublicKeyRequest struct {
			PublicKey struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			ProofOfPossession []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(asked.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		return nil, err
	}
	email, err := emailOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		return nil, err
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return nil, err
	}
	if err := verifier.VerifySignature(strings.NewReader(string(asked.PublicKeyRequest.ProofOfPossession)), strings.NewReader(email)); err != nil {
		return nil, fmt.Errorf("verifying the proof of possession: %w", err)
	}
	certificate, err := s.certificate(email, public)
	if err != nil {
		return nil, err
	}
	type chain struct {
		Certificates []string `json:"certificates"`
	}
	type embedded struct {
		Chain chain `json:"chain"`
	}
	return json.Marshal(map[string]any{"signedCertificateEmbeddedSct": embedded{chain{[]string{
		pemOf(certificate), pemOf(s.issuer.certificate.Raw),
	}}}})
}

func emailOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("no token")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var said struct {
		Email string `json:"email"`
	}
	return said.Email, json.Unmarshal(claims, &said)
}

func (s *Sigstore) certificate(email string, public crypto.PublicKey) ([]byte, error) {
	issuer, err := asn1.MarshalWithParams(Issuer, "utf8")
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:   big.NewInt(time.Now().UnixNano()),
		EmailAddresses: []string{email},
		NotBefore:      time.Now().Add(-time.Minute),
		NotAfter:       time.Now().Add(life),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(Issuer)},
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer},
		},
	}, s.issuer.certificate, public, s.issuer.key)
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// stamp returns the response to an RFC 3161 request.
func (s *Sigstore) stamp(body []byte, _ *http.Request) ([]byte, error) {
	asked, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	answer := timestamp.Timestamp{
		HashAlgorithm:     asked.HashAlgorithm,
		HashedMessage:     asked.HashedMessage,
		Time:              time.Now(),
		Nonce:             asked.Nonce,
		Policy:            asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
		AddTSACertificate: asked.Certificates,
	}
	return answer.CreateResponseWithOpts(s.stamps.certificate, s.stamps.key, crypto.SHA256)
}

func serve(t T, answer func([]byte, *http.Request) ([]byte, error)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		if err == nil {
			body, err = answer(body, r)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body) // a client that has disconnected needs no response
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func check(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
