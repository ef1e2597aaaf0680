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

// clones are the kinds of clones that CI and people have. In each, main is at a newer
// commit than the one that the promotion's branch started from.
var clones = map[string]func(w *fixture) string{
	"full":                 func(w *fixture) string { return w.Clone() },
	"shallow":              func(w *fixture) string { return w.Clone("--depth=1") },
	"shallow with history": func(w *fixture) string { return w.Clone("--depth=3", "--no-single-branch") },
	"partial":              func(w *fixture) string { return w.Clone("--filter=blob:none") },
	"treeless":             func(w *fixture) string { return w.Clone("--filter=tree:0") },
	"sparse and partial": func(w *fixture) string {
		clone := w.Clone("--filter=blob:none", "--sparse")
		promotetest.Git(w, clone, "sparse-checkout", "set", "other")
		return clone
	},
	"without check-out": func(w *fixture) string { return w.Clone("--no-checkout", "--depth=1") },
	"of another branch": func(w *fixture) string {
		promotetest.CommitTo(w, w.bare, "feature", "feature", map[string]string{"feature": "x"})
		return w.Clone("--depth=1", "--branch=feature")
	},
	"detached": func(w *fixture) string {
		clone := w.Clone()
		promotetest.Git(w, clone, "checkout", "--quiet", "--detach", "HEAD~")
		return clone
	},
	"linked work tree": func(w *fixture) string {
		linked := filepath.Join(w.TempDir(), "linked")
		promotetest.Git(w, w.clone, "worktree", "add", "--quiet", "--detach", linked)
		return linked
	},
}

func TestPromoteFromAnyClone(t *testing.T) {
	for name, clone := range clones {
		t.Run(name+" clone promotes again while the branch is open", func(t *testing.T) {
			w := newFixture(t)
			w.promote("staging", images("web@"+digest("c")))
			for i := range 3 {
				promotetest.CommitTo(t, w.bare, "main", "meanwhile", map[string]string{"other/README": fmt.Sprint(i)})
			}
			first := w.clone
			w.clone = clone(w)
			before := promotetest.Git(t, w.clone, "for-each-ref") + promotetest.Git(t, w.clone, "config", "--list", "--local")
			w.want(w.promote("dev", images("web@"+digest("e"))), "dev Committed")
			w.want(w.promote("staging", images("api@"+digest("d"))), "staging Updated")
			w.wantFile(stagingBranch, "pins/staging.yaml", pins("c", "d"))
			w.wantFile("main", "pins/dev.yaml", pins("e", "b"))
			if after := promotetest.Git(t, w.clone, "for-each-ref") + promotetest.Git(t, w.clone, "config", "--list", "--local"); after != before {
				t.Errorf("the clone changed:\n%s\n%s", before, after)
			}
			w.clone = first
			w.clean()
		})
	}

	t.Run("shallow clone proposes nothing again from a squash-merged branch", func(t *testing.T) {
		w := newFixture(t)
		w.promote("staging", images("web@"+digest("c")))
		w.merge("squash")
		promotetest.CommitTo(t, w.bare, "main", "reverted", map[string]string{"shop/pins/staging.yaml": pins("a", "a")})
		w.clone = w.Clone("--depth=1")
		w.want(w.promote("staging", images("api@"+digest("d"))), "staging Opened")
		w.wantFile(stagingBranch, "pins/staging.yaml", pins("a", "d"))
	})

	t.Run("shallow clone rejects commits of others on the branch", func(t *testing.T) {
		w := newFixture(t)
		w.promote("staging", images("web@"+digest("c")))
		promotetest.CommitTo(t, w.bare, stagingBranch, "mine", map[string]string{"shop/mine": "x"})
		promotetest.CommitTo(t, w.bare, "main", "meanwhile", map[string]string{"other": "x"})
		w.clone = w.Clone("--depth=1")
		w.refuses("it has commits that no promotion made", w.options("staging", images("api@"+digest("d"))))
	})

	t.Run("shallow clone accepts a merge of main into the branch", func(t *testing.T) {
		w := newFixture(t)
		w.promote("staging", images("web@"+digest("c")))
		promotetest.CommitTo(t, w.bare, "main", "meanwhile", map[string]string{"other": "x"})
		git, _ := w.scratch(stagingBranch)
		git("merge", "--quiet", "--no-ff", "--message", "Merge branch 'main'", "origin/main")
		git("push", "--quiet", "origin", stagingBranch)
		promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{"other": "y"})
		w.clone = w.Clone("--depth=1")
		w.want(w.promote("staging", images("api@"+digest("d"))), "staging Updated")
		w.wantFile(stagingBranch, "pins/staging.yaml", pins("c", "d"))
	})

	t.Run("missing filter and work tree hooks are ignored", func(t *testing.T) {
		w := newFixture(t)
		promotetest.CommitTo(t, w.bare, "main", "lfs", map[string]string{".gitattributes": "*.bin filter=lfs\n", "big.bin": "x"})
		for key, value := range map[string]string{"smudge": "not-installed", "clean": "not-installed", "required": "true"} {
			promotetest.Git(t, w.clone, "config", "filter.lfs."+key, value)
		}
		for _, hook := range []string{"pre-commit", "post-checkout", "pre-push", "post-commit"} {
			check(t, os.WriteFile(filepath.Join(w.clone, ".git", "hooks", hook), []byte("#!/bin/sh\nexit 1\n"), 0o700))
		}
		w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
		w.want(w.promote("staging"), "staging Opened")
	})

	t.Run("sign-off added by a hook keeps the branch a promotion's", func(t *testing.T) {
		for name, hook := range map[string]string{
			"in a paragraph of its own": `printf '\nSigned-off-by: Ana <ana@example.com>\n' >>"$1"`,
			"among the trailers":        `git interpret-trailers --in-place --trailer 'Signed-off-by: Ana <ana@example.com>' "$1"`,
			"in place of everything":    `echo 'Signed-off-by: Ana <ana@example.com>' >"$1"`,
		} {
			t.Run(name, func(t *testing.T) {
				w := newFixture(t)
				check(t, os.WriteFile(filepath.Join(w.clone, ".git", "hooks", "commit-msg"), []byte("#!/bin/sh\n"+hook+"\n"), 0o700))
				w.promote("staging", images("web@"+digest("c")))
				w.want(w.promote("staging", images("api@"+digest("d"))), "staging Updated")
				w.wantFile(stagingBranch, "pins/staging.yaml", pins("c", "d"))
				if got := promotetest.Git(t, w.bare, "log", "-1", "--format=%B", stagingBranch); !strings.Contains(got, "Signed-off-by: Ana <ana@example.com>") {
					t.Errorf("the message is:\n%s", got)
				}
			})
		}
	})
}

func base(name string) func(*promote.Options) {
	return func(o *promote.Options) { o.Base = name }
}

func TestPromoteOntoAnotherBase(t *testing.T) {
	onRelease := stagingBranch + "@release/1"
	prepare := func(t *testing.T) *fixture {
		w := newFixture(t)
		promotetest.Git(t, w.bare, "branch", "release/1", "main")
		promotetest.CommitTo(t, w.bare, "release/1", "release", map[string]string{"NOTES": "x"})
		return w
	}

	t.Run("each base has its own branch and pull request", func(t *testing.T) {
		w := prepare(t)
		w.want(w.promote("staging", images("web@"+digest("c"))), "staging Opened")
		w.want(w.promote("staging", images("web@"+digest("d")), base("release/1")), "staging Opened")
		w.want(w.promote("staging", images("web@"+digest("c")), base("main")), "staging Updated")
		w.want(w.promote("staging", images("api@"+digest("e")), base("release/1")), "staging Updated")
		w.wantFile(stagingBranch, "pins/staging.yaml", pins("c", "a"))
		w.wantFile(onRelease, "pins/staging.yaml", pins("d", "e"))
		var all []string
		for _, pr := range w.PullRequests() {
			all = append(all, pr.Head+" -> "+pr.Base)
		}
		if got := strings.Join(all, "\n"); got != stagingBranch+" -> main\n"+onRelease+" -> release/1" {
			t.Errorf("pull requests:\n%s", got)
		}
	})

	t.Run("branch with a pull request into another base is rejected", func(t *testing.T) {
		w := prepare(t)
		w.promote("staging", images("web@"+digest("c")))
		// The remote's default branch becomes another one: the branch's name stays.
		promotetest.Git(t, w.bare, "branch", "trunk", "main")
		promotetest.Git(t, w.bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
		w.refuses(`pull request 1 from it into "main" is open`, w.options("staging", images("web@"+digest("d"))))
		w.Close(1)
		w.want(w.promote("staging", images("web@"+digest("d"))), "staging Opened")
	})
}
