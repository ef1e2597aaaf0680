package promote_test

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

func TestPullRequestIsUpdatedBySameCommand(t *testing.T) {
	w := newFixture(t)
	results := w.promote("staging")
	w.want(results, "staging Opened")
	w.wantFile("main", "pins/staging.yaml", pins("a", "a"))
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("b", "b"))
	pr := w.PullRequests()[0]
	if pr.Title != "Promote web, api to staging" || pr.Head != "envladder/shop/staging" || pr.Base != "main" {
		t.Errorf("%+v", pr)
	}
	for _, want := range []string{"| web | `" + digest("a") + "` | `" + digest("b") + "` |", "no Gate was checked", "envladder promote staging"} {
		if !strings.Contains(pr.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, pr.Body)
		}
	}

	// Promoting the same again keeps the branch.
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

func TestPullRequestIsSharedByImages(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", images("web@"+digest("c")))
	results := w.promote("staging", images("api@"+digest("d")))
	w.want(results, "staging Updated")
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("c", "d"))
	if len(results[0].Notes) == 0 || !strings.Contains(results[0].Notes[0], "carried over") {
		t.Errorf("notes %q", results[0].Notes)
	}

	// A value that the base has replaced isn't carried over: that would revert the base.
	promotetest.CommitTo(t, w.bare, "main", "by hand", map[string]string{"shop/pins/staging.yaml": pins("e", "a")})
	w.promote("staging", images("api@"+digest("f")))
	w.wantFile("envladder/shop/staging", "pins/staging.yaml", pins("e", "f"))
}

// The other pull request is opened between the query and the creation of this one.
func TestPullRequestOpenedMeanwhileIsUpdated(t *testing.T) {
	w := newFixture(t)
	other := w.options("staging", images("api@"+digest("d")))
	other.Dir = filepath.Join(w.Clone(), "shop")
	var started atomic.Bool
	w.Before(func(method string) {
		if method == "POST" && started.CompareAndSwap(false, true) {
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

func withGate(environment string, action ...string) func(*promote.Options) {
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

func TestDeniedDigestIsRefusedOrDraft(t *testing.T) {
	w := newFixture(t)
	results := w.promote("staging", withGate("staging"), denies(digest("b")))
	w.want(results, "staging Refused")
	if results[0].Verdicts[0].Reasons[0].Code != gate.NoSoak {
		t.Errorf("%+v", results[0].Verdicts)
	}
	if refs := promotetest.Git(t, w.bare, "for-each-ref", "refs/heads/envladder"); refs != "" || w.Writes() != 0 {
		t.Errorf("pushed: %s", refs)
	}

	unproven := func(o *promote.Options) { o.AllowUnproven = true }
	results = w.promote("staging", withGate("staging"), denies(digest("b")), unproven)
	w.want(results, "staging Opened")
	pr := w.PullRequests()[0]
	if !results[0].PullRequest.Draft || pr.Title != "WIP: Promote web, api to staging" {
		t.Errorf("%+v %+v", results[0].PullRequest, pr)
	}
	// Untrusted text can't break the table or mention anyone.
	if want := `| NoSoak | needs \| a \*soak\* for staging/ by &#64;ana |`; !strings.Contains(pr.Body, want) {
		t.Errorf("the body lacks %q:\n%s", want, pr.Body)
	}
	if g := gateOf("staging"); !strings.Contains(pr.Body, "Gate staging-gate denies web") || !strings.Contains(pr.Body, gate.RefTo(g.Gate).Digest) {
		t.Errorf("the body doesn't name the Gate:\n%s", pr.Body)
	}

	// Once it is proven, it is no draft.
	results = w.promote("staging", withGate("staging"))
	w.want(results, "staging Updated")
	if pr := w.PullRequests()[0]; results[0].PullRequest.Draft || strings.Contains(pr.Title, "WIP") || strings.Contains(pr.Body, "NoSoak") {
		t.Errorf("%+v", pr)
	}
	// Without a Gate it stays ready.
	if w.promote("staging"); w.PullRequests()[0].Title != "Promote web, api to staging" {
		t.Errorf("%+v", w.PullRequests()[0])
	}
	// A Gate that only warns refuses nothing.
	w.want(w.promote("staging", withGate("staging", "Warn"), denies(digest("b"))), "staging Updated")
}

// Without a Gate it isn't known whether the digest is proven.
func TestDraftStaysWithoutGate(t *testing.T) {
	w := newFixture(t)
	w.promote("staging", withGate("staging"), denies(digest("b")), func(o *promote.Options) { o.AllowUnproven = true })
	results := w.promote("staging")
	w.want(results, "staging Updated")
	pr := w.PullRequests()[0]
	if !results[0].PullRequest.Draft || !strings.HasPrefix(pr.Title, "WIP: ") || !strings.Contains(pr.Body, "**Don't merge this yet: it was a draft, and no Gate has checked") {
		t.Errorf("%+v", pr)
	}
	if notes := strings.Join(results[0].Notes, "\n"); !strings.Contains(notes, "pull request 1 stays a draft") || !strings.Contains(notes, "--gate") {
		t.Errorf("notes %q", notes)
	}
	// Once a Gate allows it, it becomes ready.
	if results := w.promote("staging", withGate("staging")); results[0].PullRequest.Draft || strings.Contains(w.PullRequests()[0].Body, "merge this yet") {
		t.Errorf("%+v", w.PullRequests()[0])
	}
}

// The command in the body has the flags of the one that was run.
func TestBodyHasWholeCommand(t *testing.T) {
	w := newFixture(t)
	w.promote("prod", images("web@"+digest("c")), func(o *promote.Options) {
		o.Flags = []string{"--gate", "../../platform/it's prod.yaml", "--image", "web@" + digest("c"), "--forge", "Gitea"}
	})
	want := "in folder `shop`, by:\n\n    envladder promote prod --target eu --gate '../../platform/it'\\''s prod.yaml' --image web@" + digest("c") + " --forge Gitea\n"
	if pr := w.PullRequests()[0]; !strings.Contains(pr.Body, want) {
		t.Errorf("the body lacks %q:\n%s", want, pr.Body)
	}
}

// A forge may merge a ready pull request as soon as its branch is pushed.
func TestUnprovenChangeIsPushedToDraft(t *testing.T) {
	w := newFixture(t)
	w.want(w.promote("staging", withGate("staging")), "staging Opened")
	before := w.file(stagingBranch, "pins/staging.yaml")
	o := w.options("staging", withGate("staging"), denies(digest("c")), images("web@"+digest("c")), func(o *promote.Options) { o.AllowUnproven = true })

	w.DraftPrefix("Draft: ")
	if _, err := promote.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no unproven change is pushed") || !strings.Contains(err.Error(), "WORK_IN_PROGRESS_PREFIXES") {
		t.Errorf("error %v", err)
	}
	w.wantFile(stagingBranch, "pins/staging.yaml", before)

	w.DraftPrefix("WIP:")
	w.promote("staging", withGate("staging")) // ready again
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

// Where the forge reports that the pull request isn't a draft, it can be merged, and the
// user must know.
func TestForgeWithoutDraftsIsReported(t *testing.T) {
	w := newFixture(t)
	w.DraftPrefix("Draft: ")
	o := w.options("staging", withGate("staging"), denies(digest("b")), func(o *promote.Options) { o.AllowUnproven = true })
	for _, outcome := range []string{"staging Opened", "staging Updated"} {
		results, err := promote.Run(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "pull request 1 is unproven, open, and not a draft") || !strings.Contains(err.Error(), "WORK_IN_PROGRESS_PREFIXES") ||
			strings.Contains(err.Error(), "run the same command again") {
			t.Errorf("error %v", err)
		}
		w.want(results, outcome)
		if results[0].PullRequest.Draft || !strings.Contains(strings.Join(results[0].Notes, "\n"), "didn't make it a draft") {
			t.Errorf("it is reported as a draft: %+v", results[0])
		}
	}
	if pr := w.PullRequests()[0]; !strings.Contains(pr.Body, "**Don't merge this yet: it is unproven.**") {
		t.Errorf("the text doesn't warn:\n%s", pr.Body)
	}
	// Once it is proven there is nothing to complain about, nor to warn of.
	w.want(w.promote("staging", withGate("staging")), "staging Updated")
	if pr := w.PullRequests()[0]; strings.Contains(pr.Body, "merge this yet") {
		t.Errorf("the text warns:\n%s", pr.Body)
	}
}

// notProposed checks that no branch of a promotion was pushed.
func (w *fixture) notProposed() {
	w.Helper()
	if refs := promotetest.Git(w, w.bare, "for-each-ref", "--format=%(refname)", "refs/heads/envladder"); refs != "" {
		w.Errorf("pushed: %s", refs)
	}
}

func TestUnreachableForgePushesNothing(t *testing.T) {
	w := newFixture(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, c := range map[string]struct {
		change func(*promote.Options)
		want   string
	}{
		"server down":               {func(o *promote.Options) { o.Forge.URL = closed.URL }, "checking the forge, before anything is pushed: listing the pull requests of "},
		"CA file missing":           {func(o *promote.Options) { o.Forge.CAFile = "absent.crt" }, "reading the CA file of the forge"},
		"certificate of another CA": {func(o *promote.Options) { o.Forge.URL = secureForge(t, w).URL }, "certificate signed by unknown authority (where a private CA signed it, set the file of that CA)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := promote.Run(t.Context(), w.options("staging", c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			w.notProposed()
		})
	}
}

func TestForgeWithPrivateCA(t *testing.T) {
	w := newFixture(t)
	secure := secureForge(t, w)
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	check(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	results, err := promote.Run(t.Context(), w.options("staging", func(o *promote.Options) {
		o.Forge.URL, o.Forge.CAFile = secure.URL, caFile
	}))
	check(t, err)
	w.want(results, "staging Opened")
}

// secureForge serves the forge over TLS with its own certificate.
func secureForge(t *testing.T, w *fixture) *httptest.Server {
	t.Helper()
	target, err := url.Parse(w.URL)
	check(t, err)
	server := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that don't trust it
	t.Cleanup(server.Close)
	return server
}
