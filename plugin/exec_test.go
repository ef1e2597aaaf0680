package plugin_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/plugin"
)

// lookup returns a getenv for NAME=VALUE pairs.
func lookup(pairs ...string) func(string) string {
	env := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	env = maps.Clone(env)
	return func(name string) string { return env[name] }
}

func execIn(t *testing.T, dir string, env ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := plugin.Exec(t.Context(), dir, nil, lookup(env...), &out)
	return out.String(), err
}

func TestExecReturnsSameAsServe(t *testing.T) {
	root := newRepository(t)
	want := "---\n" + withDigest(t, root, wantProdEU)
	t.Run("working copy", func(t *testing.T) {
		got, err := execIn(t, filepath.Join(root, app), argoEnv(prodEU)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("variable of a parameter", func(t *testing.T) {
		got, err := execIn(t, filepath.Join(root, app), "PARAM_ENVIRONMENT=prod", "PARAM_TARGET=eu",
			"PARAM_RELEASENAME=shop-prod-eu", "ARGOCD_APP_NAMESPACE=shop", "KUBE_VERSION=1.34.4")
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("folder of argocd-cmp-server", func(t *testing.T) {
		work := t.TempDir()
		unpacked := filepath.Join(work, "_cmp_server", "0f9c")
		if err := os.CopyFS(unpacked, os.DirFS(root)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(unpacked, ".git")); err != nil {
			t.Fatal(err)
		}
		got, err := execIn(t, filepath.Join(unpacked, app), argoEnv(prodEU, "ARGOCD_CMP_WORKDIR="+work)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("layer that was not sent", func(t *testing.T) {
		work := t.TempDir()
		unpacked := filepath.Join(work, "_cmp_server", "0f9c")
		if err := os.CopyFS(unpacked, os.DirFS(filepath.Join(root, app))); err != nil {
			t.Fatal(err)
		}
		_, err := execIn(t, unpacked, argoEnv(prodEU, "ARGOCD_CMP_WORKDIR="+work)...)
		if err == nil || !strings.Contains(err.Error(), "add /org/values.yaml to the Application's annotation") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("layer outside the unpacked folder", func(t *testing.T) {
		work := t.TempDir()
		unpacked := filepath.Join(work, "_cmp_server", "0f9c")
		if err := os.CopyFS(unpacked, os.DirFS(root)); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(work, "_cmp_server", "another", "secret.yaml"), "secret: true")
		link := filepath.Join(unpacked, app, "prod.yaml")
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../../another/secret.yaml", link); err != nil {
			t.Fatal(err)
		}
		if _, err := execIn(t, filepath.Join(unpacked, app), argoEnv(prodEU, "ARGOCD_CMP_WORKDIR="+work)...); err == nil {
			t.Error("no error")
		}
	})
}
