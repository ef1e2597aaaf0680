package promote_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/forge"
	"github.com/envladder/envladder/promote/promotetest"
)

func TestCommitToDev(t *testing.T) {
	w := newFixture(t)
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
	w.wantFile("main", "pins/dev.yaml", pins("c", "b"))
	got := promotetest.Git(t, w.bare, "log", "-1", "--format=%an%n%B", "main")
	if want := "Ana\nPromote web to dev: sha256:cccccccccccc\n\nweb: " + digest("b") + " -> " + digest("c") + "\n\nEnvladder-Promotion: shop/dev shop/pins/dev.yaml"; got != want {
		t.Errorf("the commit is:\n%s", got)
	}
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev UpToDate")
	w.clean()
	if w.Writes() != 0 {
		t.Error("the forge was called")
	}
}

func TestPinnedDigestKeepsProposalsOfOthers(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", images("api@"+digest("d")))
	writes := w.Writes()
	w.want(w.promote("staging", images("web@"+digest("a"))), "staging UpToDate")
	if w.Writes() != writes {
		t.Error("the pull request was written")
	}
}

// A clone with core.autocrlf has other line endings than the repository.
func TestLineEndingsStay(t *testing.T) {
	w := newFixture(t)
	mixed := strings.Replace(pins("a", "b"), "\n", "\r\n", 1)
	promotetest.CommitTo(t, w.bare, "main", "mixed", map[string]string{"shop/pins/dev.yaml": mixed})
	promotetest.Git(t, w.clone, "config", "core.autocrlf", "true")
	w.promote("dev", images("web@"+digest("c")))
	w.wantFile("main", "pins/dev.yaml", strings.Replace(mixed, digest("a"), digest("c"), 1))
}

func TestBranchWithCommitsOfOthersIsRejected(t *testing.T) {
	w := newFixture(t)
	w.promote("staging")
	promotetest.CommitTo(t, w.bare, "envladder/shop/staging", "mine", map[string]string{"shop/mine": "x"})
	w.refuses("it has commits that no promotion made", w.options("staging", images("web@"+digest("c"))))
}

// Six concurrent promotions of different images, environments and digests, most from their
// own clones: in any order, none loses another's change.
func TestConcurrentPromotionsLoseNoChange(t *testing.T) {
	w := newFixture(t)
	type run struct{ environment, image string }
	runs := []run{
		{"dev", "web@" + digest("1")},
		{"dev", "api@" + digest("2")},
		{"staging", "web@" + digest("3")},
		{"staging", "api@" + digest("4")},
	}
	var group sync.WaitGroup
	errs := make([]error, len(runs)+2)
	for i, r := range runs {
		o := w.options(r.environment, images(r.image))
		o.Dir = filepath.Join(w.Clone(), "shop")
		group.Go(func() { _, errs[i] = promote.Run(t.Context(), o) })
	}
	// Two run in the same clone.
	for i, name := range []string{"eu", "us"} {
		o := w.options("prod", target(name), images("web@"+digest("5")), func(o *promote.Options) { o.AllowUnproven = true })
		group.Go(func() { _, errs[len(runs)+i] = promote.Run(t.Context(), o) })
	}
	group.Wait()
	check(t, errors.Join(errs...))

	w.wantFile("main", "pins/dev.yaml", pins("1", "2"))
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("3", "4"))
	w.wantFile("envladder/shop/prod-eu", "pins/eu.yaml", pins("5", "a"))
	w.wantFile("envladder/shop/prod-us", "pins/us.yaml", pins("5", "a"))
	open := map[string]promotetest.PullRequest{}
	for _, pr := range w.PullRequests() {
		open[pr.Head] = pr
	}
	if len(open) != 3 || len(w.PullRequests()) != 3 {
		t.Fatalf("pull requests: %+v", w.PullRequests())
	}
	if pr := open["envladder/shop/staging"]; !strings.Contains(pr.Body, digest("3")) || !strings.Contains(pr.Body, digest("4")) || pr.Title != "Promote web, api to staging" {
		t.Errorf("the body describes only one: %q\n%s", pr.Title, pr.Body)
	}
	w.clean()
}

func TestRealDataWithoutGateIsRefused(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "real", map[string]string{
		"shop/ladder.yaml": strings.Replace(ladderYAML, "  - name: prod\n", "  - name: prod\n    data: Real\n", 1),
	})
	results := w.promote("prod", images("web@"+digest("c")))
	w.want(results, "prod/eu Refused")
	r := results[0].Reasons
	if len(r) != 1 || r[0].Code != gate.NoGate || !strings.Contains(r[0].Message, "environments[].gate") || !strings.Contains(r[0].Remedy, "--gate FILE") {
		t.Errorf("%+v", r)
	}
	if w.Writes() != 0 || promotetest.Git(t, w.bare, "for-each-ref", "refs/heads/envladder") != "" {
		t.Error("something was pushed or opened")
	}
	results = w.promote("prod", images("web@"+digest("c")), func(o *promote.Options) { o.AllowUnproven = true })
	w.want(results, "prod/eu Opened")
	if pr := w.PullRequests()[0]; !results[0].PullRequest.Draft || !strings.Contains(pr.Body, "**No Gate was checked.**") || !strings.Contains(pr.Body, "| NoGate | prod has real data") {
		t.Errorf("%+v", pr)
	}
	results = w.promote("prod", images("web@"+digest("c")), withGate("prod"))
	w.want(results, "prod/eu Updated")
	if results[0].PullRequest.Draft || len(results[0].Reasons) != 0 {
		t.Errorf("%+v", results[0])
	}
}

func TestTargetsArePromotedInWaves(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/staging.yaml": pins("b", "b")})
	results := w.promote("prod", target("us"))
	w.want(results, "prod/us Refused")
	if r := results[0].Reasons; len(r) != 1 || r[0].Code != promote.CodeTooEarly || !strings.Contains(r[0].Message, "prod/us comes after prod/eu") {
		t.Errorf("%+v", r)
	}
	w.want(w.promote("prod"), "prod/eu Opened")
	w.want(w.promote("prod", target("us"), func(o *promote.Options) { o.AllowUnproven = true }), "prod/us Opened")
	if pr := w.PullRequests()[1]; pr.Title != "WIP: Promote web, api to prod/us" || !strings.Contains(pr.Body, "TooEarly") {
		t.Errorf("%+v", pr)
	}
	promotetest.CommitTo(t, w.bare, "main", "merged", map[string]string{"shop/pins/eu.yaml": pins("b", "b")})
	w.want(w.promote("prod"), "prod/us Updated", "prod/ap Opened")
	promotetest.CommitTo(t, w.bare, "main", "merged", map[string]string{"shop/pins/us.yaml": pins("b", "b"), "shop/pins/ap.yaml": pins("b", "b")})
	w.want(w.promote("prod"), "prod/eu UpToDate", "prod/us UpToDate", "prod/ap UpToDate")
	w.clean()
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newFixture(t)
	before := promotetest.Git(t, w.bare, "for-each-ref")
	results := w.promote("staging", func(o *promote.Options) { o.DryRun, o.Forge = true, forge.Config{} })
	w.want(results, "staging Planned")
	if r := results[0]; !strings.Contains(r.Diff, "\n-  web: "+digest("a")+" # the shop\n") || !strings.Contains(r.Diff, "\n+  web: "+digest("b")+" # the shop\n") || r.Body == "" || r.Title == "" {
		t.Errorf("%+v", r)
	}
	if after := promotetest.Git(t, w.bare, "for-each-ref"); after != before || w.Writes() != 0 {
		t.Errorf("changed:\n%s", after)
	}
	w.clean()
}

func TestChartIsPromotedWithImages(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "chart", map[string]string{
		"shop/pins/dev.yaml": pins("b", "b") + "chart: charts/shop-1.0.0.tgz\n", "shop/charts/shop-1.0.0.tgz": "x",
	})
	w.promote("staging")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("b", "b")+"chart: charts/shop-1.0.0.tgz\n")
}

func TestFirstPromotionCreatesPins(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{
		"shop/ladder.yaml": strings.Replace(ladderYAML, "  - name: prod\n", "  - {name: qa, pins: new/qa.yaml, promotion: Commit}\n  - name: prod\n", 1),
	})
	w.want(w.promote("qa", images("web@"+digest("c"))), "qa Committed")
	w.wantFile("main", "new/qa.yaml", "images:\n  web: "+digest("c")+"\n")
}

func TestShallowCloneWithDetachedHead(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{"other": "x"})
	w.clone = w.Clone("--depth=1")
	promotetest.Git(t, w.clone, "checkout", "--quiet", "--detach")
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
	w.want(w.promote("staging"), "staging Opened")
	w.want(w.promote("staging"), "staging Updated")
	w.clean()
}

func TestWorkTreeIsUnchanged(t *testing.T) {
	w := newFixture(t)
	promotetest.Git(t, w.clone, "checkout", "--quiet", "-b", "mine")
	check(t, os.WriteFile(filepath.Join(w.clone, "shop/chart/Chart.yaml"), []byte("mine"), 0o600))
	check(t, os.WriteFile(filepath.Join(w.clone, "staged"), []byte("mine"), 0o600))
	promotetest.Git(t, w.clone, "add", "staged")
	state := func() string {
		return promotetest.Git(t, w.clone, "status", "--porcelain", "--branch") + promotetest.Git(t, w.clone, "for-each-ref", "refs/heads")
	}
	before := state()
	w.want(w.promote("staging"), "staging Opened")
	if diff := cmp.Diff(before, state()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestInvalidOptions(t *testing.T) {
	w := newFixture(t)
	without := func(o *promote.Options) { o.Forge.Getenv = func(string) string { return "" } }
	for name, test := range map[string]struct {
		environment string
		change      []func(*promote.Options)
		want        string
	}{
		"an unknown environment":       {"stagging", nil, `did you mean "staging"`},
		"an unknown target":            {"prod", []func(*promote.Options){target("uk")}, `choosing target "uk"`},
		"a target where there is none": {"staging", []func(*promote.Options){target("eu")}, "has no targets"},
		"an unknown image":             {"dev", []func(*promote.Options){images("wep@" + digest("c"))}, `choosing image "wep"`},
		"a tag":                        {"dev", []func(*promote.Options){images("web:v1")}, "a tag can be moved"},
		"tag next to a digest":         {"dev", []func(*promote.Options){images("web:v1@" + digest("c"))}, "it has a tag"},
		"a short digest":               {"dev", []func(*promote.Options){images("web@sha256:c")}, "64 lowercase hex digits"},
		"two digests for one":          {"dev", []func(*promote.Options){images("web@"+digest("c"), "web@"+digest("d"))}, "twice"},
		"another repository":           {"dev", []func(*promote.Options){images("registry.example.com/other/web@" + digest("c"))}, "has no image of this repository"},
		"no environment before":        {"dev", nil, "--image"},
		"an environment without pins":  {"local", []func(*promote.Options){images("web@" + digest("c"))}, "it runs what dev has pinned"},
		"no token":                     {"staging", []func(*promote.Options){without}, "set $ENVLADDER_FORGE_TOKEN (or $GITEA_TOKEN)"},
		"no known forge":               {"staging", []func(*promote.Options){func(o *promote.Options) { o.Forge.Kind = "" }}, "--forge to Gitea or GitHub"},
		"no such base":                 {"staging", []func(*promote.Options){func(o *promote.Options) { o.Base = "none" }}, "no such branch"},
		"a bad base":                   {"staging", []func(*promote.Options){func(o *promote.Options) { o.Base = "--upload-pack=x" }}, "not a valid name of a Git branch"},
		"no such remote":               {"staging", []func(*promote.Options){func(o *promote.Options) { o.Remote = "upstream" }}, "upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *w
			inner.TB = t
			inner.refuses(test.want, w.options(test.environment, test.change...))
		})
	}
}

func TestDirtyWorkTreeIsRejected(t *testing.T) {
	w := newFixture(t)
	for _, file := range []string{"ladder.yaml", "pins/us.yaml"} {
		path := filepath.Join(w.clone, "shop", file)
		before, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(path, append(before, "# mine\n"...), 0o600))
		w.refuses("dirty work tree: shop/"+file+" has uncommitted changes", w.options("staging"))
		check(t, os.WriteFile(path, before, 0o600))
	}
}

func TestLadderMissingOnBaseIsRejected(t *testing.T) {
	w := newFixture(t)
	check(t, os.MkdirAll(filepath.Join(w.clone, "new"), 0o750))
	o := w.options("staging")
	o.Dir = filepath.Join(w.clone, "new")
	w.refuses(`folder "new" has none on branch main of origin`, o)
}

func TestRejectedPushReportsGitMessage(t *testing.T) {
	w := newFixture(t)
	hook := filepath.Join(w.bare, "hooks", "pre-receive")
	check(t, os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n"), 0o700))
	w.refuses("GH006: Protected branch", w.options("dev", images("web@"+digest("c"))))
	check(t, os.Remove(hook))

	local := filepath.Join(w.clone, ".git", "hooks", "commit-msg")
	check(t, os.WriteFile(local, []byte("#!/bin/sh\necho 'no commits on Tuesdays' >&2\nexit 1\n"), 0o700))
	w.refuses("no commits on Tuesdays", w.options("dev", images("web@"+digest("c"))))
}

func TestErrorsHaveNoCredentials(t *testing.T) {
	w := newFixture(t)
	promotetest.Git(t, w.clone, "remote", "set-url", "origin", strings.Replace(w.URL, "http://", "http://ana:s3cret@", 1)+"/team/none.git")
	_, err := promote.Run(t.Context(), w.options("staging"))
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
	w = newFixture(t)
	_, err = promote.Run(t.Context(), w.options("staging", func(o *promote.Options) {
		o.Forge.Getenv = func(string) string { return "wr0ng" }
	}))
	if err == nil || strings.Contains(err.Error(), "wr0ng") || !strings.Contains(err.Error(), "doesn't know the token") {
		t.Errorf("error %v", err)
	}
	w.notProposed()
}

func TestDifferingTargetsRequireImage(t *testing.T) {
	w := newFixture(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{
		"shop/ladder.yaml":  ladderYAML + "  - {name: dr, pins: pins/dr.yaml, promotion: Commit}\n",
		"shop/pins/eu.yaml": pins("b", "a"),
	})
	w.refuses("differ in web", w.options("dr"))
	w.want(w.promote("dr", images("web@"+digest("b"), "api@"+digest("a"))), "dr Committed")
}

func TestCanceledPromotionLeavesNothing(t *testing.T) {
	w := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := w.options("staging", withGate("staging"))
	o.Judge = judgeFunc(func(q verdict.Query) []verdict.GateVerdict {
		cancel() // while the Gate is checked
		return judge(nil).Judge(ctx, q)
	})
	_, err := promote.Run(ctx, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	w.clean()
	if slices.Contains(strings.Fields(promotetest.Git(t, w.bare, "for-each-ref", "--format=%(refname)")), "refs/heads/envladder/shop/staging") {
		t.Error("pushed")
	}
}

type judgeFunc func(verdict.Query) []verdict.GateVerdict

func (f judgeFunc) Judge(_ context.Context, q verdict.Query) []verdict.GateVerdict { return f(q) }

// The repository of the benchmark: as many ladders as a large organisation has services,
// with some layers each, and as much of other things.
const (
	benchLadders = 2000
	benchLayers  = 6
	benchAssets  = 40
	benchAsset   = 1 << 20
)

// monorepo fills main of a bare repository, with `git fast-import`: to write 26,000 files
// first would take longer than everything else.
func monorepo(b *testing.B, bare string) (files int) {
	b.Helper()
	content := map[string]string{}
	for i := range benchLadders {
		dir := fmt.Sprintf("svc%04d/", i)
		content[dir+"ladder.yaml"] = strings.Replace(ladderYAML, "name: shop}", fmt.Sprintf("name: svc%04d}", i), 1)
		content[dir+"chart/Chart.yaml"] = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
		for _, name := range []string{"dev", "staging", "eu", "us", "ap"} {
			content[dir+"pins/"+name+".yaml"] = pins("b", "b") + fmt.Sprintf("# %d %s\n", i, name)
		}
		for k := range benchLayers {
			content[fmt.Sprintf("%slayer%d.yaml", dir, k)] = strings.Repeat(fmt.Sprintf("key%d: %d\n", k, i), 20)
		}
	}
	random := rand.NewChaCha8([32]byte{}) // the same in each run
	for i := range benchAssets {
		data := make([]byte, benchAsset)
		_, _ = random.Read(data)
		content[fmt.Sprintf("assets/%d.bin", i)] = string(data)
	}
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter Ana <ana@example.com> 1764547200 +0000\ndata 0\ndeleteall\n")
	for name, data := range content {
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(data), data)
	}
	cmd := exec.CommandContext(b.Context(), "git", "-C", bare, "fast-import", "--quiet", "--force")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return len(content)
}

// BenchmarkPromote promotes in a repository of 2,000 ladders: by a commit, and by a pull
// request that is updated. What checking the repository out once costs, in the same run, is
// what it is compared with: docs/promotion.md has the figures.
func BenchmarkPromote(b *testing.B) {
	w := newFixture(b)
	files := monorepo(b, w.bare)
	dir := filepath.Join(b.TempDir(), "clone")
	promotetest.Git(b, b.TempDir(), "clone", "--quiet", w.URL+"/team/gitops.git", dir)
	run := func(b *testing.B, environment string) {
		for i := range b.N {
			o := w.options(environment, images(fmt.Sprintf("web@sha256:%064x", rand.Uint64())))
			o.Dir = filepath.Join(dir, fmt.Sprintf("svc%04d", i%benchLadders))
			if _, err := promote.Run(b.Context(), o); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(files), "files")
	}
	b.Run("by a commit", func(b *testing.B) { run(b, "dev") })
	b.Run("by a pull request", func(b *testing.B) { run(b, "staging") })
	b.Run("a check-out of the same repository", func(b *testing.B) {
		for i := range b.N {
			tree := filepath.Join(b.TempDir(), fmt.Sprint(i))
			promotetest.Git(b, dir, "worktree", "add", "--quiet", "--detach", tree)
			promotetest.Git(b, dir, "worktree", "remove", "--force", tree)
		}
		b.ReportMetric(float64(files), "files")
	})
}

// chartDigest is what the plugin would stamp.
func chartDigest(t *testing.T, w *fixture) string {
	t.Helper()
	loaded, err := chart.Load(t.Context(), os.DirFS(w.clone), "shop/chart")
	check(t, err)
	return loaded.Digest
}
