package gate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// minRSA is the minimum key size of NIST SP 800-57 since 2014.
const minRSA = 2048

func (c *checker) signers() {
	var list []string
	keys := map[string]string{} // DER -> where
	for i, signer := range c.spec.Signers {
		path := fmt.Sprintf(".spec.signers[%d]", i)
		list = append(list, signer.Name)
		c.label(path+".name", signer.Name)
		c.oneSource(path, signer)
		if signer.Key != nil {
			c.key(path+".key.data", signer.Key.Data, keys)
		}
		if signer.Keyless != nil {
			c.keyless(path+".keyless", signer.Keyless)
		}
		if signer.Timestamp != "" {
			c.label(path+".timestamp", signer.Timestamp)
		}
		c.combination(path, signer)
	}
	c.unique(".spec.signers", list)
}

func (c *checker) oneSource(path string, signer v1alpha1.Signer) {
	sources := 0
	for _, set := range []bool{signer.Key != nil, signer.KMS != "", signer.Keyless != nil} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		c.problemf(path, "set exactly one of key, kms and keyless, not %d", sources)
	}
}

// combination rejects fields that exclude each other.
func (c *checker) combination(path string, signer v1alpha1.Signer) {
	if signer.Keyless == nil {
		return
	}
	if signer.Timestamp != "" {
		c.problemf(path+".timestamp", "a keyless signer's times come from keyless.trustedRoot: remove timestamp")
	}
	if len(signer.Keyless.Subjects) > 0 && signer.Person != "" {
		c.problemf(path+".person", "several subjects are several people: remove person")
	}
}

// key checks a public key. One key under two names would count as two signers.
func (c *checker) key(path, text string, before map[string]string) {
	der, err := parseKey(text)
	if err != nil {
		c.problemf(path, "%v", err)
		return
	}
	if where, twice := before[string(der)]; twice {
		c.problemf(path, "is the key of %s too; use each key for one signer only", where)
		return
	}
	before[string(der)] = path
}

// parseKey parses a PEM-encoded public key and returns its PKIX form. Its errors never
// repeat the text: it could be a private key, pasted by mistake.
func parseKey(text string) (der []byte, err error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errors.New("isn't PEM (-----BEGIN PUBLIC KEY-----)")
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("is a private key: revoke it, and set the public key here")
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("is PEM of %s, not of PUBLIC KEY (PKIX)", quote(block.Type))
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("has data after the key; a signer has one key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the public key: %w", err)
	}
	if err := strong(key); err != nil {
		return nil, err
	}
	// Marshalled again: the DER of one key can be written in several ways.
	return x509.MarshalPKIXPublicKey(key)
}

func strong(key any) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return fmt.Errorf("is an RSA key of %d bits; at least %d are needed", bits, minRSA)
		}
		return nil
	default:
		return fmt.Errorf("is a %T; use ECDSA, Ed25519 or RSA", key)
	}
}

func (c *checker) keyless(path string, k *v1alpha1.KeylessSigner) {
	if u, err := url.Parse(k.Issuer); err != nil || u.Scheme != "https" || u.Host == "" {
		c.problemf(path+".issuer", "%s must be an https URL", quote(k.Issuer))
	}
	sources := 0
	for _, set := range []bool{k.Subject != "", len(k.Subjects) > 0, k.SubjectPattern != ""} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		c.problemf(path, "set exactly one of subject, subjects and subjectPattern, not %d", sources)
	}
	if _, err := SubjectPattern(k.SubjectPattern); err != nil {
		c.problemf(path+".subjectPattern", "%v", err)
	}
	if k.TrustedRoot != "" {
		c.label(path+".trustedRoot", k.TrustedRoot)
	}
	for i, subject := range k.Subjects {
		if subject == "" {
			c.problemf(fmt.Sprintf("%s.subjects[%d]", path, i), "is empty")
		}
	}
	c.unique(path+".subjects", k.Subjects)
}

// SubjectPattern compiles a signer's subjectPattern, anchored at both ends.
func SubjectPattern(pattern string) (*regexp.Regexp, error) {
	// Compile it alone first: a pattern that closes the group would escape the anchors.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("%s isn't a regular expression: %w", quote(pattern), err)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}
