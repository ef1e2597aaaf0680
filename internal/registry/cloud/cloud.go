// Package cloud provides the credentials that clouds issue to their workloads for their own
// registries. It is separate from package registry because the clouds' libraries are large.
package cloud

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	ecr "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	ecrapi "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/api"
	acr "github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/google"
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/registry"
)

// Options are the options of a registry's Client, and the clouds whose credentials are used.
type Options struct {
	registry.Options

	Clouds []string
}

// AddTo adds the flags of programs that read registries with their own credentials.
func (o *Options) AddTo(flags *pflag.FlagSet) {
	o.Options.AddTo(flags)
	flags.StringSliceVar(&o.Clouds, "registry-keychain", nil, "`cloud` whose credentials are used for its own registries: amazon, azure or google; may be repeated (default: none)")
}

// Client returns a Client with these options. A cloud is queried only for credentials to one
// of its registries.
func (o *Options) Client() (*registry.Client, error) {
	options := o.Options
	for _, name := range o.Clouds {
		keychain, ok := clouds[name]
		if !ok {
			return nil, fmt.Errorf("--registry-keychain %q: use %s", name, strings.Join(slices.Sorted(maps.Keys(clouds)), ", "))
		}
		options.Keychains = append(options.Keychains, keychain)
	}
	return options.Client()
}

var clouds = map[string]authn.Keychain{
	"amazon": scopedKeychain{isAmazon, authn.NewKeychainFromHelper(ecr.NewECRHelper(ecr.WithLogger(io.Discard)))},
	"azure":  scopedKeychain{isAzure, authn.NewKeychainFromHelper(acr.NewACRCredentialsHelper())},
	"google": scopedKeychain{isGoogle, &googleKeychain{}},
}

// scopedKeychain queries a keychain only for the cloud's own registries. Azure's keychain
// matches its names anywhere in a host name, and would send a token to any host with a
// similar name.
type scopedKeychain struct {
	owns  func(host string) bool
	inner authn.Keychain
}

// Resolve implements authn.Keychain.
func (o scopedKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return o.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (o scopedKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	if !o.owns(target.RegistryStr()) {
		return authn.Anonymous, nil
	}
	return authn.Resolve(ctx, o.inner, target)
}

func isAmazon(host string) bool {
	_, err := ecrapi.ExtractRegistry(host)
	return err == nil
}

func isAzure(host string) bool {
	return endsIn(host, ".azurecr.io", ".azurecr.cn", ".azurecr.us")
}

func isGoogle(host string) bool {
	return host == "gcr.io" || endsIn(host, ".gcr.io", ".pkg.dev")
}

func endsIn(host string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(host, suffix) })
}

// googleKeychain has the credentials of the program's environment. The library's keychain
// would stay anonymous if its first query fails.
type googleKeychain struct {
	mu    sync.Mutex
	auth  authn.Authenticator
	err   error
	again time.Time // when to query again after err
}

// googlePause is how long google isn't queried again after an error, so that requests don't
// wait for it each time.
const googlePause = 10 * time.Second

// Resolve implements authn.Keychain.
func (g *googleKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return g.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (g *googleKeychain) ResolveContext(ctx context.Context, _ authn.Resource) (authn.Authenticator, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.auth == nil && time.Now().After(g.again) {
		// The context renews tokens, long after the first caller has returned.
		g.auth, g.err = google.NewEnvAuthenticator(context.WithoutCancel(ctx))
		g.again = time.Now().Add(googlePause)
	}
	if g.auth == nil {
		return nil, fmt.Errorf("querying google for credentials: %w", g.err)
	}
	return g.auth, nil
}
