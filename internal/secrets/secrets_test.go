package secrets_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/secrets"
)

// Secrets are put together here, so that no scanner takes this file for a leak.
func TestFind(t *testing.T) {
	word := strings.Repeat("aB3", 20)
	for text, want := range map[string]string{
		"-----BEGIN " + "PRIVATE KEY-----":                    "a private key",
		"x\n-----BEGIN OPENSSH " + "PRIVATE KEY-----\ny":      "a private key",
		"-----BEGIN PGP " + "PRIVATE KEY BLOCK-----":          "a private key",
		"AKIA" + "ABCDEFGHIJKLMNOP":                           "an AWS access key",
		"token ghp_" + word[:36]:                              "a GitHub token",
		"glpat-" + word[:20]:                                  "a GitLab token",
		"AIza" + word[:35]:                                    "a Google API key",
		"xoxb-" + "123456789012-abc":                          "a Slack token",
		"sk_live_" + word[:24]:                                "a Stripe key",
		"npm_" + word[:36]:                                    "an npm token",
		"hvs." + word[:24]:                                    "a Vault token",
		"eyJ" + word[:20] + ".eyJ" + word[:20] + "." + word:   "a JSON web token",
		"AGE-SECRET-KEY-1" + strings.Repeat("Q", 58):          "an age key",
		"redis://:" + "hunter2@cache:6379/0":                  "a URL with a password",
		"https://ana:" + "hunter2@git.example.com/a":          "a URL with a password",
		"sha256:" + strings.Repeat("a", 64):                   "",
		"registry.example.com:5000/a@sha256:" + word:          "",
		"-----BEGIN CERTIFICATE-----\n" + word:                "",
		"-----BEGIN PUBLIC KEY-----\n" + word:                 "",
		"https://login.example.com:8443/dex?to=a@b.example":   "",
		"postgres://$(USER):$(PASSWORD)@db/shop":              "",
		"postgres://{{ .user }}:{{ .password }}@db/shop":      "",
		"ssh://git@git.example.com/shop.git":                  "",
		"one\n" + strings.Repeat("aaaaaaaaaaaaaaaa ", 10_000): "",
	} {
		if got, ok := secrets.Find(text); got != want || ok != (want != "") {
			t.Errorf("%.60q is %q, want %q", text, got, want)
		}
	}
}

func TestMasked(t *testing.T) {
	values := map[string]any{
		"db":      map[string]any{"password": "hunter2", "passwordSecret": "hunter2", "existingSecret": "shop-db", "host": "db", "token": ""},
		"secrets": map[string]any{"any": "hunter2", "count": 3.0, "list": []any{"hunter2"}},
		"list":    []any{map[string]any{"apiKey": "hunter2", "name": "n"}},
		"auth":    map[string]any{"clientSecret": "{{ .Values.x }}", "automountServiceAccountToken": true, "secretName": "n", "API_KEY": "hunter2"},
		"image":   map[string]any{"digest": "sha256:" + strings.Repeat("a", 64)},
		"numbers": map[string]any{"password": 12345678.0, "token": int64(7), "secret": false, "credentials": nil, "port": 80.0},
		"env":     []any{map[string]any{"name": "DB_PASSWORD", "value": "hunter2"}, map[string]any{"name": "HOST", "value": "db"}, map[string]any{"name": 1.0, "value": "v"}},
		"pairs":   []any{map[string]any{"key": "api-key", "value": 5.0}},
		"value":   "plain",
	}
	want := map[string]any{
		"db":      map[string]any{"password": secrets.Mask, "passwordSecret": secrets.Mask, "existingSecret": "shop-db", "host": "db", "token": ""},
		"secrets": map[string]any{"any": secrets.Mask, "count": secrets.Mask, "list": []any{secrets.Mask}},
		"list":    []any{map[string]any{"apiKey": secrets.Mask, "name": "n"}},
		"auth":    map[string]any{"clientSecret": "{{ .Values.x }}", "automountServiceAccountToken": true, "secretName": "n", "API_KEY": secrets.Mask},
		"image":   map[string]any{"digest": "sha256:" + strings.Repeat("a", 64)},
		"numbers": map[string]any{"password": secrets.Mask, "token": secrets.Mask, "secret": false, "credentials": nil, "port": 80.0},
		"env":     []any{map[string]any{"name": "DB_PASSWORD", "value": secrets.Mask}, map[string]any{"name": "HOST", "value": "db"}, map[string]any{"name": 1.0, "value": "v"}},
		"pairs":   []any{map[string]any{"key": "api-key", "value": secrets.Mask}},
		"value":   "plain",
	}
	got, count := secrets.Masked(nil, values)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if count != 11 {
		t.Errorf("masked %d, want 11", count)
	}
	if diff := cmp.Diff("hunter2", values["db"].(map[string]any)["password"]); diff != "" {
		t.Error("the values themselves were changed")
	}
}
