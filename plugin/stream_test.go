package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/plugin/archive"
)

func symlink(t *testing.T, root, target, at string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(root, at)); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, root, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, from), filepath.Join(root, to)); err != nil {
		t.Fatal(err)
	}
}

// A server that stores all files compressed returns the same as one that stores none so,
// wherever a file is or is missing.
func TestPackedRepositoryRendersTheSame(t *testing.T) {
	limits := archive.DefaultLimits
	limits.Plain = 0
	plain, packed := serve(t, archive.DefaultLimits), serve(t, limits)
	ladder := filepath.Join(app, "ladder.yaml")
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		// want is a part of the manifests or of the error.
		want  string
		fails bool
	}{
		"plain repository": {change: func(*testing.T, string) {}, want: "replicas: 3"},
		"linked layer": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "elsewhere/prod.yaml")
			symlink(t, root, "../../elsewhere/prod.yaml", app+"/prod.yaml")
		}, want: "replicas: 3"},
		"linked folder of a layer": {change: func(t *testing.T, root string) {
			move(t, root, "org", "elsewhere/org")
			symlink(t, root, "elsewhere/org", "org")
		}, want: "team: payments"},
		"linked ladder": {change: func(t *testing.T, root string) {
			move(t, root, ladder, "ladders/shop.yaml")
			symlink(t, root, "../../ladders/shop.yaml", ladder)
		}, want: "replicas: 3"},
		"linked pins": {change: func(t *testing.T, root string) {
			move(t, root, app+"/pins.yaml", "pins/shop.yaml")
			symlink(t, root, "../../pins/shop.yaml", app+"/pins.yaml")
		}, want: "leads through a symbolic link", fails: true},
		"linked chart": {change: func(t *testing.T, root string) {
			move(t, root, app+"/chart", "charts/shop")
			symlink(t, root, "../../charts/shop", app+"/chart")
		}, want: "replicas: 3"},
		"linked file of the chart": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "../../../../lib/map.yaml", app+"/chart/templates/map.yaml")
		}, want: "name: linked"},
		"linked folder of the chart": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/more/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "../../../../lib/more", app+"/chart/templates/more")
		}, want: "name: linked"},
		"link through a link": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/v1/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "v1", "lib/current")
			symlink(t, root, "../../../../lib/current/../current/map.yaml", app+"/chart/templates/map.yaml")
		}, want: "name: linked"},
		"glob in a linked folder": {change: func(t *testing.T, root string) {
			replace(t, filepath.Join(root, ladder), "layers: [../../org/values.yaml]", `layers: [../../org/values.yaml, "more/*.yaml"]`)
			writeFile(t, filepath.Join(root, "elsewhere/a.yaml"), "team: first\n")
			writeFile(t, filepath.Join(root, "elsewhere/z.yaml"), "team: last\n")
			symlink(t, root, "../../elsewhere", app+"/more")
		}, want: "team: last"},
		"chart in pins": {change: func(t *testing.T, root string) {
			replace(t, filepath.Join(root, app, "pins.yaml"), "images:", "chart: ../../charts/shop-1.tgz\nimages:")
			writeFile(t, filepath.Join(root, "charts/shop-1.tgz"), string(pack(t,
				entry{name: "shop/Chart.yaml", content: "apiVersion: v2\nname: shop\nversion: 1.0.0\n"},
				entry{name: "shop/templates/x.yaml", content: "kind: Secret\nmetadata: {name: pinned}\n"})))
		}, want: "name: pinned"},
		"no ladder": {change: func(t *testing.T, root string) {
			move(t, root, ladder, "gone.yaml")
		}, want: "finding ladder.yaml", fails: true},
		"no layer": {change: func(t *testing.T, root string) {
			move(t, root, "org/values.yaml", "gone.yaml")
		}, want: "org/values.yaml", fails: true},
		"no pins": {change: func(t *testing.T, root string) {
			move(t, root, app+"/pins.yaml", "gone.yaml")
		}, want: "pins.yaml", fails: true},
		"no chart": {change: func(t *testing.T, root string) {
			move(t, root, app+"/chart", "gone")
		}, want: "chart", fails: true},
		"circular layer": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "gone.yaml")
			symlink(t, root, "prod.yaml", app+"/prod.yaml")
		}, want: "circular", fails: true},
		"circular chart": {change: func(t *testing.T, root string) {
			symlink(t, root, "..", app+"/chart/templates/up")
		}, want: "circular", fails: true},
		"layer outside the repository": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "gone.yaml")
			symlink(t, root, "../../../prod.yaml", app+"/prod.yaml")
		}, want: "leads out of the repository", fails: true},
		"layer with an error": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, app, "prod.yaml"), "replicas: 3\nreplicas: 4\n")
		}, want: "prod.yaml:2:1", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRepository(t)
			tt.change(t, root)
			want, wantErr := plain.generate(t, root, app, argoEnv(prodEU)...)
			got, err := packed.generate(t, root, app, argoEnv(prodEU)...)
			if fmt.Sprint(wantErr) != fmt.Sprint(err) {
				t.Errorf("plain: error %v\npacked: error %v", wantErr, err)
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("(-plain +packed)\n%s", diff)
			}
			output := strings.Join(got, "\n")
			if err != nil {
				output = err.Error()
			}
			if (err != nil) != tt.fails || !strings.Contains(output, tt.want) {
				t.Errorf("error %v, manifests %s\nwant %q", err, strings.Join(got, "\n"), tt.want)
			}
		})
	}
}
