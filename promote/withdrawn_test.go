package promote_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/forge"
	"github.com/envladder/envladder/promote/promotetest"
)

// TestWithdrawn: dev goes back to what staging runs, while a pull request proposes the
// digest that dev has gone back from.
func TestWithdrawn(t *testing.T) {
	begin := func(t *testing.T) *fixture {
		t.Helper()
		w := newFixture(t)
		w.promote("dev", images("web@"+digest("a"), "api@"+digest("a")))
		w.promote("dev", images("web@"+digest("c")))
		w.want(w.promote("staging"), "staging Opened")
		return w
	}
	t.Run("the pull request is closed", func(t *testing.T) {
		w := begin(t)
		w.promote("dev", images("web@"+digest("a")))
		results := w.promote("staging")
		w.want(results, "staging Withdrawn")
		pr := w.PullRequests()[0]
		if pr.State != "closed" || !strings.Contains(pr.Body, "dev has gone back from it") {
			t.Errorf("%+v", pr)
		}
		if notes := strings.Join(results[0].Notes, "\n"); !strings.Contains(notes, "web sha256:cccccccccccc") {
			t.Errorf("notes %q", notes)
		}
		w.want(w.promote("staging"), "staging UpToDate")
		w.want(w.promote("staging", images("api@"+digest("d"))), "staging Opened")
		w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("a", "d"))
	})
	t.Run("other proposals stay", func(t *testing.T) {
		w := begin(t)
		w.promote("staging", images("api@"+digest("d")))
		w.promote("dev", images("web@"+digest("a")))
		w.want(w.promote("staging", images("web@"+digest("a"))), "staging Updated")
		w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("a", "d"))
	})
	t.Run("digest is proposed again", func(t *testing.T) {
		w := begin(t)
		w.promote("dev", images("web@"+digest("a")))
		w.want(w.promote("staging"), "staging Withdrawn")
		w.promote("dev", images("web@"+digest("c")))
		w.want(w.promote("staging"), "staging Opened")
		w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("c", "a"))
	})
	t.Run("digest proposed by name stays", func(t *testing.T) {
		w := newFixture(t)
		w.promote("dev", images("web@"+digest("a"), "api@"+digest("a")))
		w.promote("staging", images("web@"+digest("d")))
		w.want(w.promote("staging"), "staging UpToDate")
		if pr := w.PullRequests()[0]; pr.State != "open" {
			t.Errorf("%+v", pr)
		}
	})
	t.Run("dry run closes nothing", func(t *testing.T) {
		w := begin(t)
		w.promote("dev", images("web@"+digest("a")))
		w.promote("staging", func(o *promote.Options) { o.DryRun = true })
		if pr := w.PullRequests()[0]; pr.State != "open" {
			t.Errorf("%+v", pr)
		}
	})
	t.Run("missing token is an error", func(t *testing.T) {
		w := begin(t)
		promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/dev.yaml": pins("a", "a")})
		o := w.options("staging")
		o.Forge = forge.Config{Kind: scm.Gitea, Getenv: func(string) string { return "" }}
		w.refuses("no token for Gitea", o)
	})
}
