package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/envladder/envladder/internal/files"
)

// keychains provide credentials, in the order of their precedence.
type keychains []authn.Keychain

// keychain returns the files, then Helm's and docker's own configurations, then the
// caller's keychains.
func (o *Options) keychain() (keychains, error) {
	var all keychains
	for _, path := range o.Configs {
		if _, err := pullSecret(path).read(); err != nil {
			return nil, fmt.Errorf("--registry-config %w", err)
		}
		all = append(all, pullSecret(path))
	}
	if path := helmConfig(); path != "" {
		all = append(all, pullSecret(path))
	}
	return append(append(all, authn.DefaultKeychain), o.Keychains...), nil
}

// helmConfig returns the file in which `helm registry login` stores credentials if
// $HELM_REGISTRY_CONFIG names one, or "" if it doesn't exist.
func helmConfig() string {
	path := os.Getenv("HELM_REGISTRY_CONFIG")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { //nolint:gosec // the file that the user names
		return ""
	}
	return path
}

// Resolve implements authn.Keychain with the first of the matching credentials.
func (k keychains) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return authn.NewMultiKeychain(k...).Resolve(target)
}

// matching returns all credentials for a repository, in the order in which a kubelet tries
// them; anonymous access where there are none.
func (k keychains) matching(ctx context.Context, target authn.Resource) ([]authn.Authenticator, error) {
	var all []authn.Authenticator
	for _, keychain := range k {
		if secret, ok := keychain.(pullSecret); ok {
			found, err := secret.matching(target)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
			continue
		}
		one, err := authn.Resolve(ctx, keychain, target)
		if err != nil {
			return nil, err
		}
		if one != authn.Anonymous {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		all = []authn.Authenticator{authn.Anonymous}
	}
	return all, nil
}

// pullSecret is a file of docker's configuration. It is read for each lookup, since a mounted
// Secret changes.
type pullSecret string

// maxConfig is the maximum size of a Secret.
const maxConfig = 1 << 20

func (p pullSecret) read() (*configfile.ConfigFile, error) {
	content, err := files.Read(string(p), maxConfig)
	if err != nil {
		return nil, err
	}
	parsed, err := config.LoadFromReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("parsing %q: %w", string(p), err)
	}
	return parsed, nil
}

// Resolve implements authn.Keychain with the most specific entry. It runs no credential
// helper.
func (p pullSecret) Resolve(target authn.Resource) (authn.Authenticator, error) {
	found, err := p.matching(target)
	if err != nil || len(found) == 0 {
		return authn.Anonymous, err
	}
	return found[0], nil
}

// matching returns the entries for a repository as a kubelet orders them: sorted by their
// keys in reverse, so that longer paths come before shorter ones and hosts before globs.
func (p pullSecret) matching(target authn.Resource) ([]authn.Authenticator, error) {
	parsed, err := p.read()
	if err != nil {
		return nil, err
	}
	entries := map[string][]authn.Authenticator{}
	var keys []string
	for raw, entry := range parsed.AuthConfigs {
		key := normalizeKey(raw)
		keys = append(keys, key)
		entries[key] = append(entries[key], authn.FromConfig(authn.AuthConfig{
			Username: entry.Username, Password: entry.Password, Auth: entry.Auth,
			IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
		}))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	slices.Reverse(keys)
	for _, image := range spellings(target.String()) {
		var found []authn.Authenticator
		for _, key := range keys {
			if keyMatches(key, image) {
				found = append(found, entries[key]...)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// spellings returns the names of a repository in keys: Docker Hub has two.
func spellings(repository string) []string {
	if rest, ok := strings.CutPrefix(repository, name.DefaultRegistry+"/"); ok {
		return []string{"docker.io/" + rest, repository}
	}
	return []string{repository}
}

// normalizeKey returns HOST[/PATH] of a key, which may be a URL, with or without the
// version of the API that docker writes.
func normalizeKey(key string) string {
	_, rest, isURL := strings.Cut(key, "://")
	if !isURL {
		rest = key
	}
	host, path, _ := strings.Cut(rest, "/")
	for _, version := range []string{"v1", "v2"} {
		if path == version || strings.HasPrefix(path, version+"/") {
			path = strings.TrimPrefix(path[len(version):], "/")
			break
		}
	}
	if path == "" {
		return host
	}
	return host + "/" + path
}

// keyMatches reports whether a key is for a repository by the rules of kubelets: as many
// parts of the host name, each matched as a glob, the same port, and a path that the
// repository's begins with.
func keyMatches(key, repository string) bool {
	glob, err := url.Parse("https://" + key)
	if err != nil {
		return false
	}
	target, err := url.Parse("https://" + repository)
	if err != nil || glob.Port() != target.Port() || !strings.HasPrefix(target.Path, glob.Path) {
		return false
	}
	globs, parts := strings.Split(glob.Hostname(), "."), strings.Split(target.Hostname(), ".")
	if len(globs) != len(parts) {
		return false
	}
	for i := range globs {
		if matched, err := path.Match(globs[i], parts[i]); err != nil || !matched {
			return false
		}
	}
	return true
}
