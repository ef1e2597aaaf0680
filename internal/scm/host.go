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

// HostOptions say where a forge is, and with which credentials it is queried.
type HostOptions struct {
	Forge Forge
	// URL of the forge: https://git.example.com, or https://api.github.com (the
	// default for GitHub). Plain HTTP is spoken to loopback addresses only.
	URL string
	// Token returns the token of a request, so that one that is rotated is seen. Nil
	// sends none.
	Token func() (string, error)
	// CAFile has the PEM certificates that the forge's certificate must chain to, in place
	// of the system's; empty for the system's.
	CAFile string
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Host is a forge as one client of it sees it. Its repositories share connections and
// what is known of the token's rate limit. It is safe for concurrent use.
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

// tlsConfig returns nil, the client's default, where there is no file.
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

// isSegment reports whether s can be an owner or a repository of a forge. It becomes a part
// of a URL.
func isSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 100 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r > 0x7e || r <= ' ' || strings.ContainsRune(`/\?#%:@[]`, r)
	})
}

// redactURL returns a URL as an error may name it.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "…"
	}
	return u.Redacted()
}

// ghost is the login that forges give to the author of what an account left behind that
// was deleted.
const ghost = "ghost"

// authorOf returns an author's login; answers have none where the account was deleted.
func authorOf(login string) string { return cmp.Or(login, ghost) }
