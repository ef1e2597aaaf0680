package scm_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// forges are what every test runs against.
var forges = map[string]struct {
	start func(scmtest.T) *scmtest.Server
	forge scm.Forge
	page  int
}{
	"GitHub":                   {scmtest.GitHub, scm.GitHub, 100},
	"GitHub Enterprise Server": {scmtest.GitHubEnterprise, scm.GitHub, 100},
	"Gitea":                    {scmtest.Gitea, scm.Gitea, 50},
}

func onEach(t *testing.T, test func(t *testing.T, server *scmtest.Server, repository scm.Repository, page int)) {
	t.Helper()
	for name, f := range forges {
		t.Run(name, func(t *testing.T) {
			server := f.start(t)
			test(t, server, repository(t, f.forge, server.URL), f.page)
		})
	}
}

func repository(t *testing.T, forge scm.Forge, url string) scm.Repository {
	t.Helper()
	r, err := scm.New(scm.Options{Repository: scmtest.Repository, HostOptions: scm.HostOptions{
		Forge: forge, URL: url, Token: func() (string, error) { return scmtest.Token + "\n", nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpenReadsPullRequest(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		moment := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
		server.Add(scmtest.Pull{
			Number: 7, Title: "Größere Schrift", Branch: "font/größer", Labels: []string{"preview"},
			Created: moment, Updated: moment.Add(time.Hour), Commits: []string{scmtest.SHA("a"), scmtest.SHA("b")},
		})
		server.Add(scmtest.Pull{Number: 8, Author: "mallory", Repository: scmtest.Fork})
		server.Add(scmtest.Pull{Number: 9, Repository: scmtest.Gone})
		server.Add(scmtest.Pull{Number: 10})
		server.Close(10)

		all, err := r.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := scm.PullRequest{
			Number: 7, Title: "Größere Schrift", Head: "font/größer", HeadSHA: scmtest.SHA("b"), Base: "main",
			HeadRepository: scmtest.Repository, Author: "ana", Labels: []string{"preview"}, CreatedAt: moment, UpdatedAt: moment.Add(time.Hour),
		}
		want.URL = all[0].URL // differs by forge
		if diff := cmp.Diff(want, all[0]); diff != "" {
			t.Error("(-want +got)", diff)
		}
		if all[0].URL == "" {
			t.Error("its page has no URL")
		}
		if len(all) != 3 || !all[1].Fork || all[1].HeadRepository != scmtest.Fork || !all[2].Fork || all[2].HeadRepository != "" {
			t.Errorf("forks: %+v", all[1:])
		}
	})
}

func TestOpenReadsAllPages(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
		for _, count := range []int{0, 1, page - 1, page, page + 1, 2*page + 3} {
			for n := 1; n <= count; n++ {
				server.Add(scmtest.Pull{Number: n})
			}
			all, err := r.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != count {
				t.Errorf("%d of %d", len(all), count)
			}
			for i, p := range all {
				if p.Number != i+1 {
					t.Fatalf("at %d is %d", i, p.Number)
				}
			}
		}
	})
}

// onPage answers page n of the list by hand.
func onPage(server *scmtest.Server, n int, do func(w http.ResponseWriter, r *http.Request) bool) {
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pulls") && max(page, 1) == n && do(w, r)
	})
}

func TestOpenOfChangingList(t *testing.T) {
	t.Run("pull request closed between two pages hides no other", func(t *testing.T) {
		onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
			for n := 1; n <= 2*page; n++ {
				server.Add(scmtest.Pull{Number: n})
			}
			var once atomic.Bool
			onPage(server, 2, func(http.ResponseWriter, *http.Request) bool {
				if once.CompareAndSwap(false, true) {
					server.Close(1)
				}
				return false
			})
			all, err := r.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 2*page-1 || all[0].Number != 2 {
				t.Errorf("%d, from %d on: one that moved is missing", len(all), all[0].Number)
			}
		})
	})

	t.Run("list that changes at each reading is an error", func(t *testing.T) {
		onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
			for n := 1; n <= page+10; n++ {
				server.Add(scmtest.Pull{Number: n})
			}
			next := 0
			onPage(server, 2, func(http.ResponseWriter, *http.Request) bool {
				next++
				server.Close(next)
				return false
			})
			_, err := r.Open(t.Context())
			wantError(t, err, "try again")
		})
	})
}

func TestOpenRejectsIncompleteList(t *testing.T) {
	// Each of these must not look like pull requests that were closed.
	write := func(status int, contentType, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		}
	}
	cases := map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"an empty body":                        {write(200, "application/json", ""), "empty"},
		"white space":                          {write(200, "application/json", " \n"), "empty"},
		"null":                                 {write(200, "application/json", "null"), "is not of its API"},
		"an object":                            {write(200, "application/json", "{}"), "is not of its API"},
		"an error with 200":                    {write(200, "application/json", `{"message": "down"}`), "is not of its API"},
		"half a page":                          {write(200, "application/json", `[{"number": 1, "head": {"sha": "`+scmtest.SHA(1)+`"}}, {"numb`), "is not valid JSON"},
		"a list followed by an error page":     {write(200, "application/json", "[]<html>"), "is not valid JSON"},
		"a login page":                         {write(200, "text/html", "<!DOCTYPE html><title>Sign in</title>"), "login page"},
		"204 without a body":                   {write(204, "application/json", ""), "204"},
		"202, come again":                      {write(202, "application/json", "[]"), "202"},
		"a pull request that is null":          {write(200, "application/json", "[null]"), "without number or commit"},
		"a pull request without commit":        {write(200, "application/json", `[{"number": 1}]`), "without number or commit"},
		"an invalid commit":                    {write(200, "application/json", `[{"number": 1, "head": {"sha": "../../main"}}]`), "without number or commit"},
		"a number that is none":                {write(200, "application/json", `[{"number": "1"}]`), "number"},
		"500":                                  {write(500, "application/json", `{"message": "internal\u001b[31m error"}`), "500: internal\uFFFD[31m error"},
		"502 by a proxy":                       {write(502, "text/html", "<html>Bad Gateway</html>"), "502"},
		"a token that the forge doesn't know":  {write(401, "application/json", `{"message": "Bad credentials"}`), "doesn't know the token"},
		"a token that may not":                 {write(403, "application/json", `{"message": "Resource not accessible"}`), "the token may not do this: Resource not accessible"},
		"a repository that isn't there":        {write(404, "application/json", `{"message": "Not Found"}`), "no such repository"},
		"a body cut before its Content-Length": {cut, "unexpected EOF"},
		"a connection that breaks":             {hangUp, "EOF"},
	}
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
		for n := 1; n <= page+10; n++ {
			server.Add(scmtest.Pull{Number: n})
		}
		for name, c := range cases {
			for _, number := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s, on page %d", name, number), func(t *testing.T) {
					onPage(server, number, c.answer)
					all, err := r.Open(t.Context())
					if all != nil {
						t.Errorf("it listed %d", len(all))
					}
					wantError(t, err, c.want)
				})
			}
		}
	})
}

func cut(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, "[]")
	return true
}

func hangUp(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

func TestOpenRejectsMissingPage(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
		for n := 1; n <= page+10; n++ {
			server.Add(scmtest.Pull{Number: n})
		}
		onPage(server, 2, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "[]")
			return true
		})
		_, err := r.Open(t.Context())
		wantError(t, err, "shorter than the forge reports")
	})

	t.Run("first page of Gitea", func(t *testing.T) {
		server := scmtest.Gitea(t)
		onPage(server, 1, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Total-Count", "3")
			fmt.Fprint(w, "[]")
			return true
		})
		_, err := repository(t, scm.Gitea, server.URL).Open(t.Context())
		wantError(t, err, "shorter than the forge reports")
	})
}

func TestResponseIsBounded(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		for name, status := range map[string]int{"a list": 200, "an error": 500} {
			t.Run(name, func(t *testing.T) {
				onPage(server, 1, func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(status)
					chunk := strings.Repeat(" ", 1<<20)
					for range 64 {
						if _, err := fmt.Fprint(w, chunk); err != nil {
							break
						}
					}
					fmt.Fprint(w, "[]")
					return true
				})
				_, err := r.Open(t.Context())
				wantError(t, err, "")
				if status == 200 {
					wantError(t, err, "too large")
				}
			})
		}
	})
}

// Anyone who may open a pull request chooses its texts; they are no reason to know less
// of the others.
func TestOpenWithLongTexts(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, page int) {
		for n := 1; n <= page+3; n++ {
			server.Add(scmtest.Pull{Number: n, Body: strings.Repeat("\U0001F600", 1<<16), Title: strings.Repeat("<&", 1<<10), Repository: scmtest.Fork})
		}
		server.Add(scmtest.Pull{Number: page + 4, Body: strings.Repeat(`"\`, 4<<20+1)})
		all, err := r.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != page+4 || all[0].Title != strings.Repeat("<&", 1<<10)[:len(all[0].Title)] {
			t.Errorf("%d pull requests, the first with the title %.40q…", len(all), all[0].Title)
		}
		if last := all[len(all)-1]; last.HeadSHA != scmtest.SHA("pull", page+4) || last.Fork {
			t.Errorf("%+v", last)
		}
	})
}

func TestAuthorOfDeletedAccount(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		server.Add(scmtest.Pull{Number: 1, Author: scmtest.Gone})
		all, err := r.Open(t.Context())
		if err != nil || len(all) != 1 || all[0].Author != "ghost" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestCheck(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		if err := r.Check(t.Context()); err != nil {
			t.Error(err)
		}
		for n := range 3 {
			server.Add(scmtest.Pull{Number: n + 1})
		}
		if err := r.Check(t.Context()); err != nil {
			t.Error(err)
		}
		for status, want := range map[int]string{401: "the forge doesn't know the token", 404: "there is no such repository", 502: "502"} {
			server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(status)
				fmt.Fprint(w, `{"message": "no"}`)
				return true
			})
			wantError(t, r.Check(t.Context()), want)
		}
	})
}

func TestGitHubErrorNamesField(t *testing.T) {
	server := scmtest.GitHub(t)
	r := repository(t, scm.GitHub, server.URL)
	for errors, want := range map[string]string{
		`[{"resource": "PullRequest", "field": "base", "code": "invalid"}]`:                               "422: Validation Failed: PullRequest.base invalid",
		`[{"resource": "PullRequest", "code": "missing_field", "field": "head_sha"}, {"code": "custom"}]`: "422: Validation Failed: PullRequest.head_sha missing field: custom",
		`[{"resource": "PullRequest", "code": "custom", "message": "No commits between main and x"}]`:     "422: Validation Failed: No commits between main and x",
		`[{"resource": "PullRequest", "field": "base", "code": "custom", "message": "is locked"}]`:        "422: Validation Failed: PullRequest.base: is locked",
		`["a sentence"]`: "422: Validation Failed: a sentence",
		`[]`:             "422: Validation Failed",
	} {
		server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"message": "Validation Failed", "errors": %s}`, errors)
			return true
		})
		_, err := r.Create(t.Context(), scm.Change{Head: "a", Base: "main", Title: "t"})
		wantError(t, err, want)
	}
}

func TestHangingForgeTimesOut(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		released := make(chan struct{})
		t.Cleanup(func() { close(released) })
		onPage(server, 1, func(_ http.ResponseWriter, request *http.Request) bool {
			select {
			case <-released:
			case <-request.Context().Done():
			}
			return true
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := r.Open(ctx)
		wantError(t, err, "deadline exceeded")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestTokenFollowsNoRedirect(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		var seen atomic.Int32
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			seen.Add(1)
			fmt.Fprint(w, "[]")
		}))
		t.Cleanup(other.Close)
		onPage(server, 1, func(w http.ResponseWriter, request *http.Request) bool {
			http.Redirect(w, request, other.URL+"/pulls", http.StatusTemporaryRedirect)
			return true
		})
		_, err := r.Open(t.Context())
		wantError(t, err, "refusing a redirect to "+other.URL)
		if seen.Load() != 0 {
			t.Error("the other host got a request")
		}
	})
}

func TestErrorHidesToken(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		server.Before(func(w http.ResponseWriter, request *http.Request) bool {
			// A proxy that explains what it didn't like.
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message": "denied: Authorization: %s"}`, request.Header.Get("Authorization"))
			return true
		})
		_, err := r.Open(t.Context())
		wantError(t, err, "denied: Authorization: ")
		_, err = r.Create(t.Context(), scm.Change{Head: "a", Base: "main", Title: "t"})
		wantError(t, err, "denied: Authorization: ")
	})
}

func TestCommitsNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		commits := make([]string, 120)
		for i := range commits {
			commits[i] = scmtest.SHA("commit", i)
		}
		server.Add(scmtest.Pull{Number: 3, Commits: commits})
		got, err := r.Commits(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, sha := range got {
			if want := commits[len(commits)-1-i]; sha != want {
				t.Fatalf("at %d is %s, want %s", i, sha, want)
			}
		}
		if len(got) < 50 {
			t.Errorf("there are %d alone", len(got))
		}

		_, err = r.Commits(t.Context(), 4)
		wantError(t, err, "listing the commits of pull request 4")
		if !scm.IsStatus(err, http.StatusNotFound) {
			t.Errorf("it isn't a 404: %v", err)
		}

		for _, body := range []string{"", "null", "[null]", "[{}]", `[{"sha": "main"}]`, `[{"sha": "`} {
			server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
				fmt.Fprint(w, body)
				return true
			})
			if got, err := r.Commits(t.Context(), 3); err == nil {
				t.Errorf("%q gave %q", body, got)
			}
		}
	})
}

func TestCreateFindUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		server.Push("promote/staging")
		server.Add(scmtest.Pull{Branch: "promote/staging", Repository: scmtest.Fork}) // another's branch of that name

		if _, ok, err := r.Find(t.Context(), "promote/staging", "main"); err != nil || ok {
			t.Fatalf("found a fork's: %v, %v", ok, err)
		}
		server.Close(1)
		created, err := r.Create(t.Context(), scm.Change{Head: "promote/staging", Base: "main", Title: "Promote", Body: "why", Draft: true})
		if err != nil {
			t.Fatal(err)
		}
		if created.Number != 2 || !created.Draft || created.Title != "Promote" || created.Fork {
			t.Errorf("created %+v", created)
		}
		found, ok, err := r.Find(t.Context(), "promote/staging", "main")
		if err != nil || !ok {
			t.Fatalf("not found: %v", err)
		}
		if diff := cmp.Diff(created, found); diff != "" {
			t.Error("(-created +found)", diff)
		}
		// From finds those into any base; no fork's, and none of another branch.
		server.Push("release")
		server.Add(scmtest.Pull{Branch: "other"})
		if _, err := r.Create(t.Context(), scm.Change{Head: "promote/staging", Base: "release", Title: "Promote"}); err != nil {
			t.Fatal(err)
		}
		from, err := r.From(t.Context(), "promote/staging")
		if err != nil {
			t.Fatal(err)
		}
		var bases []string
		for _, p := range from {
			bases = append(bases, p.Base)
		}
		if diff := cmp.Diff([]string{"main", "release"}, bases); diff != "" {
			t.Error("(-want +got)", diff)
		}
		for _, draft := range []bool{false, true, true} {
			updated, err := r.Update(t.Context(), created.Number, scm.Change{Title: "Promote 2", Body: "", Draft: draft})
			if err != nil {
				t.Fatal(err)
			}
			if updated.Draft != draft || updated.Title != "Promote 2" {
				t.Errorf("updated to draft %v: %+v", draft, updated)
			}
			if now := server.Pull(created.Number); now.Body != "" || (now.Draft || strings.HasPrefix(now.Title, "WIP: ")) != draft {
				t.Errorf("the forge has %+v", now)
			}
		}

		_, err = r.Create(t.Context(), scm.Change{Head: "promote/staging", Base: "main", Title: "again"})
		wantError(t, err, "already exists")
		_, err = r.Update(t.Context(), 99, scm.Change{Title: "none"})
		wantError(t, err, "404")
	})
}

// Only the draft state changes, and no text.
func TestDraft(t *testing.T) {
	onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
		server.Push("main")
		server.Push("promote/staging")
		open, err := r.Create(t.Context(), scm.Change{Head: "promote/staging", Base: "main", Title: "Promote", Body: "why"})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a draft stays one
			if open, err = r.Draft(t.Context(), open); err != nil || !open.Draft || open.Title != "Promote" {
				t.Fatalf("%+v, %v", open, err)
			}
			now := server.Pull(open.Number)
			if !now.Draft && !strings.HasPrefix(now.Title, "WIP: ") || strings.TrimPrefix(now.Title, "WIP: ") != "Promote" || now.Body != "why" {
				t.Errorf("the forge has %+v", now)
			}
		}
		_, err = r.Draft(t.Context(), scm.PullRequest{Number: 99, Title: "none"})
		wantError(t, err, "404")
	})
}

func TestUnconfirmedChangeReturnsError(t *testing.T) {
	t.Run("response without the pull request", func(t *testing.T) {
		onEach(t, func(t *testing.T, server *scmtest.Server, r scm.Repository, _ int) {
			for _, body := range []string{"", "{}", "null", "[]", "<html>"} {
				server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, body)
					return true
				})
				if created, err := r.Create(t.Context(), scm.Change{Head: "a", Base: "main"}); err == nil {
					t.Errorf("%q created %+v", body, created)
				}
				if updated, err := r.Update(t.Context(), 1, scm.Change{Title: "t"}); err == nil {
					t.Errorf("%q updated %+v", body, updated)
				}
			}
		})
	})

	t.Run("draft state that GraphQL didn't change", func(t *testing.T) {
		server := scmtest.GitHub(t)
		r := repository(t, scm.GitHub, server.URL)
		server.Add(scmtest.Pull{Number: 1, Draft: true})
		for body, want := range map[string]string{
			`{"data": {"markPullRequestReadyForReview": null}, "errors": [{"message": "Resource not accessible by integration"}]}`: "not accessible",
			`{}`: "doesn't confirm the change",
			`{"data": {"markPullRequestReadyForReview": {"pullRequest": {"isDraft": true}}}}`: "doesn't confirm the change",
		} {
			server.Before(func(w http.ResponseWriter, request *http.Request) bool {
				if request.URL.Path != "/graphql" {
					return false
				}
				fmt.Fprint(w, body)
				return true
			})
			updated, err := r.Update(t.Context(), 1, scm.Change{Title: "t"})
			wantError(t, err, want)
			if !updated.Draft {
				t.Errorf("%s: it is reported as no draft", body)
			}
		}
	})
}

func TestGiteaFirstPushIsRetried(t *testing.T) {
	server := scmtest.Gitea(t)
	r := repository(t, scm.Gitea, server.URL)
	server.Empty()
	requests := 0
	server.Before(func(_ http.ResponseWriter, request *http.Request) bool {
		if strings.HasSuffix(request.URL.Path, "/pulls") {
			if requests++; requests == 3 {
				server.Push("main")
				server.Push("late")
			}
		}
		return false
	})
	if _, ok, err := r.Find(t.Context(), "late", "main"); ok || err != nil {
		t.Fatalf("%t, %v", ok, err)
	}
	server.Empty()
	requests = 0
	if _, err := r.Create(t.Context(), scm.Change{Head: "late", Base: "main", Title: "t"}); err != nil {
		t.Fatal(err)
	}

	server.Empty()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := r.Create(ctx, scm.Change{Head: "never", Base: "main", Title: "t"})
	wantError(t, err, "opening a pull request of ")
}

// What won't be there later either isn't waited for.
func TestGiteaOther404IsNotRetried(t *testing.T) {
	notFound := func(suffix string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, request *http.Request) bool {
			if !strings.HasSuffix(request.URL.Path, suffix) {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message": "not found"}`)
			return true
		}
	}
	for name, c := range map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"a missing branch":              {nil, "404: the repository exists, but not the requested item"},
		"pull requests are turned off":  {notFound("/pulls"), "check that its settings allow pull requests"},
		"a repository that isn't there": {notFound(""), "404: there is no such repository, or the token may not see it"},
	} {
		t.Run(name, func(t *testing.T) {
			server := scmtest.Gitea(t)
			r := repository(t, scm.Gitea, server.URL)
			server.Before(c.before)
			_, err := r.Create(t.Context(), scm.Change{Head: "none", Base: "main", Title: "t"})
			wantError(t, err, c.want)
			if !scm.IsStatus(err, http.StatusNotFound) {
				t.Errorf("it isn't a 404: %v", err)
			}
			if requests := server.Requests(); len(requests) != 2 {
				t.Errorf("it sent %q", requests)
			}
		})
	}
}

func TestRepositoryRejectsInvalidName(t *testing.T) {
	for name, c := range map[string]struct {
		options scm.Options
		want    string
	}{
		"no name":                    {scm.Options{Repository: "shop", HostOptions: scm.HostOptions{Forge: scm.GitHub}}, `"shop": want owner/name`},
		"three names":                {scm.Options{Repository: "a/b/c", HostOptions: scm.HostOptions{Forge: scm.GitHub}}, "want owner/name"},
		"a way out":                  {scm.Options{Repository: "../admin", HostOptions: scm.HostOptions{Forge: scm.GitHub}}, "want owner/name"},
		"a query":                    {scm.Options{Repository: "a/b?x", HostOptions: scm.HostOptions{Forge: scm.GitHub}}, "want owner/name"},
		"no URL":                     {scm.Options{Repository: "a/b", HostOptions: scm.HostOptions{Forge: scm.Gitea}}, "its URL is missing"},
		"plain HTTP":                 {scm.Options{Repository: "a/b", HostOptions: scm.HostOptions{Forge: scm.Gitea, URL: "http://git.example.com"}}, "want an https URL"},
		"a password in the URL":      {scm.Options{Repository: "a/b", HostOptions: scm.HostOptions{Forge: scm.Gitea, URL: "https://u:" + scmtest.Token + "@git.example.com"}}, "without a password"},
		"a forge that we don't know": {scm.Options{Repository: "a/b", HostOptions: scm.HostOptions{Forge: "GitLab", URL: "https://git.example.com"}}, `"GitLab": there are Gitea and GitHub`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scm.New(c.options)
			wantError(t, err, c.want)
		})
	}
}

func TestUnreadableTokenReturnsError(t *testing.T) {
	server := scmtest.GitHub(t)
	r, err := scm.New(scm.Options{Repository: scmtest.Repository, HostOptions: scm.HostOptions{
		Forge: scm.GitHub, URL: server.URL, Token: func() (string, error) { return "", fmt.Errorf("no such file") },
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(t.Context())
	wantError(t, err, "reading the forge's token: no such file")
	if requests := server.Requests(); len(requests) != 0 {
		t.Errorf("it sent requests without one: %q", requests)
	}
}

// wantError checks an error's text, and that it has no token in it.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error; want one with %q", want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("error %q; want one with %q", err, want)
	case strings.Contains(err.Error(), scmtest.Token):
		t.Errorf("the error shows the token: %v", err)
	case strings.ContainsAny(err.Error(), "\n\r\x1b"), len(err.Error()) > 600:
		t.Errorf("the error is no line of a log: %q", err)
	}
}
