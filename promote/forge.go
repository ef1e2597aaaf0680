package promote

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/scm"
)

// Forge says where pull requests are opened, and as whom. What is empty is guessed from
// the remote's URL, where that is unambiguous.
type Forge struct {
	Kind scm.Forge
	URL  string
	// Repository is owner/name.
	Repository string
	// CAFile has the PEM certificates that the forge's certificate must chain to, in place
	// of the system's.
	CAFile string
	// Getenv looks a variable up: the token is in one.
	Getenv func(string) string
}

// tokens are the variables that may hold a forge's token, after our own.
var tokens = map[scm.Forge]string{scm.GitHub: "GITHUB_TOKEN", scm.Gitea: "GITEA_TOKEN"}

// TokenVariable is envladder's own.
const TokenVariable = "ENVLADDER_FORGE_TOKEN" //nolint:gosec // its name, not what it holds

// options for the forge of a remote.
func (f Forge) options(remote string) (scm.Options, error) {
	host := parseRemote(remote)
	if f.Kind == "" && host.name == "github.com" {
		f.Kind = scm.GitHub
	}
	switch {
	case f.Kind == "":
		return scm.Options{}, fmt.Errorf("opening a pull request: whose forge %s is isn't known: say --forge %s or %s, and --forge-url and --forge-repository where they can't be told from the remote",
			cmp.Or(host.name, "the remote"), scm.Gitea, scm.GitHub)
	case f.Repository == "" && host.repository == "":
		return scm.Options{}, errors.New("opening a pull request: say --forge-repository OWNER/NAME: it can't be told from the remote")
	case f.URL == "" && host.base == "" && (f.Kind != scm.GitHub || host.name != "github.com"):
		return scm.Options{}, errors.New("opening a pull request: say --forge-url https://…: it can't be told from the remote")
	}
	options := scm.Options{
		HostOptions: scm.HostOptions{Forge: f.Kind, URL: cmp.Or(f.URL, host.api(f.Kind)), CAFile: f.CAFile},
		Repository:  cmp.Or(f.Repository, host.repository),
	}
	token := cmp.Or(f.Getenv(TokenVariable), f.Getenv(tokens[f.Kind]))
	if token == "" {
		return scm.Options{}, fmt.Errorf("opening a pull request: there is no token for %s: set $%s (or $%s)", f.Kind, TokenVariable, cmp.Or(tokens[f.Kind], "GITHUB_TOKEN"))
	}
	options.Token = func() (string, error) { return token, nil }
	return options, nil
}

// remoteHost is what a remote's URL says of its forge.
type remoteHost struct {
	name string
	// base is the URL that the repository's is below; empty where it was no HTTP.
	base       string
	repository string
}

// api is where the forge's API is.
func (h remoteHost) api(kind scm.Forge) string {
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

func parseRemote(remote string) remoteHost {
	if !strings.Contains(remote, "://") {
		if found := scpLike.FindStringSubmatch(remote); found != nil {
			_, repository := ownerAndName(found[2])
			return remoteHost{name: found[1], repository: repository}
		}
		return remoteHost{}
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return remoteHost{}
	}
	prefix, repository := ownerAndName(u.Path)
	h := remoteHost{name: strings.TrimPrefix(u.Hostname(), "ssh."), repository: repository}
	if u.Scheme == "https" || u.Scheme == "http" {
		h.base = u.Scheme + "://" + u.Host + prefix
	}
	return h
}

// ownerAndName are the last two elements of a path, and what stands before them.
func ownerAndName(path string) (prefix, repository string) {
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
