package promote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

func TestRetry(t *testing.T) {
	t.Run("concurrent commits of many services all succeed", func(t *testing.T) {
		w := newFixture(t)
		services := 50
		if testing.Short() {
			services = 10
		}
		files := map[string]string{}
		for i := range services {
			name := fmt.Sprintf("svc%d", i)
			files[name+"/ladder.yaml"] = strings.Replace(ladderYAML, "name: shop}", "name: "+name+"}", 1)
			files[name+"/pins/dev.yaml"] = pins("b", "b")
		}
		promotetest.CommitTo(t, w.bare, "main", "services", files)
		var group sync.WaitGroup
		errs := make([]error, services)
		clone := w.Clone("--depth=1")
		for i := range services {
			o := w.options("dev", images("web@"+digest("c")))
			own := filepath.Join(t.TempDir(), "clone")
			check(t, os.CopyFS(own, os.DirFS(clone)))
			o.Dir = filepath.Join(own, fmt.Sprintf("svc%d", i))
			group.Go(func() { _, errs[i] = promote.Run(t.Context(), o) })
		}
		group.Wait()
		check(t, errors.Join(errs...))
		for i := range services {
			if got := promotetest.Git(t, w.bare, "show", fmt.Sprintf("main:svc%d/pins/dev.yaml", i)) + "\n"; got != pins("c", "b") {
				t.Errorf("svc%d has %s", i, got)
			}
		}
	})

	// gateChecks counts how often a Gate is checked while others push first.
	gateChecks := func(t *testing.T, file string) int {
		w := newFixture(t)
		var checks atomic.Int32
		o := w.options("dev", withGate("dev"), images("web@"+digest("c")))
		o.Judge = judgeFunc(func(q verdict.Query) []verdict.GateVerdict {
			if checks.Add(1) == 1 {
				promotetest.CommitTo(t, w.bare, "main", "meanwhile", map[string]string{file: "# " + file + "\n" + pins("b", "b")})
			}
			return judge(nil).Judge(t.Context(), q)
		})
		_, err := promote.Run(t.Context(), o)
		check(t, err)
		if got := w.file("main", "pins/dev.yaml"); !strings.Contains(got, "web: "+digest("c")) {
			t.Errorf("main has %s", got)
		}
		if got := promotetest.Git(t, w.bare, "show", "main:"+file); !strings.Contains(got, "# "+file) {
			t.Errorf("the other's change is lost: %s", got)
		}
		return int(checks.Load())
	}
	t.Run("push of another service checks the Gate once", func(t *testing.T) {
		if n := gateChecks(t, "other/pins/dev.yaml"); n != 1 {
			t.Errorf("checked %d times, want once", n)
		}
	})
	t.Run("push that changes the pins checks the Gate again", func(t *testing.T) {
		if n := gateChecks(t, "shop/pins/dev.yaml"); n != 2 {
			t.Errorf("checked %d times, want twice", n)
		}
	})

	t.Run("timeout reports how often other pushes came first", func(t *testing.T) {
		w := newFixture(t)
		// A remote where another push always comes first.
		check(t, os.WriteFile(filepath.Join(w.bare, "hooks", "pre-receive"), []byte("#!/bin/sh\n"+
			"unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n"+
			"git update-ref refs/heads/main $(git -c user.name=Bo -c user.email=bo@example.com commit-tree -m x -p main 'main^{tree}')\n"), 0o700))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("timed out after 3s (--timeout)"))
		defer cancel()
		_, err := promote.Run(ctx, w.options("dev", images("web@"+digest("c"))))
		if err == nil || !strings.Contains(err.Error(), "timed out after 3s (--timeout)") {
			t.Errorf("error %v", err)
		}
		if n := promotetest.Git(t, w.bare, "rev-list", "--count", "main"); n == "1" || n == "2" {
			t.Errorf("%s commits on main: it didn't retry", n)
		}
		w.clean()
	})
}

func TestResults(t *testing.T) {
	t.Run("pushed branch is reported when its pull request can't be opened", func(t *testing.T) {
		w := newFixture(t)
		pushed := ""
		w.Before(func(method string) {
			if method == "POST" { // someone deletes the branch, and the forge refuses
				pushed = promotetest.Git(t, w.bare, "rev-parse", stagingBranch)
				promotetest.Git(t, w.bare, "update-ref", "-d", "refs/heads/"+stagingBranch)
			}
		})
		results, err := promote.Run(t.Context(), w.options("staging"))
		if err == nil || !strings.Contains(err.Error(), "run the same command again") {
			t.Errorf("error %v", err)
		}
		w.Before(nil)
		w.want(results, "staging Pushed")
		if results[0].Commit != pushed {
			t.Errorf("commit %q, want %q", results[0].Commit, pushed)
		}
		w.want(w.promote("staging"), "staging Opened")
	})

	t.Run("quarantine that can't be removed is no error", func(t *testing.T) {
		w := newFixture(t)
		// The hook makes a folder that can't be emptied, where root isn't the user.
		hook := filepath.Join(w.clone, ".git", "hooks", "commit-msg")
		check(t, os.WriteFile(hook, []byte("#!/bin/sh\nmkdir \"$(dirname \"$1\")/stuck\" && touch \"$(dirname \"$1\")/stuck/file\" && chmod 0 \"$(dirname \"$1\")/stuck\"\n"), 0o700))
		w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
		left, err := filepath.Glob(filepath.Join(w.clone, ".git", "envladder", "*", "stuck"))
		check(t, err)
		for _, dir := range left {
			check(t, os.Chmod(dir, 0o700))
		}
		check(t, os.Remove(hook))
		w.want(w.promote("staging"), "staging Opened")
		w.clean()
	})
}
