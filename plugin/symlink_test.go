package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/plugin"
	"github.com/envladder/envladder/plugin/archive"
)

// newLinkedRepository returns a repository in which apps/shop, apps/deep/shop and web are
// links to the folder of a ladder whose layer is next to that folder.
func newLinkedRepository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		".git/HEAD":                            "ref: refs/heads/main\n",
		"apps/org/values.yaml":                 "who: apps\n",
		"apps/deep/org/values.yaml":            "who: deep\n",
		"org/values.yaml":                      "who: root\n",
		"services/org/values.yaml":             "who: services\n",
		"services/shop/chart/Chart.yaml":       "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"services/shop/chart/templates/a.yaml": "kind: ConfigMap\nmetadata: {name: a}\ndata: {who: {{ .Values.who }}}\n",
		"services/shop/ladder.yaml":            linkedLadder,
		"shop/ladder.yaml":                     linkedLadder,
		"shop/chart/Chart.yaml":                "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/chart/templates/a.yaml":          "kind: ConfigMap\nmetadata: {name: a}\ndata: {who: {{ .Values.who }}}\n",
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	for name, target := range map[string]string{
		"apps/shop":      "../services/shop",
		"apps/deep/shop": "../shop", // a link to a link
		"web":            "services/shop",
		"links":          "apps/deep",
		"apps/top":       "../shop",
		"apps/out":       "../../shop",
		"apps/circle":    "circle",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const linkedLadder = `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  layers: [../org/values.yaml]
  environments: [{name: dev}]
`

const devEnvironment = `[{"name":"environment","string":"dev"}]`

func sourceAt(path string) []string {
	return []string{"ARGOCD_APP_NAME=shop", "ARGOCD_APP_SOURCE_PATH=" + path, "ARGOCD_APP_PARAMETERS=" + devEnvironment}
}

// An Application's path may be a symbolic link to the ladder's folder.
func TestSymbolicLinkAsPath(t *testing.T) {
	root := newLinkedRepository(t)
	s := serve(t, archive.DefaultLimits)
	for path, want := range map[string]string{
		"apps/shop": "services", "apps/deep/shop": "services", "web": "services", "links/shop": "services",
		"services/shop": "services", "apps/top": "root",
	} {
		t.Run(path+" renders the same in every way", func(t *testing.T) {
			served, err := s.generate(t, root, path, sourceAt(path)...)
			if err != nil {
				t.Fatal(err)
			}
			if len(served) != 1 || !strings.Contains(served[0], "who: "+want+"}") {
				t.Errorf("serve: got %q, want who: %s", served, want)
			}
			inWorkingCopy, err := execIn(t, filepath.Join(root, path), sourceAt(path)...)
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := execUnpacked(t, root, path)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := renderAt(t, filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			for way, got := range map[string]string{"working copy": inWorkingCopy, "argocd-cmp-server": unpacked, "render": rendered} {
				if diff := gocmp.Diff("---\n"+strings.Join(served, "---\n"), got); diff != "" {
					t.Errorf("%s (-serve +%s):\n%s", way, way, diff)
				}
			}
		})
	}
	for _, path := range []string{"apps/out", "apps/circle"} {
		t.Run(path+" is refused", func(t *testing.T) {
			request := plugin.Request{Repository: os.DirFS(root), Dir: path, Environment: "dev"}
			if _, err := plugin.Generate(t.Context(), request); err == nil || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("got %v, want an error about symbolic links", err)
			}
		})
	}
}

// execUnpacked runs the plugin where argocd-cmp-server has unpacked the repository.
func execUnpacked(t *testing.T, root, path string) (string, error) {
	t.Helper()
	work := t.TempDir()
	unpacked := filepath.Join(work, "_cmp_server", "0f9c")
	if err := os.CopyFS(unpacked, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	return execIn(t, filepath.Join(unpacked, path), append(sourceAt(path), "ARGOCD_CMP_WORKDIR="+work)...)
}

// renderAt renders as `envladder render -C dir` does.
func renderAt(t *testing.T, dir string) (string, error) {
	t.Helper()
	repository, err := ladder.FindSources(dir)
	if err != nil {
		return "", err
	}
	defer repository.Close()
	manifests, err := plugin.Generate(t.Context(), plugin.Request{
		Repository: repository.FS(), Dir: repository.Dir, Environment: "dev", AppName: "shop",
	})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = manifests.Print(&b)
	return b.String(), err
}

// What was sent may be a part of the repository that a link leads out of.
func TestSymbolicLinkOutOfWhatWasSent(t *testing.T) {
	root := newLinkedRepository(t)
	s := serve(t, archive.DefaultLimits)
	_, err := s.generate(t, filepath.Join(root, "apps"), "shop", sourceAt("apps/shop")...)
	if err == nil || !strings.Contains(err.Error(), "add /services/shop/ladder.yaml to the Application's annotation") {
		t.Errorf("got %v, want advice on manifest-generate-paths", err)
	}
}
