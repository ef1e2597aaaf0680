package promote_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/forge"
	"github.com/envladder/envladder/promote/promotetest"
)

// digest returns a digest of 64 equal digits.
func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

const ladderYAML = `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  images:
  - {name: web, repository: registry.example.com/shop/web, valuesPath: image}
  - {name: api, repository: registry.example.com/shop/api, valuesPath: api.image}
  environments:
  - {name: local}
  - {name: dev, pins: pins/dev.yaml, promotion: Commit}
  - {name: staging, pins: pins/staging.yaml, promotion: PullRequest}
  - name: prod
    targets:
    - {name: eu, pins: pins/eu.yaml}
    - {name: us, pins: pins/us.yaml, after: eu}
    - {name: ap, pins: pins/ap.yaml, after: eu}
`

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// pins returns the pins of web and api.
func pins(web, api string) string {
	return fmt.Sprintf("# Written by promotions.\nimages:\n  web: %s # the shop\n  api: %s\n", digest(web), digest(api))
}

// fixture is a forge with the repository team/gitops, and a clone of it.
type fixture struct {
	testing.TB
	*promotetest.Forge

	bare, clone string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	w := &fixture{TB: t, Forge: promotetest.StartForge(t)}
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.com", "GIT_COMMITTER_NAME": "Ana", "GIT_COMMITTER_EMAIL": "ana@example.com",
		"TMPDIR": filepath.Join(home, "tmp"),
	} {
		t.Setenv(name, value)
	}
	check(t, os.Mkdir(filepath.Join(home, "tmp"), 0o750))
	w.bare = filepath.Join(w.Root, "team", "gitops.git")
	promotetest.Bare(t, w.bare, map[string]string{
		"shop/ladder.yaml": ladderYAML, "shop/chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/pins/dev.yaml": pins("b", "b"), "shop/pins/staging.yaml": pins("a", "a"),
		"shop/pins/eu.yaml": pins("a", "a"), "shop/pins/us.yaml": pins("a", "a"), "shop/pins/ap.yaml": pins("a", "a"),
	})
	w.clone = w.Clone()
	return w
}

// Clone returns another clone.
func (w *fixture) Clone(args ...string) string {
	dir := filepath.Join(w.TempDir(), "clone")
	promotetest.Git(w, w.TempDir(), append(append([]string{"clone", "--quiet"}, args...), w.URL+"/team/gitops.git", dir)...)
	return dir
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// judge denies the images with the digests that it lists.
type judge []string

func (j judge) Judge(_ context.Context, q verdict.Query) []verdict.GateVerdict {
	var reasons []gate.Reason
	for _, denied := range j {
		if strings.HasSuffix(q.Reference, denied) {
			reasons = append(reasons, gate.NewReason(gate.NoSoak, "needs | a *soak* for %s/%s by @ana", q.Stamps.Environment, q.Stamps.Target))
		}
	}
	repository, digest, _ := strings.Cut(q.Reference, "@")
	return []verdict.GateVerdict{{
		Verdict: gate.Deny(gate.Image{Repository: repository, Digest: digest}, gate.RefTo(q.Gates[0].Gate), reasons...), Action: q.Gates[0].Spec.Action,
	}}
}

func (w *fixture) options(environment string, change ...func(*promote.Options)) promote.Options {
	o := promote.Options{
		Dir: filepath.Join(w.clone, "shop"), Remote: "origin", Environment: environment, Judge: judge(nil),
		Forge: forge.Config{Kind: scm.Gitea, Getenv: func(name string) string {
			return map[string]string{"GITEA_TOKEN": promotetest.Token}[name]
		}},
		Now: func() time.Time { return now },
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

func target(name string) func(*promote.Options) {
	return func(o *promote.Options) { o.Target = name }
}

func images(names ...string) func(*promote.Options) {
	return func(o *promote.Options) { o.Images = names }
}

func (w *fixture) promote(environment string, change ...func(*promote.Options)) []promote.Result {
	w.Helper()
	results, err := promote.Run(w.Context(), w.options(environment, change...))
	if err != nil {
		w.Fatal(err)
	}
	return results
}

// refuses runs a promotion that must fail with a text and change nothing.
func (w *fixture) refuses(want string, o promote.Options) {
	w.Helper()
	before := promotetest.Git(w, w.bare, "for-each-ref")
	writes := w.Writes()
	results, err := promote.Run(w.Context(), o)
	if err == nil || !strings.Contains(err.Error(), want) {
		w.Errorf("%+v, error %v, want %q", results, err, want)
	}
	if after := promotetest.Git(w, w.bare, "for-each-ref"); after != before || w.Writes() != writes {
		w.Errorf("something was pushed or opened:\n%s\n%s", before, after)
	}
	w.clean()
}

// clean checks that a promotion left nothing behind.
func (w *fixture) clean() {
	w.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		w.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(w.clone, ".git", "envladder")); !errors.Is(err, fs.ErrNotExist) {
		w.Errorf("a quarantine is left: %v", err)
	}
}

func (w *fixture) file(branch, name string) string {
	w.Helper()
	return promotetest.Git(w, w.bare, "show", branch+":shop/"+name) + "\n"
}

func (w *fixture) wantFile(branch, name, want string) {
	w.Helper()
	if diff := cmp.Diff(want, w.file(branch, name)); diff != "" {
		w.Errorf("%s of %s (-want +got):\n%s", name, branch, diff)
	}
}

func outcomes(results []promote.Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, r.EnvTarget+" "+string(r.Outcome))
	}
	return all
}

func (w *fixture) want(results []promote.Result, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		w.Errorf("(-want +got):\n%s", diff)
	}
}
