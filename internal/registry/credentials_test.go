package registry_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// locked has a registry ask for a user's password, as docker's with htpasswd does, and
// returns what it was shown.
func locked(s *registrytest.Server, user, password string) (shown func() []string) {
	var mu sync.Mutex
	var seen []string
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		u, p, ok := r.BasicAuth()
		if ok {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, u+":"+p)
		}
		if ok && u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// pullSecret writes what a Secret of type kubernetes.io/dockerconfigjson has.
func pullSecret(t *testing.T, file string, credentials map[string]string) string {
	t.Helper()
	var entries []string
	for key, userPassword := range credentials {
		entries = append(entries, fmt.Sprintf("%q: {\"auth\": %q}", key, base64.StdEncoding.EncodeToString([]byte(userPassword))))
	}
	if err := os.WriteFile(file, []byte(`{"auths": {`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCredentialsFromPullSecrets(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "shop/web")
	shown := locked(server, "robot", "secret")
	for name, test := range map[string]struct {
		credentials []map[string]string
		want        bool
	}{
		"none":                         {nil, false},
		"of the registry":              {[]map[string]string{{server.Host: "robot:secret"}}, true},
		"of the registry, as a URL":    {[]map[string]string{{"https://" + server.Host + "/v2/": "robot:secret"}}, true},
		"of the repository":            {[]map[string]string{{server.Host: "other:no", server.Host + "/shop/web": "robot:secret"}}, true},
		"of a folder above it":         {[]map[string]string{{server.Host: "other:no", server.Host + "/shop": "robot:secret"}}, true},
		"of another folder":            {[]map[string]string{{server.Host + "/blog": "robot:secret", server.Host + "/shop/web/x": "robot:secret"}}, false},
		"the less specific one":        {[]map[string]string{{server.Host: "robot:secret", server.Host + "/shop": "other:no", server.Host + "/shop/web": "other:no"}}, true},
		"by a pattern":                 {[]map[string]string{{strings.Replace(server.Host, "127.0.", "*.*.", 1): "robot:secret"}}, true},
		"of another registry":          {[]map[string]string{{"registry.example.com": "robot:secret", server.Host + ".example.com": "robot:secret"}}, false},
		"in the second of two secrets": {[]map[string]string{{"registry.example.com": "else:where"}, {server.Host: "robot:secret"}}, true},
		"the first of two is refused":  {[]map[string]string{{server.Host: "other:no"}, {server.Host: "robot:secret"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			var options registry.Options
			for i, credentials := range test.credentials {
				options.Configs = append(options.Configs, pullSecret(t, filepath.Join(t.TempDir(), fmt.Sprint(i)), credentials))
			}
			client, err := options.Client()
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Referrers(t.Context(), server.Name("shop/web"), digest)
			if (err == nil) != test.want {
				t.Errorf("reading: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
	for _, credentials := range shown() {
		if credentials == "else:where" {
			t.Error("another registry's credentials were shown")
		}
	}
}

// What `helm registry login` stored opens a registry to a chart's pull.
func TestCredentialsFromHelm(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "charts/web")
	locked(server, "robot", "secret")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	file := filepath.Join(t.TempDir(), "config.json")
	t.Setenv("HELM_REGISTRY_CONFIG", file)
	if _, err := registry.NewClient().Referrers(t.Context(), server.Name("charts/web"), digest); err == nil {
		t.Error("the registry is open without credentials")
	}
	pullSecret(t, file, map[string]string{server.Host: "robot:secret"})
	if _, err := registry.NewClient().Referrers(t.Context(), server.Name("charts/web"), digest); err != nil {
		t.Error(err)
	}
}

// TestCredentialsReloadPullSecret is seen without a restart: by a repository that wasn't
// asked for yet, and by the others when their session ends.
func TestCredentialsReloadPullSecret(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "shop/web")
	locked(server, "robot", "second")
	file := pullSecret(t, filepath.Join(t.TempDir(), "config.json"), map[string]string{server.Host: "robot:first"})
	client, err := (&registry.Options{Configs: []string{file}}).Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Referrers(t.Context(), server.Name("shop/api"), digest); err == nil {
		t.Fatal("the old password is good")
	}
	pullSecret(t, file, map[string]string{server.Host: "robot:second"})
	if _, err := client.Referrers(t.Context(), server.Name("shop/web"), digest); err != nil {
		t.Error(err)
	}
}

func TestCredentialsUnreadablePullSecrets(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte(`{"auths": {"r.example.com": {"auth": "c2VjcmV0"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"/nowhere.json", broken} {
		_, err := (&registry.Options{Configs: []string{file}}).Client()
		if err == nil || !strings.Contains(err.Error(), "--registry-config") || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// TestCredentialsDeniedOnce stay those that are tried first: a registry may deny one
// path alone.
func TestCredentialsDeniedOnce(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "shop/web")
	shown := locked(server, "robot", "secret")
	server.Also(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/sha256-") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	file := pullSecret(t, filepath.Join(t.TempDir(), "config.json"), map[string]string{server.Host + "/shop": "robot:secret", server.Host: "other:no"})
	client, err := (&registry.Options{Configs: []string{file}}).Client()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := client.Referrers(t.Context(), server.Name("shop/web"), digest); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Manifest(t.Context(), server.Name("shop/web"), digest); err != nil {
			t.Fatal(err)
		}
	}
	for _, credentials := range shown() {
		if credentials != "robot:secret" {
			t.Errorf("%s were shown for what the first ones are accepted for", credentials)
		}
	}
}
