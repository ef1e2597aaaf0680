package promote_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

const stagingBranch = "envladder/shop/staging"

// scratch returns a person's clone of the forge's repository at a branch.
func (w *fixture) scratch(branch string) (git func(args ...string) string, dir string) {
	w.Helper()
	dir = filepath.Join(w.TempDir(), "scratch")
	promotetest.Git(w, w.TempDir(), "clone", "--quiet", "--branch", branch, w.bare, dir)
	return func(args ...string) string { return promotetest.Git(w, dir, args...) }, dir
}

// merges are the ways in which forges merge a branch into main.
var merges = map[string]func(git func(...string) string){
	"merge commit": func(git func(...string) string) { git("merge", "--quiet", "--no-ff", "origin/"+stagingBranch) },
	"fast-forward": func(git func(...string) string) { git("merge", "--quiet", "--ff-only", "origin/"+stagingBranch) },
	"squash": func(git func(...string) string) {
		git("merge", "--quiet", "--squash", "origin/"+stagingBranch)
		git("commit", "--quiet", "--message", "squashed")
	},
	"rebase": func(git func(...string) string) { git("cherry-pick", "main..origin/"+stagingBranch) },
}

// merge merges staging's branch and closes its pull request.
func (w *fixture) merge(how string) {
	w.Helper()
	git, dir := w.scratch("main")
	check(w.TB, os.WriteFile(filepath.Join(dir, "other"), []byte(fmt.Sprint(how, len(w.PullRequests()))), 0o600)) // so that main has moved on
	if how != "fast-forward" {
		git("add", "other")
		git("commit", "--quiet", "--message", "other")
	}
	merges[how](git)
	git("push", "--quiet", "origin", "main")
	for _, pr := range w.PullRequests() {
		w.Close(pr.Number)
	}
}

// The next promotion proposes only its own candidate, however the branch was merged, whether
// the branch was deleted, and whether the merge was reverted.
func TestMergedBranchIsNotProposedAgain(t *testing.T) {
	for how := range merges {
		for _, left := range []bool{true, false} {
			if !left && how != "squash" {
				continue // main is the same without it
			}
			for _, reverted := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, left %t, reverted %t", how, left, reverted), func(t *testing.T) {
					w := newFixture(t)
					w.promote("staging", images("web@"+digest("c"), "api@"+digest("d")))
					w.merge(how)
					w.wantFile("main", "pins/staging.yaml", pins("c", "d"))
					if !left {
						promotetest.Git(t, w.bare, "update-ref", "-d", "refs/heads/"+stagingBranch)
					}
					api := "d"
					if reverted {
						api = "a"
						promotetest.CommitTo(t, w.bare, "main", "reverted", map[string]string{"shop/pins/staging.yaml": pins("a", "a")})
					}
					results := w.promote("staging", images("web@"+digest("e")))
					w.want(results, "staging Opened")
					w.wantFile(stagingBranch, "pins/staging.yaml", pins("e", api))
					// Where Git itself shows that the branch was merged, there is no note.
					rewritten := left && reverted && (how == "squash" || how == "rebase")
					if noted := strings.Contains(strings.Join(results[0].Notes, "\n"), "it isn't proposed again"); noted != rewritten {
						t.Errorf("notes %q", results[0].Notes)
					}
					w.clean()
				})
			}
		}
	}
}

// A reverted digest may be promoted again by name: its merge isn't empty.
func TestRevertedDigestCanBePromotedByName(t *testing.T) {
	for how := range merges {
		t.Run(how, func(t *testing.T) {
			w := newFixture(t)
			again := images("web@"+digest("c"), "api@"+digest("d"))
			w.promote("staging", again)
			w.merge(how)
			promotetest.CommitTo(t, w.bare, "main", "web reverted", map[string]string{"shop/pins/staging.yaml": pins("a", "d")})
			w.want(w.promote("staging", again), "staging Opened")
			w.merge("merge commit")
			w.wantFile("main", "pins/staging.yaml", pins("c", "d"))
		})
	}
}

func TestOvertakenProposalIsDroppedWithNote(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", images("web@"+digest("c")))
	promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/staging.yaml": pins("e", "a")})
	results := w.promote("staging", images("api@"+digest("f")))
	w.wantFile(stagingBranch, "pins/staging.yaml", pins("e", "f"))
	if notes := strings.Join(results[0].Notes, "\n"); !strings.Contains(notes, "web sha256:cccccccccccc was on the branch envladder/shop/staging, but main has another value since") {
		t.Errorf("notes %q", notes)
	}
}

// Images that the ladder no longer has, and invalid pins in the history, are ignored.
func TestBranchOfOlderLadderIsUpdated(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", images("api@"+digest("d")))
	promotetest.CommitTo(t, w.bare, "main", "wrong", map[string]string{"shop/pins/staging.yaml": "images: {web: latest}\n"})
	without := strings.Replace(ladderYAML, "  - {name: api, repository: registry.example.com/shop/api, valuesPath: api.image}\n", "", 1)
	onlyWeb := "images:\n  web: " + digest("a") + "\n"
	files := map[string]string{"shop/ladder.yaml": without}
	for _, name := range []string{"dev", "staging", "eu", "us", "ap"} {
		files["shop/pins/"+name+".yaml"] = onlyWeb
	}
	promotetest.CommitTo(t, w.bare, "main", "without api", files)
	w.want(w.promote("staging", images("web@"+digest("c"))), "staging Updated")
	w.wantFile(stagingBranch, "pins/staging.yaml", "images:\n  web: "+digest("c")+"\n")
}

// A person who merges main into the branch may edit files in the merge commit. Such edits
// are rejected; a merge without edits is accepted.
func TestMergeCommitOnBranch(t *testing.T) {
	for name, test := range map[string]struct {
		main map[string]string // what comes onto main before
		edit map[string]string // what the merge has in place of what git would make
		want string            // of the error
		pins string            // after the next promotion, of api
	}{
		"nothing": {
			main: map[string]string{"shop/README": "x"},
			pins: pins("c", "f"),
		},
		"a conflict, with what both sides meant": {
			main: map[string]string{"shop/pins/staging.yaml": pins("a", "e")},
			edit: map[string]string{"shop/pins/staging.yaml": pins("c", "e")},
			pins: pins("c", "f"),
		},
		"a conflict, for main": {
			main: map[string]string{"shop/pins/staging.yaml": pins("e", "a")},
			edit: map[string]string{"shop/pins/staging.yaml": pins("e", "a")},
			pins: pins("e", "f"),
		},
		"a file of their own": {
			main: map[string]string{"shop/README": "x"},
			edit: map[string]string{"shop/mine": "x"},
			want: `an edit of "shop/mine" in a merge commit`,
		},
		"a file of main as it was before": {
			main: map[string]string{"shop/chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 2.0.0\n"},
			edit: map[string]string{"shop/chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n"},
			want: `an edit of "shop/chart/Chart.yaml" in a merge commit`,
		},
		"another digest": {
			main: map[string]string{"shop/README": "x"},
			edit: map[string]string{"shop/pins/staging.yaml": pins("9", "a")},
			want: `in a merge commit (web: ` + digest("9") + `)`,
		},
		"main's digest as it was before": {
			main: map[string]string{"shop/pins/staging.yaml": pins("a", "e")},
			edit: map[string]string{"shop/pins/staging.yaml": pins("c", "a")},
			want: `in a merge commit (api: ` + digest("a") + `)`,
		},
		"a comment in the pins": {
			main: map[string]string{"shop/README": "x"},
			edit: map[string]string{"shop/pins/staging.yaml": pins("c", "a") + "# mine\n"},
			want: `an edit of "shop/pins/staging.yaml" in a merge commit`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			w.promote("staging", images("web@"+digest("c")))
			promotetest.CommitTo(t, w.bare, "main", "meanwhile", test.main)
			git, dir := w.scratch(stagingBranch)
			git("merge", "--quiet", "--no-commit", "--no-ff", "--strategy-option=ours", "origin/main")
			for file, content := range test.edit {
				check(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
			}
			git("add", "--all")
			git("commit", "--quiet", "--message", "Merge branch 'main'")
			git("push", "--quiet", "origin", stagingBranch)

			if test.want != "" {
				w.refuses(test.want, w.options("staging", images("api@"+digest("f"))))
				return
			}
			w.want(w.promote("staging", images("api@"+digest("f"))), "staging Updated")
			w.wantFile(stagingBranch, "pins/staging.yaml", test.pins)
		})
	}
}

// Two ladders of the same name, and prod-eu and prod/eu, share a branch name: the second
// promotion doesn't replace the first one's branch.
func TestBranchOfOtherPinsIsRejected(t *testing.T) {
	two := strings.NewReplacer("pins/staging.yaml", "pins/other.yaml").Replace(ladderYAML)
	both := ladderYAML + "  - {name: prod-eu, pins: pins/prod-eu.yaml}\n"
	for name, test := range map[string]struct {
		files       map[string]string
		first       func(w *fixture)
		environment string
		dir, branch string
	}{
		"another folder": {
			files:       map[string]string{"other/ladder.yaml": ladderYAML, "other/chart/Chart.yaml": "name: shop\n", "other/pins/staging.yaml": pins("a", "a")},
			first:       func(w *fixture) { w.promote("staging", images("web@"+digest("c"))) },
			environment: "staging", dir: "other", branch: stagingBranch,
		},
		"other pins": {
			files:       map[string]string{"other/ladder.yaml": two, "other/chart/Chart.yaml": "name: shop\n", "other/pins/other.yaml": pins("a", "a")},
			first:       func(w *fixture) { w.promote("staging", images("web@"+digest("c"))) },
			environment: "staging", dir: "other", branch: stagingBranch,
		},
		"another environment": {
			files:       map[string]string{"shop/ladder.yaml": both, "shop/pins/prod-eu.yaml": pins("a", "a")},
			first:       func(w *fixture) { w.promote("prod", target("eu"), images("web@"+digest("c"))) },
			environment: "prod-eu", dir: "shop", branch: "envladder/shop/prod-eu",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t)
			promotetest.CommitTo(t, w.bare, "main", "more", test.files)
			promotetest.Git(t, w.clone, "pull", "--quiet")
			test.first(w)
			o := w.options(test.environment, images("api@"+digest("d")))
			o.Dir = filepath.Join(w.clone, test.dir)
			w.refuses("a promotion into other pins than", o)
			promotetest.Git(t, w.bare, "update-ref", "-d", "refs/heads/"+test.branch)
			w.Close(1) // as forges do then
			results, err := promote.Run(t.Context(), o)
			check(t, err)
			w.want(results, test.environment+" Opened")
		})
	}
}

// Amending a promotion's commit keeps its mark. Edits of other files must not be dropped.
func TestAmendedCommitIsRejected(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", images("web@"+digest("c")))
	git, dir := w.scratch(stagingBranch)
	check(t, os.WriteFile(filepath.Join(dir, "shop/chart/Chart.yaml"), []byte("mine"), 0o600))
	git("commit", "--quiet", "--all", "--amend", "--no-edit")
	git("push", "--quiet", "--force", "origin", stagingBranch)
	w.refuses(`a change of "shop/chart/Chart.yaml" that no promotion made`, w.options("staging", images("api@"+digest("f"))))
}

func TestRemoteWithoutForcePushes(t *testing.T) {
	w := newFixture(t)
	w.promote("staging")
	promotetest.Git(t, w.bare, "config", "receive.denyNonFastForwards", "true")
	w.promote("dev", images("web@"+digest("c")))
	w.refuses("allow force pushes to the branches of promotions", w.options("staging"))
}
