package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/files"
)

// signingFlags select the signer, as cosign's flags do.
type signingFlags struct {
	key, passwordEnv         string
	identityToken, fulcioURL string
	rekorURL                 string
	rekorVersion             uint32
	timestampURL             string
}

func (f *signingFlags) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.key, "key", "", "`file` of the private key (PEM, or cosign's encrypted one), or URI of a KMS's: awskms://, azurekms://, gcpkms://, hashivault://")
	flags.StringVar(&f.passwordEnv, "key-password-env", "COSIGN_PASSWORD", "environment `variable` with the key's password")
	flags.StringVar(&f.identityToken, "identity-token", "", "`file` of an OIDC token, or the token itself, to sign without a key")
	flags.StringVar(&f.fulcioURL, "fulcio-url", "https://fulcio.sigstore.dev", "`URL` of the certificate authority that accepts the OIDC token")
	flags.StringVar(&f.rekorURL, "rekor-url", "", "`URL` of a transparency log to record the signature in; none if unset")
	flags.Uint32Var(&f.rekorVersion, "rekor-version", 1, "`version` of the log's protocol: 1 or 2")
	flags.StringVar(&f.timestampURL, "timestamp-server-url", "", "`URL` of a timestamping authority (RFC 3161) that proves the time of the signature; none if unset")
}

// signer returns the signer that the flags select.
func (f *signingFlags) signer(ctx context.Context) (*evidence.Signer, error) {
	signer, err := f.identity(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case f.rekorVersion != 1 && f.rekorVersion != 2:
		return nil, fmt.Errorf("--rekor-version %d: use 1 or 2", f.rekorVersion)
	case f.key == "" && f.timestampURL == "" && (f.rekorURL == "" || f.rekorVersion == 2):
		return nil, errors.New("--identity-token: a certificate is valid for some minutes, so the signature needs a trusted time: set --timestamp-server-url, or --rekor-url of a log of version 1")
	}
	if f.timestampURL != "" {
		signer = signer.WithTimestamps(f.timestampURL)
	}
	if f.rekorURL != "" {
		signer = signer.WithLog(f.rekorURL, f.rekorVersion)
	}
	return signer, nil
}

// identity returns the signer of the key or of the OIDC token, without timestamps and log.
func (f *signingFlags) identity(ctx context.Context) (*evidence.Signer, error) {
	switch {
	case f.key == "":
		token, err := f.token()
		if err != nil {
			return nil, err
		}
		return evidence.KeylessSigner(f.fulcioURL, token)
	case strings.Contains(f.key, "://"):
		signer, err := evidence.KMSSigner(ctx, f.key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return signer, nil
	default:
		key, err := evidence.ReadKeyFile(f.key, f.passwordEnv)
		return key.Signer, err
	}
}

// maxToken is far more than the size of an OIDC token.
const maxToken = 64 << 10

// token returns the OIDC token. A value that isn't a file is the token itself. Errors never
// contain it.
func (f *signingFlags) token() (string, error) {
	content, err := files.Read(f.identityToken, maxToken)
	switch {
	case err == nil:
		return strings.TrimSpace(string(content)), nil
	case strings.Count(f.identityToken, ".") == 2 && !strings.ContainsAny(f.identityToken, "/\\"):
		return f.identityToken, nil
	default:
		return "", errors.New("--identity-token is neither a readable file nor a token (three parts separated by dots)")
	}
}
