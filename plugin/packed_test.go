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

// TestWhatIsHeldPackedRendersTheSame holds a server that packs every file against one
// that packs none, wherever a file can stand or be missing.
func TestWhatIsHeldPackedRendersTheSame(t *testing.T) {
	limits := archive.DefaultLimits
	limits.Plain = 0
	plain, packed := serve(t, archive.DefaultLimits), serve(t, limits)
	ladder := filepath.Join(app, "ladder.yaml")
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		// want is in the manifests, or in the error.
		want  string
		fails bool
	}{
		"nothing special": {change: func(*testing.T, string) {}, want: "replicas: 3"},
		"a layer is a link": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "elsewhere/prod.yaml")
			symlink(t, root, "../../elsewhere/prod.yaml", app+"/prod.yaml")
		}, want: "replicas: 3"},
		"a layer's folder is a link": {change: func(t *testing.T, root string) {
			move(t, root, "org", "elsewhere/org")
			symlink(t, root, "elsewhere/org", "org")
		}, want: "team: payments"},
		"the ladder is a link": {change: func(t *testing.T, root string) {
			move(t, root, ladder, "ladders/shop.yaml")
			symlink(t, root, "../../ladders/shop.yaml", ladder)
		}, want: "replicas: 3"},
		"pins are a link": {change: func(t *testing.T, root string) {
			move(t, root, app+"/pins.yaml", "pins/shop.yaml")
			symlink(t, root, "../../pins/shop.yaml", app+"/pins.yaml")
		}, want: "leads through a symbolic link", fails: true},
		"the chart is a link": {change: func(t *testing.T, root string) {
			move(t, root, app+"/chart", "charts/shop")
			symlink(t, root, "../../charts/shop", app+"/chart")
		}, want: "replicas: 3"},
		"a file of the chart is a link": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "../../../../lib/map.yaml", app+"/chart/templates/map.yaml")
		}, want: "name: linked"},
		"a folder of the chart is a link": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/more/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "../../../../lib/more", app+"/chart/templates/more")
		}, want: "name: linked"},
		"a link goes by a link": {change: func(t *testing.T, root string) {
			writeFile(t, filepath.Join(root, "lib/v1/map.yaml"), "kind: ConfigMap\nmetadata: {name: linked}\n")
			symlink(t, root, "v1", "lib/current")
			symlink(t, root, "../../../../lib/current/../current/map.yaml", app+"/chart/templates/map.yaml")
		}, want: "name: linked"},
		"a glob in a linked folder": {change: func(t *testing.T, root string) {
			replace(t, filepath.Join(root, ladder), "layers: [../../org/values.yaml]", `layers: [../../org/values.yaml, "more/*.yaml"]`)
			writeFile(t, filepath.Join(root, "elsewhere/a.yaml"), "team: first\n")
			writeFile(t, filepath.Join(root, "elsewhere/z.yaml"), "team: last\n")
			symlink(t, root, "../../elsewhere", app+"/more")
		}, want: "team: last"},
		"pins name a chart": {change: func(t *testing.T, root string) {
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
		"a layer that leads in a circle": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "gone.yaml")
			symlink(t, root, "prod.yaml", app+"/prod.yaml")
		}, want: "circular", fails: true},
		"a chart that leads in a circle": {change: func(t *testing.T, root string) {
			symlink(t, root, "..", app+"/chart/templates/up")
		}, want: "circular", fails: true},
		"a layer that leads out": {change: func(t *testing.T, root string) {
			move(t, root, app+"/prod.yaml", "gone.yaml")
			symlink(t, root, "../../../prod.yaml", app+"/prod.yaml")
		}, want: "leads out of the repository", fails: true},
		"a layer with a fault": {change: func(t *testing.T, root string) {
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
			says := strings.Join(got, "\n")
			if err != nil {
				says = err.Error()
			}
			if (err != nil) != tt.fails || !strings.Contains(says, tt.want) {
				t.Errorf("error %v, manifests %s\nwant %q", err, strings.Join(got, "\n"), tt.want)
			}
		})
	}
}
