package promote_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

func TestRollback(t *testing.T) {
	// revert brings a staging that had got digest c back to what it had.
	revert := func(t *testing.T, how string) *fixture {
		t.Helper()
		w := newFixture(t)
		w.promote("dev", images("web@"+digest("c"), "api@"+digest("a")))
		w.promote("staging")
		w.merge(how)
		w.wantFile("main", "pins/staging.yaml", pins("c", "a"))
		promotetest.CommitTo(t, w.bare, "main", "Revert", map[string]string{"shop/pins/staging.yaml": pins("a", "a")})
		return w
	}
	for _, how := range []string{"merge commit", "squash"} {
		t.Run("digest reverted after a "+how+" isn't proposed again", func(t *testing.T) {
			w := revert(t, how)
			results := w.promote("staging")
			w.want(results, "staging RolledBack")
			if notes := strings.Join(results[0].Notes, "\n"); !strings.Contains(notes, "web sha256:cccccccccccc isn't proposed: staging was rolled back from it by commit") {
				t.Errorf("notes %q", notes)
			}
		})
	}
	t.Run("other images are still proposed", func(t *testing.T) {
		w := revert(t, "merge commit")
		w.promote("dev", images("api@"+digest("d")))
		w.want(w.promote("staging"), "staging Opened")
		w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("a", "d"))
	})
	t.Run("another digest is proposed", func(t *testing.T) {
		w := revert(t, "merge commit")
		w.promote("dev", images("web@"+digest("d")))
		w.want(w.promote("staging"), "staging Opened")
		w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("d", "a"))
	})
	t.Run("named digest is proposed", func(t *testing.T) {
		w := revert(t, "merge commit")
		w.want(w.promote("staging", images("web@"+digest("c"))), "staging Opened")
	})
	t.Run("digest that its source had gone back from too is proposed again", func(t *testing.T) {
		w := newFixture(t)
		for _, d := range []string{"c", "a"} {
			w.promote("dev", images("web@"+digest(d), "api@"+digest("a")))
			w.promote("staging")
			w.merge("merge commit")
		}
		w.wantFile("main", "pins/staging.yaml", pins("a", "a"))
		w.promote("dev", images("web@"+digest("c")))
		w.want(w.promote("staging"), "staging Opened")
	})
	t.Run("shallow clone finds the rollback", func(t *testing.T) {
		w := revert(t, "merge commit")
		o := w.options("staging")
		o.Dir = w.Clone("--depth=1") + "/shop"
		results, err := promote.Run(t.Context(), o)
		check(t, err)
		w.want(results, "staging RolledBack")
	})
}
