package forge

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/scm"
)

// Config configures where pull requests are opened, and with which token. Empty fields
// are derived from the remote's URL, where that is unambiguous.
type Config struct {
	Kind scm.Forge
	URL  string
	// Repository is owner/name.
	Repository string
	// CAFile is a PEM file with the CA that signed the forge's certificate; it replaces the
	// system's CAs.
	CAFile string
	// Getenv looks up the variable with the token.
	Getenv func(string) string
}

// tokenVariables may have the token of a forge; TokenVariable precedes them.
var tokenVariables = map[scm.Forge]string{scm.GitHub: "GITHUB_TOKEN", scm.Gitea: "GITEA_TOKEN"}

// TokenVariable is the variable with the token of any forge.
const TokenVariable = "ENVLADDER_FORGE_TOKEN" //nolint:gosec // a variable's name, not a token

// Options returns the options for the forge of a remote.
func (f Config) Options(remote string) (scm.Options, error) {
	host := parseRemote(remote)
	if f.Kind == "" && host.name == "github.com" {
		f.Kind = scm.GitHub
	}
	switch {
	case f.Kind == "":
		return scm.Options{}, fmt.Errorf("opening a pull request: unknown kind of forge at %s: set --forge to %s or %s, and --forge-url and --forge-repository where the remote's URL doesn't have them",
			cmp.Or(host.name, "the remote"), scm.Gitea, scm.GitHub)
	case f.Repository == "" && host.repository == "":
		return scm.Options{}, errors.New("opening a pull request: the remote's URL has no repository: set --forge-repository OWNER/NAME")
	case f.URL == "" && host.base == "" && (f.Kind != scm.GitHub || host.name != "github.com"):
		return scm.Options{}, errors.New("opening a pull request: the remote's URL doesn't have the forge's address: set --forge-url https://…")
	}
	options := scm.Options{
		HostOptions: scm.HostOptions{Forge: f.Kind, URL: cmp.Or(f.URL, host.apiURL(f.Kind)), CAFile: f.CAFile},
		Repository:  cmp.Or(f.Repository, host.repository),
	}
	token := cmp.Or(f.Getenv(TokenVariable), f.Getenv(tokenVariables[f.Kind]))
	if token == "" {
		return scm.Options{}, fmt.Errorf("opening a pull request: no token for %s: set $%s (or $%s)", f.Kind, TokenVariable, cmp.Or(tokenVariables[f.Kind], "GITHUB_TOKEN"))
	}
	options.Token = func() (string, error) { return token, nil }
	return options, nil
}

// remoteHost is what the URL of a remote shows of its forge.
type remoteHost struct {
	name string
	// base is the URL above the repository; empty where the remote isn't HTTP.
	base       string
	repository string
}

// apiURL returns the URL of the forge's API.
func (h remoteHost) apiURL(kind scm.Forge) string {
	switch {
	case kind == scm.GitHub && h.name == "github.com":
		return scm.GitHubURL
	case kind == scm.GitHub && h.base != "":
		return h.base + "/api/v3" // an Enterprise Server
	default:
		return h.base
	}
}

// scpLike is git's short form for ssh: git@host:owner/name.git.
var scpLike = regexp.MustCompile(`^(?:[^@/:]+@)?([^/:]+):([^/].*)$`)

// parseRemote parses the URL of a remote, or git's short form for ssh.
func parseRemote(remote string) remoteHost {
	if !strings.Contains(remote, "://") {
		if found := scpLike.FindStringSubmatch(remote); found != nil {
			_, repository := splitRepository(found[2])
			return remoteHost{name: found[1], repository: repository}
		}
		return remoteHost{}
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return remoteHost{}
	}
	prefix, repository := splitRepository(u.Path)
	h := remoteHost{name: strings.TrimPrefix(u.Hostname(), "ssh."), repository: repository}
	if u.Scheme == "https" || u.Scheme == "http" {
		h.base = u.Scheme + "://" + u.Host + prefix
	}
	return h
}

// splitRepository returns the last two elements of a path, and the path before them.
func splitRepository(path string) (prefix, repository string) {
	elements := strings.Split(strings.Trim(strings.TrimSuffix(strings.TrimRight(path, "/"), ".git"), "/"), "/")
	if len(elements) < 2 {
		return "", ""
	}
	n := len(elements) - 2
	if n > 0 {
		prefix = "/" + strings.Join(elements[:n], "/")
	}
	return prefix, strings.Join(elements[n:], "/")
}
