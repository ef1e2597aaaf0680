package scm_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// limitedForge is a forge that answers with a limit, and a host with a clock and a token.
type limitedForge struct {
	*scmtest.Server
	*scm.Host

	now   atomic.Int64
	token atomic.Pointer[string]
}

func newLimitedForge(t *testing.T, forge scm.Forge, server *scmtest.Server) *limitedForge {
	t.Helper()
	f := &limitedForge{Server: server}
	f.now.Store(time.Date(2026, 11, 2, 12, 0, 10, 0, time.UTC).Unix())
	token := scmtest.Token
	f.token.Store(&token)
	var err error
	f.Host, err = scm.NewHost(scm.HostOptions{
		Forge: forge, URL: server.URL, Token: func() (string, error) { return *f.token.Load(), nil }, Now: f.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *limitedForge) clock() time.Time { return time.Unix(f.now.Load(), 0).UTC() }

func (f *limitedForge) pass(d time.Duration) { f.now.Add(int64(d / time.Second)) }

// limit answers each request with a status and headers.
func (f *limitedForge) limit(status int, body string, headers ...string) {
	f.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", f.clock().Format(http.TimeFormat))
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		// GitHub's text differs each time.
		fmt.Fprintf(w, `{"message": %q}`, fmt.Sprintf("%s Request ID %d.", body, len(f.Requests())))
		return true
	})
}

func (f *limitedForge) open(t *testing.T, name string) error {
	t.Helper()
	r, err := f.Repository(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Open(t.Context())
	return err
}

func TestLimit(t *testing.T) {
	type forge struct {
		kind  scm.Forge
		start func(scmtest.T) *scmtest.Server
	}
	gitHub, gitea := forge{scm.GitHub, scmtest.GitHub}, forge{scm.Gitea, scmtest.Gitea}
	begin := time.Date(2026, 11, 2, 12, 0, 10, 0, time.UTC)
	for name, c := range map[string]struct {
		forge   forge
		status  int
		body    string
		headers []string
		until   string
	}{
		"of an hour that is used up": {
			gitHub, 403, "API rate limit exceeded for installation ID 1.",
			[]string{"X-Ratelimit-Limit", "5000", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", strconv.FormatInt(begin.Add(20*time.Minute).Unix(), 10)},
			"2026-11-02T12:21:00Z",
		},
		"with Retry-After":                   {gitHub, 403, "You have exceeded a secondary rate limit.", []string{"Retry-After", "90"}, "2026-11-02T12:02:00Z"},
		"with Retry-After as a date":         {gitea, 429, "slow down", []string{"Retry-After", begin.Add(5 * time.Minute).Format(http.TimeFormat)}, "2026-11-02T12:06:00Z"},
		"by a proxy in front of Gitea":       {gitea, 429, "slow down", []string{"Retry-After", "120"}, "2026-11-02T12:03:00Z"},
		"whose end isn't named":              {gitea, 429, "slow down", nil, "2026-11-02T12:02:00Z"},
		"that the text alone names":          {gitHub, 403, "You have exceeded a secondary rate limit.", nil, "2026-11-02T12:02:00Z"},
		"that would last for years":          {gitHub, 429, "slow down", []string{"Retry-After", "999999999"}, "2026-11-02T13:01:00Z"},
		"whose Retry-After isn't understood": {gitHub, 429, "slow down", []string{"Retry-After", "soon"}, "2026-11-02T12:02:00Z"},
	} {
		t.Run("a limit "+name+" is stored until its end", func(t *testing.T) {
			f := newLimitedForge(t, c.forge.kind, c.forge.start(t))
			f.limit(c.status, c.body, c.headers...)
			first := f.open(t, scmtest.Repository)
			wantError(t, first, fmt.Sprintf(": %d: too many requests: no request is sent before %s", c.status, c.until))
			if !errors.Is(first, scm.ErrLimited) || !scm.IsStatus(first, c.status) {
				t.Errorf("%#v", first)
			}

			sent := len(f.Requests())
			f.pass(20 * time.Second)
			if again := f.open(t, scmtest.Repository); again == nil || again.Error() != first.Error() {
				t.Errorf("the text changes from %q to %q", first, again)
			}
			wantError(t, f.open(t, "shop/other"), c.until) // of the same token
			if n := len(f.Requests()); n != sent {
				t.Errorf("%d requests were sent before it ended", n-sent)
			}

			f.Before(nil)
			f.pass(time.Hour + time.Minute)
			if err := f.open(t, scmtest.Repository); err != nil {
				t.Errorf("after its end: %v", err)
			}
		})
	}

	t.Run("another token is not limited", func(t *testing.T) {
		f := newLimitedForge(t, scm.GitHub, scmtest.GitHub(t))
		old := "used-up"
		f.token.Store(&old)
		f.limit(429, "slow down", "Retry-After", "600")
		wantError(t, f.open(t, scmtest.Repository), "too many requests")
		f.Before(nil)
		wantError(t, f.open(t, scmtest.Repository), "too many requests")
		fresh := scmtest.Token
		f.token.Store(&fresh)
		if err := f.open(t, scmtest.Repository); err != nil {
			t.Error(err)
		}
	})

	t.Run("end is computed by the clock of the forge", func(t *testing.T) {
		f := newLimitedForge(t, scm.GitHub, scmtest.GitHub(t))
		theirs := f.clock().Add(-30 * time.Minute)
		f.limit(403, "API rate limit exceeded.", "Date", theirs.Format(http.TimeFormat),
			"X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", strconv.FormatInt(theirs.Add(10*time.Minute).Unix(), 10))
		wantError(t, f.open(t, scmtest.Repository), "before 2026-11-02T12:11:00Z")
	})

	t.Run("missing permission is no limit", func(t *testing.T) {
		f := newLimitedForge(t, scm.GitHub, scmtest.GitHub(t))
		f.limit(403, "Resource not accessible by integration.", "X-Ratelimit-Remaining", "4999")
		wantError(t, f.open(t, scmtest.Repository), "403: the token may not do this: Resource not accessible")
		f.Before(nil)
		if err := f.open(t, scmtest.Repository); err != nil {
			t.Error(err)
		}
	})

	t.Run("request with a body is delayed too", func(t *testing.T) {
		f := newLimitedForge(t, scm.GitHub, scmtest.GitHub(t))
		f.limit(429, "slow down", "Retry-After", "600")
		r, err := f.Repository(scmtest.Repository)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = r.Create(t.Context(), scm.Change{Head: "a", Base: "main", Title: "t", Body: strings.Repeat("x", 1<<16)})
			wantError(t, err, "429: too many requests")
		}
		if n := len(f.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}
