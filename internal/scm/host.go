package scm

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/files"
)

// HostOptions are the address of a forge and the credentials for it.
type HostOptions struct {
	Forge Forge
	// URL of the forge: https://git.example.com, or https://api.github.com (the
	// default for GitHub). Plain HTTP is used for loopback addresses only.
	URL string
	// Token returns the token for a request, so that a rotated token is noticed. Nil sends
	// none.
	Token func() (string, error)
	// CAFile is a PEM file with the CA that signed the forge's certificate; it replaces the
	// system's CAs.
	CAFile string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Host is a client of a forge. Its repositories share connections and the state of the
// token's rate limit. It is safe for concurrent use.
type Host struct {
	forge  Forge
	common common
}

// NewHost returns a forge's host. It sends no request yet.
func NewHost(o HostOptions) (*Host, error) {
	if o.Forge != Gitea && o.Forge != GitHub {
		return nil, fmt.Errorf("choosing the forge %q: there are %s and %s", o.Forge, Gitea, GitHub)
	}
	if o.URL == "" && o.Forge == GitHub {
		o.URL = GitHubURL
	}
	base, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("naming the forge %q: %w", redactURL(o.URL), err)
	}
	config, err := tlsConfig(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file of the forge %q: %w", redactURL(o.URL), err)
	}
	if o.Token == nil {
		o.Token = func() (string, error) { return "", nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Host{o.Forge, common{base: base, token: o.Token, client: newHTTPClient(config, o.Now)}}, nil
}

// Repository returns a repository of the forge by its name, owner/name.
func (h *Host) Repository(name string) (Repository, error) {
	c := h.common
	var ok bool
	if c.owner, c.name, ok = strings.Cut(name, "/"); !ok || !isSegment(c.owner) || !isSegment(c.name) {
		return nil, fmt.Errorf("naming the repository %q: want owner/name", name)
	}
	if h.forge == Gitea {
		return giteaRepository{c}, nil
	}
	return gitHubRepository{c}, nil
}

// tlsConfig returns nil, the client's default, for an empty name.
func tlsConfig(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil //nolint:nilnil // the default of http.Transport
	}
	pool, err := files.ReadCertificates(caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// isSegment reports whether s can be the owner or the name of a repository. It becomes part
// of a URL.
func isSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 100 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r > 0x7e || r <= ' ' || strings.ContainsRune(`/\?#%:@[]`, r)
	})
}

// redactURL returns a URL without its password, for an error.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "…"
	}
	return u.Redacted()
}

// ghost is the login that forges show for deleted accounts.
const ghost = "ghost"

// authorOf returns an author's login; responses have none for a deleted account.
func authorOf(login string) string { return cmp.Or(login, ghost) }
