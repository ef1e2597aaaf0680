package promote_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

func TestProposals(t *testing.T) {
	begin := func(t *testing.T) *fixture {
		t.Helper()
		w := newFixture(t)
		w.promote("dev", images("web@"+digest("c"), "api@"+digest("a")))
		w.promote("staging")
		return w
	}
	proposal := promote.Proposal{EnvTarget: "staging", Image: "web", Value: digest("c"), Branch: stagingBranch, Source: "dev"}
	withdrawn := proposal
	withdrawn.Withdrawn = true
	for name, tt := range map[string]struct {
		change func(t *testing.T, w *fixture)
		want   []promote.Proposal
	}{
		"a digest on a promotion's branch is proposed": {func(*testing.T, *fixture) {}, []promote.Proposal{proposal}},
		"it is withdrawn where its source has gone back from it": {func(_ *testing.T, w *fixture) {
			w.promote("dev", images("web@"+digest("a")))
		}, []promote.Proposal{withdrawn}},
		"it isn't proposed once it is merged": {func(_ *testing.T, w *fixture) { w.merge("squash") }, nil},
		"it isn't proposed once the base has got another": {func(t *testing.T, w *fixture) {
			promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/staging.yaml": pins("d", "a")})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			tt.change(t, w)
			got, err := promote.Proposals(t.Context(), filepath.Join(w.clone, "shop"), "origin")
			check(t, err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			w.clean()
		})
	}
	t.Run("branch with commits of others is an error, other branches are read", func(t *testing.T) {
		w := begin(t)
		promotetest.CommitTo(t, w.bare, stagingBranch, "by hand", map[string]string{"shop/chart/Chart.yaml": "name: other\n"})
		if got, err := promote.Proposals(t.Context(), filepath.Join(w.clone, "shop"), "origin"); err == nil || len(got) > 0 {
			t.Errorf("got %v, error %v", got, err)
		}
	})
}
