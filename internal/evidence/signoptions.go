package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/files"
)

// SignerOptions select a Signer, as cosign's flags do.
type SignerOptions struct {
	// Key is the path of a private key, or a KMS's URI. If it is empty, the Signer is keyless.
	Key string
	// PasswordEnv is the environment variable with the password of an encrypted key.
	PasswordEnv string
	// IdentityToken is the path of an OIDC token, or the token itself. A file is read for each
	// signature, since a cluster replaces its tokens.
	IdentityToken string
	// FulcioURL is the certificate authority that accepts the token.
	FulcioURL string
	// RekorURL is a transparency log with this version of its protocol.
	RekorURL     string
	RekorVersion uint32
	// TimestampURL is a timestamping authority.
	TimestampURL string
}

// AddTo adds the flags that every program has which signs.
func (o *SignerOptions) AddTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.Key, "key", "", "`file` of the private key (PEM, or cosign's encrypted one), or URI of a KMS's: awskms://, azurekms://, gcpkms://, hashivault://")
	flags.StringVar(&o.PasswordEnv, "key-password-env", "COSIGN_PASSWORD", "environment `variable` with the key's password")
	flags.StringVar(&o.IdentityToken, "identity-token", "", "`file` of an OIDC token, or the token itself, to sign without a key")
	flags.StringVar(&o.FulcioURL, "fulcio-url", "https://fulcio.sigstore.dev", "`URL` of the certificate authority that accepts the OIDC token")
	flags.StringVar(&o.RekorURL, "rekor-url", "", "`URL` of a transparency log to record the signature in; none if unset")
	flags.Uint32Var(&o.RekorVersion, "rekor-version", 1, "`version` of the log's protocol: 1 or 2")
	flags.StringVar(&o.TimestampURL, "timestamp-server-url", "", "`URL` of a timestamping authority (RFC 3161) that proves the time of the signature; none if unset")
}

// Signer returns the signer that the options select.
func (o *SignerOptions) Signer(ctx context.Context) (*Signer, error) {
	signer, err := o.identity(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case o.RekorVersion != 1 && o.RekorVersion != 2:
		return nil, fmt.Errorf("--rekor-version %d: use 1 or 2", o.RekorVersion)
	case o.Key == "" && o.TimestampURL == "" && (o.RekorURL == "" || o.RekorVersion == 2):
		return nil, errors.New("--identity-token: a certificate is valid for some minutes, so the signature needs a trusted time: set --timestamp-server-url, or --rekor-url of a log of version 1")
	}
	if o.TimestampURL != "" {
		signer = signer.WithTimestamps(o.TimestampURL)
	}
	if o.RekorURL != "" {
		signer = signer.WithLog(o.RekorURL, o.RekorVersion)
	}
	return signer, nil
}

// identity returns the signer of the key or of the OIDC token, without timestamps and log.
func (o *SignerOptions) identity(ctx context.Context) (*Signer, error) {
	switch {
	case o.Key == "":
		if _, err := o.token(); err != nil {
			return nil, err
		}
		return KeylessSigner(o.FulcioURL, o.token), nil
	case strings.Contains(o.Key, "://"):
		signer, err := KMSSigner(ctx, o.Key)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		return signer, nil
	default:
		return readKeyFile(o.Key, o.PasswordEnv)
	}
}

// maxToken is far more than the size of an OIDC token.
const maxToken = 64 << 10

// token returns the OIDC token. A value that isn't a file is the token itself. Errors never
// contain it.
func (o *SignerOptions) token() (string, error) {
	content, err := files.Read(o.IdentityToken, maxToken)
	switch {
	case err == nil:
		return strings.TrimSpace(string(content)), nil
	case strings.Count(o.IdentityToken, ".") == 2 && !strings.ContainsAny(o.IdentityToken, "/\\"):
		return o.IdentityToken, nil
	default:
		return "", errors.New("--identity-token is neither a readable file nor a token (three parts separated by dots)")
	}
}
