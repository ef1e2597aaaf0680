package evidence

import "github.com/spf13/pflag"

// AddTo adds the flags that every program has which verifies.
func (o *TrustOptions) AddTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.Roots, "trusted-roots", "", "`folder` of trusted roots: <name>.json each, as cosign takes them by --trusted-root")
	flags.BoolVar(&o.PublicRoot, "sigstore-public-root", false, "trust sigstore's public root, fetched by TUF, for keyless signers that name none")
	flags.StringVar(&o.PublicRootCache, "sigstore-public-root-cache", "", "`folder` that sigstore's public root is kept in; it isn't kept if unset")
	flags.StringVar(&o.PublicRootMirror, "sigstore-public-root-mirror", "", "`URL` that sigstore's public root is fetched from; sigstore's own if unset")
}
