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
		t.Run(path+" renders the same every way", func(t *testing.T) {
			if got := renderEveryWay(t, s, root, path); !strings.Contains(got, "who: "+want+"}") {
				t.Errorf("got %q, want who: %s", got, want)
			}
		})
	}
	for _, path := range []string{"apps/out", "apps/circle"} {
		t.Run(path+" is rejected", func(t *testing.T) {
			request := plugin.Request{Repository: os.DirFS(root), Dir: path, Environment: "dev"}
			if _, err := plugin.Generate(t.Context(), request); err == nil || !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("got %v, want an error about symbolic links", err)
			}
		})
	}
}

// renderEveryWay renders environment dev of the ladder at path as serve does, checks that each
// other way gives the same result, and returns it.
func renderEveryWay(t *testing.T, s *served, root, path string) string {
	t.Helper()
	served, err := s.generate(t, root, path, sourceAt(path)...)
	if err != nil {
		t.Fatal(err)
	}
	want := "---\n" + strings.Join(served, "---\n")
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
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-serve +%s):\n%s", way, way, diff)
		}
	}
	return want
}

// The chart is in the ladder's folder, with a dependency next to it. Files that aren't part of the
// chart don't change its digest, however it is rendered.
func TestFlatChartWithLocalDependency(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		".git/HEAD":               "ref: refs/heads/main\n",
		"svc/ladder.yaml":         strings.NewReplacer("chart: chart", "chart: .", "../org/values.yaml", "values-all.yaml", "{name: dev}", "{name: dev, layers: [values-dev.yaml]}, {name: prod, layers: [values-prod.yaml]}").Replace(linkedLadder),
		"svc/values-all.yaml":     "who: all\n",
		"svc/values-dev.yaml":     "",
		"svc/values-prod.yaml":    "who: prod\n",
		"svc/Chart.yaml":          "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: common, version: 1.x.x, repository: 'file://../common'}]\n",
		"svc/templates/a.yaml":    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ include \"common.name\" . }}}\nspec: {template: {spec: {}}}\n",
		"common/Chart.yaml":       "apiVersion: v2\nname: common\nversion: 1.2.0\ntype: library\n",
		"common/templates/_h.tpl": "{{ define \"common.name\" }}{{ .Values.who }}{{ end }}",
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	s := serve(t, archive.DefaultLimits)
	before := renderEveryWay(t, s, root, "svc")
	if !strings.Contains(before, "envladder.dev/chart-digest: ") || !strings.Contains(before, "name: all") {
		t.Errorf("got %s", before)
	}
	writeFile(t, filepath.Join(root, "svc/values-prod.yaml"), "who: other\n")
	if diff := gocmp.Diff(before, renderEveryWay(t, s, root, "svc")); diff != "" {
		t.Errorf("a change of prod's layer changes dev:\n%s", diff)
	}
	writeFile(t, filepath.Join(root, "common/templates/_h.tpl"), "{{ define \"common.name\" }}all{{ end }}")
	if after := renderEveryWay(t, s, root, "svc"); after == before {
		t.Error("a change of the library doesn't change the chart's digest")
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

// A link may lead out of the part of the repository that was sent.
func TestSymbolicLinkOutOfSentPart(t *testing.T) {
	root := newLinkedRepository(t)
	s := serve(t, archive.DefaultLimits)
	_, err := s.generate(t, filepath.Join(root, "apps"), "shop", sourceAt("apps/shop")...)
	if err == nil || !strings.Contains(err.Error(), "add /services/shop/ladder.yaml to the Application's annotation") {
		t.Errorf("got %v, want advice on manifest-generate-paths", err)
	}
}

func TestSymbolicLinkAsLayerInSentPart(t *testing.T) {
	for name, tt := range map[string]struct {
		target, want string
	}{
		"target that was not sent":           {target: "../../elsewhere/prod.yaml", want: "add /elsewhere/prod.yaml to the Application's annotation"},
		"link out of the sent part and back": {target: "../../gitops/elsewhere/prod.yaml"},
		"link out of the repository":         {target: "../../../prod.yaml", want: "leads outside the repository"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRepository(t)
			replace(t, filepath.Join(root, app, "ladder.yaml"), "  layers: [../../org/values.yaml]\n", "")
			move(t, root, app+"/prod.yaml", "gitops/elsewhere/prod.yaml")
			symlink(t, root, tt.target, app+"/prod.yaml")
			s := serve(t, archive.DefaultLimits)
			_, err := s.generate(t, filepath.Join(root, "gitops"), "shop", argoEnv(prodEU)...)
			if text := errorText(err); (text != "" && tt.want == "") || !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

// errorText returns the text of an error, empty for none.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
