package appset

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

func TestStableText(t *testing.T) {
	forge := func(status int, cause string) error {
		return &scm.Error{Action: "listing the pull requests", Repository: "git.example.com/a/b", Status: status, Err: errors.New(cause)}
	}
	images := func(cause string) error {
		return fmt.Errorf("finding image web of pull request 7: %w",
			&registry.Error{Action: `resolving tag "pr-7-a625406f"`, Repository: "127.0.0.1:5000/web", Err: errors.New(cause)})
	}
	const listing, finding = "listing the pull requests of git.example.com/a/b: ", `finding image web of pull request 7: resolving tag "pr-7-a625406f" of 127.0.0.1:5000/web: `
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"an error of the forge's own":   {forge(502, "upstream error, incident 4711"), listing + "502: Bad Gateway"},
		"a request's number":            {forge(422, "Validation Failed (request AB12:8:77 at 2026-11-30 23:40:24 UTC)"), listing + "422: Validation Failed (request … at … … UTC)"},
		"what the token may not do":     {forge(403, "Resource not accessible by integration"), listing + "403: the token may not do this: Resource not accessible by integration"},
		"the port of a connection":      {forge(0, "read tcp 10.1.2.3:45678->10.0.0.1:443: read: connection reset by peer"), listing + "read tcp 10.0.0.1:443: read: connection reset by peer"},
		"the port of a question to DNS": {forge(0, "dial tcp: lookup git on 10.96.0.10:53: read udp 10.1.2.3:38291->10.96.0.10:53: i/o timeout"), listing + "dial tcp: lookup git on 10.96.0.10:53: read udp 10.96.0.10:53: i/o timeout"},
		"the time":                      {forge(0, "x509: certificate has expired: current time 2026-11-30T23:40:24Z is after 2026-11-01T00:00:00Z"), listing + "x509: certificate has expired: current time … is after …"},
		"a stream's number":             {images("stream error: stream ID 15; INTERNAL_ERROR"), finding + "stream error: stream ID …; INTERNAL_ERROR"},
		"a connection that is closed":   {images("http2: server sent GOAWAY; LastStreamID=1999, ErrCode=NO_ERROR"), finding + "http2: server sent GOAWAY; LastStreamID=…, ErrCode=NO_ERROR"},
		"one that is neither's":         {errors.New("reading ladder: line 7"), "reading ladder: line 7"},
		"one without a text of its own": {forge(0, ""), listing},
		"one whose text has no cause":   {forge(404, "id 77"), listing + "404: there is no such repository, or the token may not see it"},
		"one with control characters":   {errors.New("a\n\x1b[31mb"), "a \uFFFD[31mb"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := stableText(c.err); got != printable.Line(c.want, maxError) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}

	t.Run("a registry's request number", func(t *testing.T) {
		w := newFixture(t, ladder.ForgeGitea)
		w.open(scmtest.Pull{Number: 1})
		n := 0
		w.registry.Before(func(rw http.ResponseWriter, r *http.Request) bool {
			n++
			return fail("/manifests/", 500, fmt.Sprintf(`{"errors": [{"code": "UNKNOWN", "message": "request %d failed"}]}`, n))(rw, r)
		})
		for range 3 {
			w.wantError("shop", http.StatusBadGateway, "the registry answered 500 Internal Server Error: UNKNOWN")
		}
	})
}

func TestForgeLimitAppliesToAllLadders(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.ladder("other", "")
		w.forge.Before(func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Retry-After", "600")
			rw.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprintf(rw, `{"message": "request %d"}`, len(w.forge.Requests()))
			return true
		})
		_, want := w.execute("shop")
		for range 3 {
			w.wantError("other", http.StatusBadGateway, "429: too many requests: no request is sent before 2026-11-02T12:11:00Z")
			if _, answer := w.execute("shop"); answer != want {
				t.Errorf("%s, before %s", answer, want)
			}
		}
		if n := len(w.forge.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		w.forge.Before(nil)
		w.clock.pass(11 * time.Minute)
		w.rows()
	})
}
