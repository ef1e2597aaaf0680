package forge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/scm"
)

func TestOptionsFromRemote(t *testing.T) {
	type derived struct {
		Kind            scm.Forge
		URL, Repository string
	}
	for remote, test := range map[string]struct {
		forge Config
		want  derived
		err   string
	}{
		"https://github.com/team/gitops":                      {want: derived{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"https://x-access-token:t@github.com/team/gitops.git": {want: derived{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"git@github.com:team/gitops.git":                      {want: derived{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"ssh://git@ssh.github.com:443/team/gitops.git":        {want: derived{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"https://ghe.example.com/team/gitops":                 {forge: Config{Kind: scm.GitHub}, want: derived{scm.GitHub, "https://ghe.example.com/api/v3", "team/gitops"}},
		"https://git.example.com:8443/team/gitops.git/":       {forge: Config{Kind: scm.Gitea}, want: derived{scm.Gitea, "https://git.example.com:8443", "team/gitops"}},
		"https://example.com/git/team/gitops.git":             {forge: Config{Kind: scm.Gitea}, want: derived{scm.Gitea, "https://example.com/git", "team/gitops"}},
		"git@git.example.com:team/gitops.git": {
			forge: Config{Kind: scm.Gitea, URL: "https://git.example.com"}, want: derived{scm.Gitea, "https://git.example.com", "team/gitops"},
		},
		"/srv/git/gitops.git": {
			forge: Config{Kind: scm.Gitea, URL: "https://git.example.com", Repository: "team/gitops"}, want: derived{scm.Gitea, "https://git.example.com", "team/gitops"},
		},
		"https://git.example.com/team/gitops":  {err: "set --forge"},
		"https://github.com.evil.test/a/b":     {err: "set --forge"},
		"git@git.example.com:team/other.git":   {forge: Config{Kind: scm.Gitea}, err: "set --forge-url"},
		"https://git.example.com/gitops":       {forge: Config{Kind: scm.Gitea}, err: "set --forge-repository"},
		"https://no:s3cret@[bad/team/gitops":   {forge: Config{Kind: scm.Gitea}, err: "set --forge-repository"},
		"file:///srv/team/gitops.git":          {forge: Config{Kind: scm.Gitea}, err: "set --forge-"},
		"ssh://git@ghe.example.com/team/x.git": {forge: Config{Kind: scm.GitHub}, err: "set --forge-url"},
	} {
		t.Run(remote, func(t *testing.T) {
			test.forge.Getenv = func(name string) string {
				return map[string]string{TokenVariable: "t"}[name]
			}
			options, err := test.forge.Options(remote)
			if test.err != "" || err != nil {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, derived{options.Forge, options.URL, options.Repository}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := scm.New(options); err != nil {
				t.Errorf("the forge's client rejects it: %v", err)
			}
		})
	}
}

// A token is used only for its own forge.
func TestOptionsTokenOfOtherForge(t *testing.T) {
	f := Config{Kind: scm.Gitea, Getenv: func(name string) string { return map[string]string{"GITHUB_TOKEN": "t"}[name] }}
	if _, err := f.Options("https://git.example.com/team/gitops"); err == nil || !strings.Contains(err.Error(), "no token for Gitea") {
		t.Errorf("error %v", err)
	}
}

// FuzzParseRemote checks that no remote results in a URL with a password, or one that the
// forge's client rejects for its form.
func FuzzParseRemote(f *testing.F) {
	for _, seed := range []string{"https://u:p@h/a/b.git", "git@h:a/b", "ssh://git@h:22/a/b", "/srv/a/b", "https://h/x/a/b/", "a:b/c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, remote string) {
		h := parseRemote(remote)
		if strings.Contains(h.base, "@") && !strings.Contains(strings.TrimPrefix(h.base, "https://"), "/") {
			t.Errorf("%q has credentials", h.base)
		}
		if h.repository != "" && strings.Count(h.repository, "/") != 1 {
			t.Errorf("%q is not owner/name", h.repository)
		}
		_ = gitrepo.Redact(remote)
	})
}
