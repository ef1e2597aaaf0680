package promote_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

// digest is one of 64 times the same letter.
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

// pins of web and api.
func pins(web, api string) string {
	return fmt.Sprintf("# Written by promotions.\nimages:\n  web: %s # the shop\n  api: %s\n", digest(web), digest(api))
}

// world is a forge with the repository team/gitops, and a clone of it.
type world struct {
	testing.TB
	*promotetest.Forge

	bare, clone string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, Forge: promotetest.StartForge(t)}
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

// Clone makes another clone.
func (w *world) Clone(args ...string) string {
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

// judge answers by the image's digest: those that are named are denied.
type judge []string

func (j judge) Judge(_ context.Context, q verdict.Query) []verdict.Outcome {
	var reasons []gate.Reason
	for _, denied := range j {
		if strings.HasSuffix(q.Reference, denied) {
			reasons = append(reasons, gate.NewReason(gate.NoSoak, "needs | a *soak* for %s/%s by @ana", q.Stamps.Environment, q.Stamps.Target))
		}
	}
	repository, digest, _ := strings.Cut(q.Reference, "@")
	return []verdict.Outcome{{
		Verdict: gate.Deny(gate.Image{Repository: repository, Digest: digest}, gate.RefTo(q.Gates[0].Gate), reasons...), Action: q.Gates[0].Spec.Action,
	}}
}

func (w *world) options(environment string, change ...func(*promote.Options)) promote.Options {
	o := promote.Options{
		Dir: filepath.Join(w.clone, "shop"), Remote: "origin", Environment: environment, Judge: judge(nil),
		Forge: promote.Forge{Kind: scm.Gitea, Getenv: func(name string) string {
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

func (w *world) promote(environment string, change ...func(*promote.Options)) []promote.Result {
	w.Helper()
	results, err := promote.Run(w.Context(), w.options(environment, change...))
	if err != nil {
		w.Fatal(err)
	}
	return results
}

// refuses runs a promotion that must fail with this text, and change nothing.
func (w *world) refuses(want string, o promote.Options) {
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

// clean checks that nothing is left of a promotion.
func (w *world) clean() {
	w.Helper()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		w.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(w.clone, ".git", "envladder")); !errors.Is(err, fs.ErrNotExist) {
		w.Errorf("a quarantine is left: %v", err)
	}
}

func (w *world) file(branch, name string) string {
	w.Helper()
	return promotetest.Git(w, w.bare, "show", branch+":shop/"+name) + "\n"
}

func (w *world) wantFile(branch, name, want string) {
	w.Helper()
	if diff := cmp.Diff(want, w.file(branch, name)); diff != "" {
		w.Errorf("%s of %s (-want +got):\n%s", name, branch, diff)
	}
}

func outcomes(results []promote.Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, r.Place+" "+string(r.Outcome))
	}
	return all
}

func (w *world) want(results []promote.Result, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		w.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACommitIntoDev(t *testing.T) {
	w := newWorld(t)
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
	w.wantFile("main", "pins/dev.yaml", pins("c", "b"))
	got := promotetest.Git(t, w.bare, "log", "-1", "--format=%an%n%B", "main")
	if want := "Ana\nPromote web to dev: sha256:cccccccccccc\n\nweb: " + digest("b") + " -> " + digest("c") + "\n\nEnvladder-Promotion: shop/dev shop/pins/dev.yaml"; got != want {
		t.Errorf("the commit is:\n%s", got)
	}
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev UpToDate")
	w.clean()
	if w.Writes() != 0 {
		t.Error("the forge was asked")
	}
}

func TestAPullRequestIntoStagingIsUpdatedByTheSameCommand(t *testing.T) {
	w := newWorld(t)
	results := w.promote("staging")
	w.want(results, "staging Opened")
	w.wantFile("main", "pins/staging.yaml", pins("a", "a"))
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("b", "b"))
	pr := w.PullRequests()[0]
	if pr.Title != "Promote web, api to staging" || pr.Head != "envladder/shop/staging" || pr.Base != "main" {
		t.Errorf("%+v", pr)
	}
	for _, want := range []string{"| web | `" + digest("a") + "` | `" + digest("b") + "` |", "no Gate was asked", "envladder promote staging"} {
		if !strings.Contains(pr.Body, want) {
			t.Errorf("the text lacks %q:\n%s", want, pr.Body)
		}
	}

	// Again: the branch stays, since nothing is new.
	again := w.promote("staging")
	w.want(again, "staging Updated")
	if again[0].Commit != results[0].Commit {
		t.Errorf("commit %s became %s", results[0].Commit, again[0].Commit)
	}
	// A newer candidate goes into the same pull request, on the newest base.
	w.promote("dev", images("web@"+digest("c")))
	w.want(w.promote("staging"), "staging Updated")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("c", "b"))
	if n := len(w.PullRequests()); n != 1 {
		t.Errorf("%d pull requests", n)
	}
	if commits := promotetest.Git(t, w.bare, "log", "--format=%s", "main..envladder/shop/staging"); strings.Contains(commits, "\n") {
		t.Errorf("commits:\n%s", commits)
	}
	w.clean()
}

func TestTwoImagesOfOneEnvironmentShareThePullRequest(t *testing.T) {
	w := newWorld(t)
	w.promote("staging", images("web@"+digest("c")))
	results := w.promote("staging", images("api@"+digest("d")))
	w.want(results, "staging Updated")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("c", "d"))
	if len(results[0].Notes) == 0 || !strings.Contains(results[0].Notes[0], "carried over") {
		t.Errorf("notes %q", results[0].Notes)
	}

	// What the base has moved past isn't carried over: it would go back.
	promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/staging.yaml": pins("e", "a")})
	w.promote("staging", images("api@"+digest("f")))
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("e", "f"))
}

func TestWhatIsPinnedAlreadyLeavesOthersProposalsAlone(t *testing.T) {
	w := newWorld(t)
	w.promote("staging", images("api@"+digest("d")))
	writes := w.Writes()
	w.want(w.promote("staging", images("web@"+digest("a"))), "staging UpToDate")
	if w.Writes() != writes {
		t.Error("the pull request was written")
	}
}

// A clone with core.autocrlf sees other line ends than the repository has.
func TestLineEndsAreTheRepositorys(t *testing.T) {
	w := newWorld(t)
	mixed := strings.Replace(pins("a", "b"), "\n", "\r\n", 1)
	promotetest.CommitTo(t, w.bare, "main", "mixed", map[string]string{"shop/pins/dev.yaml": mixed})
	promotetest.Git(t, w.clone, "config", "core.autocrlf", "true")
	w.promote("dev", images("web@"+digest("c")))
	w.wantFile("main", "pins/dev.yaml", strings.Replace(mixed, digest("a"), digest("c"), 1))
}

func TestABranchWithCommitsOfOthersIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.promote("staging")
	promotetest.CommitTo(t, w.bare, "envladder/shop/staging", "mine", map[string]string{"shop/mine": "x"})
	w.refuses("it has commits that no promotion made", w.options("staging", images("web@"+digest("c"))))
}

// Six promotions at once, of different images, environments and digests, most from clones
// of their own: whatever the order, none loses another's change.
func TestPromotionsAtOnceLoseNothing(t *testing.T) {
	w := newWorld(t)
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
	// Two in one clone are no different.
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
		t.Errorf("the text tells of one alone: %q\n%s", pr.Title, pr.Body)
	}
	w.clean()
}

// The other's pull request is opened between our look and our own.
func TestAPullRequestThatAnotherOpensMeanwhileIsUpdated(t *testing.T) {
	w := newWorld(t)
	other := w.options("staging", images("api@"+digest("d")))
	other.Dir = filepath.Join(w.Clone(), "shop")
	var begun atomic.Bool
	w.Before(func(method string) {
		if method == "POST" && begun.CompareAndSwap(false, true) {
			if _, err := promote.Run(context.WithoutCancel(t.Context()), other); err != nil {
				t.Error(err)
			}
		}
	})
	w.want(w.promote("staging", images("web@"+digest("c"))), "staging Updated")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("c", "d"))
	if prs := w.PullRequests(); len(prs) != 1 || !strings.Contains(prs[0].Body, digest("c")) || !strings.Contains(prs[0].Body, digest("d")) {
		t.Errorf("%+v", prs)
	}
}

func guard(environment string, action ...string) func(*promote.Options) {
	return func(o *promote.Options) {
		g := gateOf(environment)
		for _, a := range action {
			g.Spec.Action = actionOf(a)
		}
		o.Gates = []verdict.Gate{g}
	}
}

func denies(digests ...string) func(*promote.Options) {
	return func(o *promote.Options) { o.Judge = judge(digests) }
}

func TestWhatTheClusterWouldRefuseIsRefusedOrADraft(t *testing.T) {
	w := newWorld(t)
	results := w.promote("staging", guard("staging"), denies(digest("b")))
	w.want(results, "staging Refused")
	if results[0].Verdicts[0].Reasons[0].Code != gate.NoSoak {
		t.Errorf("%+v", results[0].Verdicts)
	}
	if refs := promotetest.Git(t, w.bare, "for-each-ref", "refs/heads/envladder"); refs != "" || w.Writes() != 0 {
		t.Errorf("pushed: %s", refs)
	}

	unproven := func(o *promote.Options) { o.AllowUnproven = true }
	results = w.promote("staging", guard("staging"), denies(digest("b")), unproven)
	w.want(results, "staging Opened")
	pr := w.PullRequests()[0]
	if !results[0].PullRequest.Draft || pr.Title != "WIP: Promote web, api to staging" {
		t.Errorf("%+v %+v", results[0].PullRequest, pr)
	}
	// Foreign text can't break the table or call anybody.
	if want := `| NoSoak | needs \| a \*soak\* for staging/ by &#64;ana |`; !strings.Contains(pr.Body, want) {
		t.Errorf("the text lacks %q:\n%s", want, pr.Body)
	}
	if g := gateOf("staging"); !strings.Contains(pr.Body, "Gate guard denies web") || !strings.Contains(pr.Body, gate.RefTo(g.Gate).Digest) {
		t.Errorf("the text doesn't say who was asked:\n%s", pr.Body)
	}

	// Once it is proven, it is ready.
	results = w.promote("staging", guard("staging"))
	w.want(results, "staging Updated")
	if pr := w.PullRequests()[0]; results[0].PullRequest.Draft || strings.Contains(pr.Title, "WIP") || strings.Contains(pr.Body, "NoSoak") {
		t.Errorf("%+v", pr)
	}
	// Without a Gate it stays what it is.
	if w.promote("staging"); w.PullRequests()[0].Title != "Promote web, api to staging" {
		t.Errorf("%+v", w.PullRequests()[0])
	}
	// A Gate that only warns refuses nothing.
	w.want(w.promote("staging", guard("staging", "Warn"), denies(digest("b"))), "staging Updated")
}

// Who asks no Gate hasn't heard that it is proven.
func TestADraftStaysOneWhereNoGateIsAsked(t *testing.T) {
	w := newWorld(t)
	w.promote("staging", guard("staging"), denies(digest("b")), func(o *promote.Options) { o.AllowUnproven = true })
	results := w.promote("staging")
	w.want(results, "staging Updated")
	pr := w.PullRequests()[0]
	if !results[0].PullRequest.Draft || !strings.HasPrefix(pr.Title, "WIP: ") || !strings.Contains(pr.Body, "**Don't merge this yet: it was a draft, and no Gate was asked") {
		t.Errorf("%+v", pr)
	}
	if notes := strings.Join(results[0].Notes, "\n"); !strings.Contains(notes, "pull request 1 stays a draft") || !strings.Contains(notes, "--gate") {
		t.Errorf("notes %q", notes)
	}
	// With the Gate's word it becomes ready.
	if results := w.promote("staging", guard("staging")); results[0].PullRequest.Draft || strings.Contains(w.PullRequests()[0].Body, "merge this yet") {
		t.Errorf("%+v", w.PullRequests()[0])
	}
}

func TestRealDataWithoutAGateIsRefused(t *testing.T) {
	w := newWorld(t)
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
	if pr := w.PullRequests()[0]; !results[0].PullRequest.Draft || !strings.Contains(pr.Body, "**No Gate was asked.**") || !strings.Contains(pr.Body, "| NoGate | prod has real data") {
		t.Errorf("%+v", pr)
	}
	results = w.promote("prod", images("web@"+digest("c")), guard("prod"))
	w.want(results, "prod/eu Updated")
	if results[0].PullRequest.Draft || len(results[0].Reasons) != 0 {
		t.Errorf("%+v", results[0])
	}
}

// The command in the text asks what was asked.
func TestTheTextTellsTheWholeCommand(t *testing.T) {
	w := newWorld(t)
	w.promote("prod", images("web@"+digest("c")), func(o *promote.Options) {
		o.Flags = []string{"--gate", "../../platform/it's prod.yaml", "--image", "web@" + digest("c"), "--forge", "Gitea"}
	})
	want := "in folder `shop`, by:\n\n    envladder promote prod --target eu --gate '../../platform/it'\\''s prod.yaml' --image web@" + digest("c") + " --forge Gitea\n"
	if pr := w.PullRequests()[0]; !strings.Contains(pr.Body, want) {
		t.Errorf("the text lacks %q:\n%s", want, pr.Body)
	}
}

// A forge may merge what is ready as soon as it is pushed.
func TestWhatIsUnprovenIsPushedOntoADraft(t *testing.T) {
	w := newWorld(t)
	w.want(w.promote("staging", guard("staging")), "staging Opened")
	before := w.file(stagingBranch, "pins/staging.yaml")
	o := w.options("staging", guard("staging"), denies(digest("c")), images("web@"+digest("c")), func(o *promote.Options) { o.AllowUnproven = true })

	w.DraftPrefix("Draft: ")
	if _, err := promote.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "nothing is pushed that is unproven") || !strings.Contains(err.Error(), "WORK_IN_PROGRESS_PREFIXES") {
		t.Errorf("error %v", err)
	}
	w.wantFile(stagingBranch, "pins/staging.yaml", before)

	w.DraftPrefix("WIP:")
	w.promote("staging", guard("staging")) // ready again
	hook := filepath.Join(w.bare, "hooks", "pre-receive")
	check(t, os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o700))
	if _, err := promote.Run(t.Context(), o); err == nil {
		t.Error("it was pushed")
	}
	if pr := w.PullRequests()[0]; !strings.HasPrefix(pr.Title, "WIP: ") {
		t.Errorf("it was no draft when the push came: %+v", pr)
	}
	check(t, os.Remove(hook))
	results, err := promote.Run(t.Context(), o)
	check(t, err)
	w.want(results, "staging Updated")
	w.wantFile(stagingBranch, "pins/staging.yaml", pins("c", "b"))
	if !results[0].PullRequest.Draft {
		t.Errorf("%+v", results[0].PullRequest)
	}
}

// A forge that doesn't make the draft is believed: the pull request can be merged, and
// whoever promoted must know.
func TestAPullRequestThatIsNoDraftThoughItShouldBeIsAnError(t *testing.T) {
	w := newWorld(t)
	w.DraftPrefix("Draft: ")
	o := w.options("staging", guard("staging"), denies(digest("b")), func(o *promote.Options) { o.AllowUnproven = true })
	for _, outcome := range []string{"staging Opened", "staging Updated"} {
		results, err := promote.Run(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "pull request 1 is open and can be merged") || !strings.Contains(err.Error(), "WORK_IN_PROGRESS_PREFIXES") ||
			strings.Contains(err.Error(), "can be run again") {
			t.Errorf("error %v", err)
		}
		w.want(results, outcome)
		if results[0].PullRequest.Draft || !strings.Contains(strings.Join(results[0].Notes, "\n"), "didn't make it a draft") {
			t.Errorf("it claims to be a draft: %+v", results[0])
		}
	}
	if pr := w.PullRequests()[0]; !strings.Contains(pr.Body, "**Don't merge this yet: it is unproven.**") {
		t.Errorf("the text doesn't warn:\n%s", pr.Body)
	}
	// Once it is proven there is nothing to complain about, nor to warn of.
	w.want(w.promote("staging", guard("staging")), "staging Updated")
	if pr := w.PullRequests()[0]; strings.Contains(pr.Body, "merge this yet") {
		t.Errorf("the text warns:\n%s", pr.Body)
	}
}

func TestTargetsArePromotedInWaves(t *testing.T) {
	w := newWorld(t)
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

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	before := promotetest.Git(t, w.bare, "for-each-ref")
	results := w.promote("staging", func(o *promote.Options) { o.DryRun, o.Forge = true, promote.Forge{} })
	w.want(results, "staging Planned")
	if r := results[0]; !strings.Contains(r.Diff, "\n-  web: "+digest("a")+" # the shop\n") || !strings.Contains(r.Diff, "\n+  web: "+digest("b")+" # the shop\n") || r.Text == "" || r.Title == "" {
		t.Errorf("%+v", r)
	}
	if after := promotetest.Git(t, w.bare, "for-each-ref"); after != before || w.Writes() != 0 {
		t.Errorf("changed:\n%s", after)
	}
	w.clean()
}

func TestThePackagedChartClimbsWithItsImages(t *testing.T) {
	w := newWorld(t)
	promotetest.CommitTo(t, w.bare, "main", "chart", map[string]string{
		"shop/pins/dev.yaml": pins("b", "b") + "chart: charts/shop-1.0.0.tgz\n", "shop/charts/shop-1.0.0.tgz": "x",
	})
	w.promote("staging")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("b", "b")+"chart: charts/shop-1.0.0.tgz\n")
}

func TestTheFirstPromotionMakesThePins(t *testing.T) {
	w := newWorld(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{
		"shop/ladder.yaml": strings.Replace(ladderYAML, "  - name: prod\n", "  - {name: qa, pins: new/qa.yaml, promotion: Commit}\n  - name: prod\n", 1),
	})
	w.want(w.promote("qa", images("web@"+digest("c"))), "qa Committed")
	w.wantFile("main", "new/qa.yaml", "images:\n  web: "+digest("c")+"\n")
}

func TestAShallowCloneAndADetachedHeadWillDo(t *testing.T) {
	w := newWorld(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{"other": "x"})
	w.clone = w.Clone("--depth=1")
	promotetest.Git(t, w.clone, "checkout", "--quiet", "--detach")
	w.want(w.promote("dev", images("web@"+digest("c"))), "dev Committed")
	w.want(w.promote("staging"), "staging Opened")
	w.want(w.promote("staging"), "staging Updated")
	w.clean()
}

func TestTheUsersWorkTreeStaysAsItIs(t *testing.T) {
	w := newWorld(t)
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

func TestPromotionsThatAreRefused(t *testing.T) {
	w := newWorld(t)
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
		"a tag beside the digest":      {"dev", []func(*promote.Options){images("web:v1@" + digest("c"))}, "it has a tag"},
		"a short digest":               {"dev", []func(*promote.Options){images("web@sha256:c")}, "64 lowercase hex digits"},
		"two digests for one":          {"dev", []func(*promote.Options){images("web@"+digest("c"), "web@"+digest("d"))}, "twice"},
		"another repository":           {"dev", []func(*promote.Options){images("registry.example.com/other/web@" + digest("c"))}, "its repository is none of ladder"},
		"no environment before":        {"dev", nil, "--image"},
		"an environment without pins":  {"local", []func(*promote.Options){images("web@" + digest("c"))}, "it runs what dev has pinned"},
		"no token":                     {"staging", []func(*promote.Options){without}, "set $ENVLADDER_FORGE_TOKEN (or $GITEA_TOKEN)"},
		"no known forge":               {"staging", []func(*promote.Options){func(o *promote.Options) { o.Forge.Kind = "" }}, "--forge Gitea or GitHub"},
		"no such base":                 {"staging", []func(*promote.Options){func(o *promote.Options) { o.Base = "none" }}, "no such branch"},
		"a bad base":                   {"staging", []func(*promote.Options){func(o *promote.Options) { o.Base = "--upload-pack=x" }}, "git takes no such name"},
		"no such remote":               {"staging", []func(*promote.Options){func(o *promote.Options) { o.Remote = "upstream" }}, "upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *w
			inner.TB = t
			inner.refuses(test.want, w.options(test.environment, test.change...))
		})
	}
}

func TestADirtyWorkTreeIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, file := range []string{"ladder.yaml", "pins/us.yaml"} {
		path := filepath.Join(w.clone, "shop", file)
		before, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(path, append(before, "# mine\n"...), 0o600))
		w.refuses("dirty work tree: shop/"+file+" isn't committed", w.options("staging"))
		check(t, os.WriteFile(path, before, 0o600))
	}
}

func TestALadderThatIsntOnTheBaseIsRefused(t *testing.T) {
	w := newWorld(t)
	check(t, os.MkdirAll(filepath.Join(w.clone, "new"), 0o750))
	o := w.options("staging")
	o.Dir = filepath.Join(w.clone, "new")
	w.refuses(`folder "new" has none on branch main of origin`, o)
}

func TestAPushThatIsRefusedHasGitsWords(t *testing.T) {
	w := newWorld(t)
	hook := filepath.Join(w.bare, "hooks", "pre-receive")
	check(t, os.WriteFile(hook, []byte("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n"), 0o700))
	w.refuses("GH006: Protected branch", w.options("dev", images("web@"+digest("c"))))
	check(t, os.Remove(hook))

	local := filepath.Join(w.clone, ".git", "hooks", "commit-msg")
	check(t, os.WriteFile(local, []byte("#!/bin/sh\necho 'no commits on Tuesdays' >&2\nexit 1\n"), 0o700))
	w.refuses("no commits on Tuesdays", w.options("dev", images("web@"+digest("c"))))
}

func TestNoTokenAndNoPasswordInErrors(t *testing.T) {
	w := newWorld(t)
	promotetest.Git(t, w.clone, "remote", "set-url", "origin", strings.Replace(w.URL, "http://", "http://ana:s3cret@", 1)+"/team/none.git")
	_, err := promote.Run(t.Context(), w.options("staging"))
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
	w = newWorld(t)
	_, err = promote.Run(t.Context(), w.options("staging", func(o *promote.Options) {
		o.Forge.Getenv = func(string) string { return "wr0ng" }
	}))
	if err == nil || strings.Contains(err.Error(), "wr0ng") || !strings.Contains(err.Error(), "doesn't know the token") {
		t.Errorf("error %v", err)
	}
	w.notProposed()
}

func TestTargetsThatDontAgreeNeedAnImage(t *testing.T) {
	w := newWorld(t)
	promotetest.CommitTo(t, w.bare, "main", "more", map[string]string{
		"shop/ladder.yaml":  ladderYAML + "  - {name: dr, pins: pins/dr.yaml, promotion: Commit}\n",
		"shop/pins/eu.yaml": pins("b", "a"),
	})
	w.refuses("don't agree about web", w.options("dr"))
	w.want(w.promote("dr", images("web@"+digest("b"), "api@"+digest("a"))), "dr Committed")
}

func TestCanceledBetweenItsStepsItLeavesNothing(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := w.options("staging", guard("staging"))
	o.Judge = judgeFunc(func(q verdict.Query) []verdict.Outcome {
		cancel() // while the Gate is asked
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

type judgeFunc func(verdict.Query) []verdict.Outcome

func (f judgeFunc) Judge(_ context.Context, q verdict.Query) []verdict.Outcome { return f(q) }
