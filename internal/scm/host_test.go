package scm_test

import (
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

func TestNewHostWithPrivateCA(t *testing.T) {
	for name, f := range forges {
		t.Run(name, func(t *testing.T) {
			server := f.start(t)
			target, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			secure := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
			}})
			t.Cleanup(secure.Close)
			check := func(caFile string) error {
				r, err := scm.New(scm.Options{Repository: scmtest.Repository, HostOptions: scm.HostOptions{
					Forge: f.forge, URL: secure.URL + target.Path, CAFile: caFile, Token: func() (string, error) { return scmtest.Token, nil },
				}})
				if err != nil {
					return err
				}
				return r.Check(t.Context())
			}
			caFile := filepath.Join(t.TempDir(), "ca.crt")
			wantError(t, check(""), "certificate signed by unknown authority (where a private CA signed it, set the file of that CA)")
			wantError(t, check(caFile), "reading the CA file of the forge")
			writeFile(t, caFile, []byte("none"))
			wantError(t, check(caFile), "it holds no certificate in PEM")
			writeFile(t, caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
			if err := check(caFile); err != nil {
				t.Error(err)
			}
		})
	}
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
