package promote

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/scm"
)

func TestTheForgeIsToldFromTheRemote(t *testing.T) {
	type told struct {
		Kind            scm.Forge
		URL, Repository string
	}
	for remote, test := range map[string]struct {
		forge Forge
		want  told
		err   string
	}{
		"https://github.com/team/gitops":                      {want: told{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"https://x-access-token:t@github.com/team/gitops.git": {want: told{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"git@github.com:team/gitops.git":                      {want: told{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"ssh://git@ssh.github.com:443/team/gitops.git":        {want: told{scm.GitHub, scm.GitHubURL, "team/gitops"}},
		"https://ghe.example.com/team/gitops":                 {forge: Forge{Kind: scm.GitHub}, want: told{scm.GitHub, "https://ghe.example.com/api/v3", "team/gitops"}},
		"https://git.example.com:8443/team/gitops.git/":       {forge: Forge{Kind: scm.Gitea}, want: told{scm.Gitea, "https://git.example.com:8443", "team/gitops"}},
		"https://example.com/git/team/gitops.git":             {forge: Forge{Kind: scm.Gitea}, want: told{scm.Gitea, "https://example.com/git", "team/gitops"}},
		"git@git.example.com:team/gitops.git": {
			forge: Forge{Kind: scm.Gitea, URL: "https://git.example.com"}, want: told{scm.Gitea, "https://git.example.com", "team/gitops"},
		},
		"/srv/git/gitops.git": {
			forge: Forge{Kind: scm.Gitea, URL: "https://git.example.com", Repository: "team/gitops"}, want: told{scm.Gitea, "https://git.example.com", "team/gitops"},
		},
		"https://git.example.com/team/gitops":  {err: "say --forge"},
		"https://github.com.evil.test/a/b":     {err: "say --forge"},
		"git@git.example.com:team/other.git":   {forge: Forge{Kind: scm.Gitea}, err: "say --forge-url"},
		"https://git.example.com/gitops":       {forge: Forge{Kind: scm.Gitea}, err: "say --forge-repository"},
		"https://no:s3cret@[bad/team/gitops":   {forge: Forge{Kind: scm.Gitea}, err: "say --forge-repository"},
		"file:///srv/team/gitops.git":          {forge: Forge{Kind: scm.Gitea}, err: "say --forge-"},
		"ssh://git@ghe.example.com/team/x.git": {forge: Forge{Kind: scm.GitHub}, err: "say --forge-url"},
	} {
		t.Run(remote, func(t *testing.T) {
			test.forge.Getenv = func(name string) string {
				return map[string]string{TokenVariable: "t"}[name]
			}
			options, err := test.forge.options(remote)
			if test.err != "" || err != nil {
				if err == nil || test.err == "" || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if diff := cmp.Diff(test.want, told{options.Forge, options.URL, options.Repository}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := scm.New(options); err != nil {
				t.Errorf("the forge's client refuses it: %v", err)
			}
		})
	}
}

// GitHub's token goes to GitHub, Gitea's to Gitea.
func TestATokenIsOfItsForge(t *testing.T) {
	f := Forge{Kind: scm.Gitea, Getenv: func(name string) string { return map[string]string{"GITHUB_TOKEN": "t"}[name] }}
	if _, err := f.options("https://git.example.com/team/gitops"); err == nil || !strings.Contains(err.Error(), "there is no token for Gitea") {
		t.Errorf("error %v", err)
	}
}

func TestATextThatIsTooLongEndsWithItsReason(t *testing.T) {
	r := Result{Place: "prod", Environment: "prod"}
	for range 200 {
		r.Reasons = append(r.Reasons, gate.NewReason(gate.NoSoak, "%s", strings.Repeat("ä", 1000)))
	}
	r.describe(origin{time.Now(), "shop", r.command("", nil)})
	if len(r.Text) > 65_536 || !strings.Contains(r.Text, "There is more than fits here") || !strings.Contains(r.Text, "\n    envladder promote prod\n") {
		t.Errorf("%d bytes", len(r.Text))
	}
}

func TestTitles(t *testing.T) {
	image := func(name string) Change {
		return Change{Image: name, New: "sha256:" + strings.Repeat("0123456789abcdef", 4)}
	}
	for want, changes := range map[string][]Change{
		"Promote web to prod/eu: sha256:0123456789ab": {image("web")},
		"Promote api, web to prod/eu":                 {image("api"), image("web"), {New: "x.tgz"}},
		"Promote a, b, c, d and 1 more to prod/eu":    {image("a"), image("b"), image("c"), image("d"), image("e")},
		"Promote the chart to prod/eu":                {{New: "x.tgz"}},
	} {
		if got := (&Result{Place: "prod/eu", Changes: changes}).title(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzParseRemote: what a remote is called never becomes a URL with a password in it, or
// one that the forge's client refuses for its form.
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
			t.Errorf("%q isn't owner/name", h.repository)
		}
		_ = gitrepo.Redact(remote)
	})
}
