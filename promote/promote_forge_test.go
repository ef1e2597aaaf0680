package promote_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

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
