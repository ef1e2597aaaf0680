package registry

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/envladder/envladder/internal/files"
)

// keychain has the credentials in the order in which they are taken.
func (o *Options) keychain() (authn.Keychain, error) {
	var all []authn.Keychain
	for _, path := range o.Configs {
		if _, err := pullSecret(path).read(); err != nil {
			return nil, fmt.Errorf("--registry-config %w", err)
		}
		all = append(all, pullSecret(path))
	}
	return authn.NewMultiKeychain(append(append(all, authn.DefaultKeychain), o.Keychains...)...), nil
}

// pullSecret is a file of docker's configuration. It is read whenever credentials are
// looked for, since a mounted Secret changes.
type pullSecret string

// maxConfig is what a Secret has at most.
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

// Resolve implements authn.Keychain: the credentials are those whose name is the
// longest part of the repository's, as a kubelet takes them. Nothing is guessed, and no
// program is run.
func (p pullSecret) Resolve(target authn.Resource) (authn.Authenticator, error) {
	parsed, err := p.read()
	if err != nil {
		return nil, err
	}
	found, longest := authn.Anonymous, ""
	for key, entry := range parsed.AuthConfigs {
		place := placeOf(key)
		if len(place) <= len(longest) || !strings.HasPrefix(target.String()+"/", place+"/") {
			continue
		}
		longest = place
		found = authn.FromConfig(authn.AuthConfig{
			Username: entry.Username, Password: entry.Password, Auth: entry.Auth,
			IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
		})
	}
	return found, nil
}

// placeOf is HOST[/PATH] of a key, which may be a URL, of the API's version 1 for
// docker.io.
func placeOf(key string) string {
	_, place, isURL := strings.Cut(key, "://")
	if !isURL {
		place = key
	}
	place = strings.TrimSuffix(place, "/")
	return strings.TrimSuffix(strings.TrimSuffix(place, "/v1"), "/v2")
}
