package ladder_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	digestC = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

const head = "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\n"

// shop is a repository with a ladder in the folder shop, whose files are all there.
func shop() fstest.MapFS {
	files := fstest.MapFS{}
	for name, content := range map[string]string{
		"shop/ladder.yaml": head + `spec:
  chart: chart
  images:
  - {name: web, repository: registry.example.com/shop/web, valuesPath: image}
  - {name: job, repository: "127.0.0.1:5000/shop/job", valuesPath: job.image}
  layers: [../org/values.yaml, values/common.yaml]
  tiers: {lite: values/lite.yaml, full: values/full.yaml}
  environments:
  - {name: local, tier: lite, layers: [values/local.yaml]}
  - {name: dev, tier: lite, layers: [values/dev.yaml], pins: pins/dev.yaml}
  - {name: staging, tier: full, pins: pins/staging.yaml}
  - name: prod
    tier: full
    layers: [values/prod.yaml]
    pins: pins/prod.yaml
    targets:
    - {name: eu, layers: [values/eu.yaml], pins: pins/eu.yaml}
    - {name: us, after: eu}
  preview: {tier: lite, layers: [values/preview.yaml]}
`,
		"org/values.yaml":          "",
		"shop/chart/Chart.yaml":    "name: shop\n",
		"shop/charts/shop-1.tgz":   "not looked into",
		"shop/values/common.yaml":  "a: 1\n",
		"shop/values/lite.yaml":    "a: 2\n",
		"shop/values/full.yaml":    "a: 3\n",
		"shop/values/local.yaml":   "a: 4\n",
		"shop/values/dev.yaml":     "a: 5\n",
		"shop/values/prod.yaml":    "a: 6\n",
		"shop/values/eu.yaml":      "a: 7\n",
		"shop/values/preview.yaml": "a: 8\n",
		"shop/pins/dev.yaml":       "images: {web: " + digestA + ", job: " + digestB + "}\nchart: charts/shop-1.tgz\n",
		"shop/pins/staging.yaml":   "images: {web: " + digestA + ", job: " + digestB + "}\n",
		"shop/pins/prod.yaml":      "images: {web: " + digestB + ", job: " + digestB + "}\n",
		"shop/pins/eu.yaml":        "images:\n  job: " + digestC + "\n  web: " + digestA + "\nchart: oci://registry.example.com/charts/shop@" + digestC + "\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return files
}

// with is shop with one file's content changed; an empty one removes the file.
func with(name, content string) fstest.MapFS {
	files := maps.Clone(shop())
	files[name] = &fstest.MapFile{Data: []byte(content)}
	if content == "" {
		delete(files, name)
	}
	return files
}

// replaced is shop with a part of one file replaced.
func replaced(t *testing.T, name, part, by string) fstest.MapFS {
	t.Helper()
	content := string(shop()[name].Data)
	if strings.Count(content, part) != 1 {
		t.Fatalf("%s has %q %d times", name, part, strings.Count(content, part))
	}
	return with(name, strings.Replace(content, part, by, 1))
}

func TestResolve(t *testing.T) {
	web := ladder.Image{Name: "web", Repository: "registry.example.com/shop/web", ValuesPath: "image"}
	job := ladder.Image{Name: "job", Repository: "127.0.0.1:5000/shop/job", ValuesPath: "job.image"}
	common := []ladder.Layer{
		{Path: "org/values.yaml", Origin: "layers"},
		{Path: "shop/values/common.yaml", Origin: "layers"},
	}
	layers := func(more ...ladder.Layer) []ladder.Layer { return append(append([]ladder.Layer{}, common...), more...) }
	full := ladder.Layer{Path: "shop/values/full.yaml", Origin: "tier full"}
	lite := ladder.Layer{Path: "shop/values/lite.yaml", Origin: "tier lite"}
	prod := ladder.Layer{Path: "shop/values/prod.yaml", Origin: "environment prod"}

	for name, test := range map[string]struct {
		environment, target string
		want                ladder.Resolved
	}{
		"an environment, with the chart that its pins name": {
			environment: "dev",
			want: ladder.Resolved{
				Chart:  "shop/charts/shop-1.tgz",
				Layers: layers(lite, ladder.Layer{Path: "shop/values/dev.yaml", Origin: "environment dev"}),
				Pins: []ladder.Pin{
					{Image: web, Digest: digestA, Source: "shop/pins/dev.yaml", Line: 1},
					{Image: job, Digest: digestB, Source: "shop/pins/dev.yaml", Line: 1},
				},
			},
		},
		"local runs dev's digests in the ladder's chart": {
			environment: "local",
			want: ladder.Resolved{
				Chart:  "shop/chart",
				Layers: layers(lite, ladder.Layer{Path: "shop/values/local.yaml", Origin: "environment local"}),
				Pins: []ladder.Pin{
					{Image: web, Digest: digestA, Source: "shop/pins/dev.yaml", Line: 1},
					{Image: job, Digest: digestB, Source: "shop/pins/dev.yaml", Line: 1},
				},
			},
		},
		"a target's layers and pins come last": {
			environment: "prod", target: "eu",
			want: ladder.Resolved{
				Chart:  "oci://registry.example.com/charts/shop@" + digestC,
				Layers: layers(full, prod, ladder.Layer{Path: "shop/values/eu.yaml", Origin: "target eu"}),
				Pins: []ladder.Pin{
					{Image: web, Digest: digestA, Source: "shop/pins/eu.yaml", Line: 3},
					{Image: job, Digest: digestC, Source: "shop/pins/eu.yaml", Line: 2},
				},
			},
		},
		"a target without pins has its environment's": {
			environment: "prod", target: "us",
			want: ladder.Resolved{
				Chart:  "shop/chart",
				Layers: layers(full, prod),
				Pins: []ladder.Pin{
					{Image: web, Digest: digestB, Source: "shop/pins/prod.yaml", Line: 1},
					{Image: job, Digest: digestB, Source: "shop/pins/prod.yaml", Line: 1},
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := ladder.Open(shop(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			test.want.Ladder, test.want.Environment, test.want.Target = "shop", test.environment, test.target
			test.want.Stamps = ladder.StampsOn
			got, err := document.Resolve(test.environment, test.target)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("resolved (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveWithoutImagesInjectsNothing(t *testing.T) {
	files := fstest.MapFS{
		"ladder.yaml":      {Data: []byte(head + "spec: {chart: chart, stamps: \"Off\", environments: [{name: dev, layers: [dev.yaml]}, {name: local}]}\n")},
		"chart/Chart.yaml": {},
		"dev.yaml":         {},
	}
	document, err := ladder.Open(files, ".")
	if err != nil {
		t.Fatal(err)
	}
	got, err := document.Resolve("dev", "")
	if err != nil {
		t.Fatal(err)
	}
	want := ladder.Resolved{
		Ladder: "shop", Environment: "dev", Chart: "chart", Stamps: ladder.StampsOff,
		Layers: []ladder.Layer{{Path: "dev.yaml", Origin: "environment dev"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resolved (-want +got):\n%s", diff)
	}
	if err := document.Check(); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestResolveRejectsUnknownNames(t *testing.T) {
	document, err := ladder.Open(shop(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ environment, target, want string }{
		{"prd", "", `choosing environment "prd": ladder "shop" has local, dev, staging, prod, preview, did you mean "prod"?`},
		{"", "", `choosing environment "": ladder "shop" has local, dev, staging, prod, preview`},
		{"preview", "", `choosing environment "preview": it is the template of pull requests' environments and has no digest of its own: name a pull request and its images`},
		{"prod", "", `choosing a target: environment "prod" has the targets eu, us: name one`},
		{"prod", "ue", `choosing target "ue": environment "prod" has the targets eu, us, did you mean "eu"?`},
		{"dev", "eu", `choosing target "eu": environment "dev" has no targets`},
	} {
		_, err := document.Resolve(test.environment, test.target)
		if err == nil || err.Error() != test.want {
			t.Errorf("%q %q: got %v, want %s", test.environment, test.target, err, test.want)
		}
		if _, ok := errors.AsType[strictyaml.Problems](err); ok {
			t.Errorf("%q %q: a wrong question isn't a problem of the document", test.environment, test.target)
		}
	}
}

func TestProblemsOfFiles(t *testing.T) {
	for name, test := range map[string]struct {
		repo fstest.MapFS
		want string
	}{
		"a missing layer": {
			with("shop/values/dev.yaml", ""),
			`shop/ladder.yaml:13:38: spec.environments[1].layers[0]: "values/dev.yaml" doesn't exist`,
		},
		"a missing layer of a tier that two environments have": {
			with("shop/values/full.yaml", ""),
			`shop/ladder.yaml:10:41: spec.tiers.full: "values/full.yaml" doesn't exist`,
		},
		"a folder as a layer": {
			replaced(t, "shop/ladder.yaml", "values/preview.yaml", "values"),
			`shop/ladder.yaml:22:34: spec.preview.layers[0]: "values" isn't a file`,
		},
		"layers that aren't right, each once": {
			with("shop/values/common.yaml", "a: 1\na: 2\n---\nb: 1\n"),
			"shop/values/common.yaml:2:1: a: duplicate key, the first is in line 1\n" +
				"shop/values/common.yaml:3:1: has a second document: use a file for each",
		},
		"a layer that is a list": {
			with("org/values.yaml", "# of all\n- a\n"),
			"org/values.yaml:2:1: want a mapping, have a list",
		},
		"a missing chart": {
			replaced(t, "shop/ladder.yaml", "chart: chart", "chart: chrat"),
			`shop/ladder.yaml:5:10: spec.chart: "chrat" doesn't exist`,
		},
		"a folder that is no chart": {
			replaced(t, "shop/ladder.yaml", "chart: chart", "chart: values"),
			`shop/ladder.yaml:5:10: spec.chart: "values" isn't a chart: its Chart.yaml doesn't exist`,
		},
		"a file that is no packaged chart": {
			replaced(t, "shop/ladder.yaml", "chart: chart", "chart: values/dev.yaml"),
			`shop/ladder.yaml:5:10: spec.chart: "values/dev.yaml" is neither a folder nor a packaged chart (.tgz)`,
		},
		"a missing gate": {
			replaced(t, "shop/ladder.yaml", "name: staging,", "name: staging, gate: ../gate.yaml,"),
			`shop/ladder.yaml:14:27: spec.environments[2].gate: "../gate.yaml" doesn't exist`,
		},
		"missing pins": {
			with("shop/pins/dev.yaml", ""),
			`shop/ladder.yaml:13:62: spec.environments[1].pins: "pins/dev.yaml" doesn't exist`,
		},
		"an environment without pins": {
			replaced(t, "shop/ladder.yaml", ", pins: pins/staging.yaml", ""),
			`shop/ladder.yaml:14:5: spec.environments[2]: needs "pins", since the ladder has images: which digests does it run?`,
		},
		"a target without pins of an environment without": {
			replaced(t, "shop/ladder.yaml", "    pins: pins/prod.yaml\n", ""),
			`shop/ladder.yaml:20:7: spec.environments[3].targets[1]: needs "pins", since the ladder has images: which digests does it run?`,
		},
		"local without a dev": {
			replaced(t, "shop/ladder.yaml", "name: dev,", "name: integration,"),
			`shop/ladder.yaml:12:5: spec.environments[0]: needs "pins", since the ladder has images and there is no environment "dev" whose digests it could run`,
		},
		"empty pins": {
			with("shop/pins/staging.yaml", "# none yet\n"),
			"shop/pins/staging.yaml:1:1: images: has no digest for image \"job\"\n" +
				"shop/pins/staging.yaml:1:1: images: has no digest for image \"web\"",
		},
		"pins of all that can be wrong, at once": {
			with("shop/pins/staging.yaml", "images:\n  wbe: "+digestA+"\n  web: v1.2.3\n  other: sha256:ABC\nimage: {}\nchart: oci://registry.example.com/charts/shop:1.2.3\n"),
			"shop/pins/staging.yaml:2:3: images: has no digest for image \"job\"\n" +
				"shop/pins/staging.yaml:2:8: images.wbe: unknown image, did you mean \"web\"?\n" +
				"shop/pins/staging.yaml:3:8: images.web: is \"v1.2.3\": want a digest (sha256:…), not a tag, which can move\n" +
				"shop/pins/staging.yaml:4:10: images.other: is \"sha256:ABC\": want 64 lowercase hex digits after sha256:\n" +
				"shop/pins/staging.yaml:4:10: images.other: unknown image: the ladder has web, job\n" +
				"shop/pins/staging.yaml:5:1: image: unknown field, did you mean \"images\"?\n" +
				"shop/pins/staging.yaml:6:8: chart: \"oci://registry.example.com/charts/shop:1.2.3\" isn't a chart's digest: want oci://HOST/REPOSITORY@sha256:… with 64 lowercase hex digits, without a tag",
		},
		"digests that are none": {
			with("shop/pins/staging.yaml", "images:\n  web: registry.example.com/shop/web@"+digestA+"\n  job: SHA256:"+strings.Repeat("a", 64)+"\n"),
			"shop/pins/staging.yaml:2:8: images.web: is \"registry.example.com/shop/web@" + digestA + "\": want the digest alone, the repository is in ladder.yaml\n" +
				"shop/pins/staging.yaml:3:8: images.job: is \"SHA256:" + strings.Repeat("a", 64) + "\": want a digest (sha256:…), not a tag, which can move",
		},
		"a duplicate key in pins doesn't hide the others": {
			with("shop/pins/staging.yaml", "images:\n  web: v1\n  job: "+digestA+"\n  job: "+digestA+"\nimage: {}\n"),
			"shop/pins/staging.yaml:2:8: images.web: is \"v1\": want a digest (sha256:…), not a tag, which can move\n" +
				"shop/pins/staging.yaml:4:3: images.job: duplicate key, the first is in line 3\n" +
				"shop/pins/staging.yaml:5:1: image: unknown field, did you mean \"images\"?",
		},
		"layers that a render couldn't read": {
			with("shop/values/common.yaml", "<<: 3\na: !!bool 7\nb: .nan\n"),
			"shop/values/common.yaml:1:5: [\"<<\"]: merges a number: want a mapping, or a list of mappings\n" +
				"shop/values/common.yaml:2:4: a: has the tag !!bool, but its value isn't of that type\n" +
				"shop/values/common.yaml:3:4: b: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)",
		},
		"a digest that YAML takes for a number": {
			with("shop/pins/staging.yaml", "images:\n  web: 1234\n  job: "+digestA+"\n"),
			"shop/pins/staging.yaml:2:8: images.web: want a string, have a number: quote it",
		},
		"a chart outside the repository": {
			with("shop/pins/staging.yaml", "images: {web: "+digestA+", job: "+digestA+"}\nchart: ../../chart.tgz\n"),
			`shop/pins/staging.yaml:2:8: chart: "../../chart.tgz" leads outside the repository`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := ladder.Open(test.repo, "shop")
			if err != nil {
				t.Fatal(err)
			}
			diffProblems(t, test.want, document.Check())
		})
	}
}

func TestCheckChartsLoadsEachOnce(t *testing.T) {
	document, err := ladder.Open(shop(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	var loaded []string
	err = document.CheckCharts(func(chart string) error {
		loaded = append(loaded, chart)
		if chart == "shop/chart" {
			return errors.New("loading it:\n\tno \x1b[31mtemplates")
		}
		if strings.HasPrefix(chart, "oci://") {
			return errors.New("not supported")
		}
		return nil
	})
	diffProblems(t, "shop/ladder.yaml:5:10: spec.chart: loading it: no \uFFFD[31mtemplates\n"+
		"shop/pins/eu.yaml:4:8: chart: not supported", err)
	want := []string{"shop/chart", "shop/charts/shop-1.tgz", "oci://registry.example.com/charts/shop@" + digestC}
	if diff := cmp.Diff(want, loaded); diff != "" {
		t.Errorf("charts loaded (-want +got):\n%s", diff)
	}
}

func TestOpenWithoutLadder(t *testing.T) {
	_, err := ladder.Open(os.DirFS(t.TempDir()), "shop/values")
	want := `finding ladder.yaml in folder "shop/values" of the repository: there is none: set the ladder's folder (-C, or the Application's path)`
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want fs.ErrNotExist that says %s", err, want)
	}
}

// An error that isn't the document's names no path of this machine, and no operation.
func TestOpenOutsideRepository(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "ladder.yaml"), []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "ladder.yaml"), filepath.Join(dir, "ladder.yaml")); err != nil {
		t.Fatal(err)
	}
	repo, err := ladder.FindRepository(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	_, err = ladder.Open(repo.FS(), repo.Dir)
	want := `reading "ladder.yaml" inside the repository: path escapes from parent`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func diffProblems(t *testing.T, want string, err error) {
	t.Helper()
	if _, ok := errors.AsType[strictyaml.Problems](err); !ok {
		t.Fatalf("got %v, want Problems", err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestResolveIgnoresProblemsOfOtherEnvironments(t *testing.T) {
	document, err := ladder.Open(with("shop/values/prod.yaml", ""), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := document.Resolve("dev", ""); err != nil {
		t.Errorf("dev: %v", err)
	}
	_, err = document.Resolve("prod", "eu")
	diffProblems(t, `shop/ladder.yaml:17:14: spec.environments[3].layers[0]: "values/prod.yaml" doesn't exist`, err)
}

// The example is what the README tells people to start from.
func TestExampleShop(t *testing.T) {
	repo := os.DirFS("../../examples/shop/gitops")
	document, err := ladder.Open(repo, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Check(); err != nil {
		t.Error(err)
	}
	for _, step := range [][2]string{{"local", ""}, {"dev", ""}, {"staging", ""}, {"prod", "eu"}, {"prod", "us"}} {
		if _, err := document.Resolve(step[0], step[1]); err != nil {
			t.Errorf("%s %s: %v", step[0], step[1], err)
		}
	}
}

// TestPinsThroughSymbolicLinks: pins are named by their own path, so that two environments
// can't share a file unseen.
func TestPinsThroughSymbolicLinks(t *testing.T) {
	for name, link := range map[string]func(top string) error{
		"the file": func(top string) error {
			return errors.Join(os.Rename(top+"/shop/pins/dev.yaml", top+"/org/dev.yaml"), os.Symlink("../../org/dev.yaml", top+"/shop/pins/dev.yaml"))
		},
		"its folder": func(top string) error {
			return errors.Join(os.Rename(top+"/shop/pins", top+"/org/pins"), os.Symlink("../org/pins", top+"/shop/pins"))
		},
		"a file that isn't there": func(top string) error {
			return errors.Join(os.Remove(top+"/shop/pins/dev.yaml"), os.Symlink("../../org/none.yaml", top+"/shop/pins/dev.yaml"))
		},
		"a loop": func(top string) error {
			return errors.Join(os.Remove(top+"/shop/pins/dev.yaml"), os.Symlink("dev.yaml", top+"/shop/pins/dev.yaml"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			if err := os.CopyFS(top, shop()); err != nil {
				t.Fatal(err)
			}
			if err := link(top); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(top)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			document, err := ladder.Open(root.FS(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			_, stepErr := document.Resolve("dev", "")
			_, placeErr := document.EnvTarget("dev", "")
			for _, err := range []error{stepErr, placeErr, document.Check()} {
				if err == nil || !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), "spec.environments[1].pins") {
					t.Errorf("error %v, want that the pins lead through a symbolic link", err)
				}
			}
		})
	}
}

func TestSymbolicLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	write(t, outside, "password: hunter2\n")
	top := t.TempDir()
	if err := os.CopyFS(top, shop()); err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(top, "shop/values/dev.yaml")

	for name, test := range map[string]struct{ target, want string }{
		"one that stays inside is followed": {"../../org/values.yaml", ""},
		"one that leads out is refused": {
			outside,
			`shop/ladder.yaml:13:38: spec.environments[1].layers[0]: "values/dev.yaml" can't be read inside the repository: path escapes from parent`,
		},
		"one that leads out by .. is refused": {
			"../../../" + filepath.Base(filepath.Dir(outside)) + "/secret.yaml",
			`shop/ladder.yaml:13:38: spec.environments[1].layers[0]: "values/dev.yaml" can't be read inside the repository: path escapes from parent`,
		},
		"a loop is refused": {
			"dev.yaml",
			`shop/ladder.yaml:13:38: spec.environments[1].layers[0]: "values/dev.yaml" can't be read inside the repository: too many levels of symbolic links`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Remove(layer); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(test.target, layer); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(top)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			document, err := ladder.Open(root.FS(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			_, err = document.Resolve("dev", "")
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			diffProblems(t, test.want, err)
		})
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindRepository(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, top+"/clone/.git/HEAD", "")
	write(t, top+"/worktree/.git", "gitdir: elsewhere\n")
	for _, dir := range []string{"clone/shop/deep", "worktree/shop", "alone/shop"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("clone/shop", top+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ dir, root, rel string }{
		"the folder with .git":        {"clone/shop/deep", "clone", "shop/deep"},
		"the root itself":             {"clone", "clone", "."},
		"a worktree":                  {"worktree/shop", "worktree", "shop"},
		"no .git: the folder itself":  {"alone/shop", "alone/shop", "."},
		"by a symbolic link":          {"link/deep", "clone", "shop/deep"},
		"with .. that goes elsewhere": {"clone/../worktree/shop", "worktree", "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			repo, err := ladder.FindRepository(top + "/" + test.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer repo.Close()
			if want := filepath.Join(top, test.root); repo.Root != want || repo.Dir != test.rel {
				t.Errorf("got %s and %s, want %s and %s", repo.Root, repo.Dir, want, test.rel)
			}
			if _, err := fs.Stat(repo.FS(), repo.Dir); err != nil {
				t.Errorf("the folder isn't in FS: %v", err)
			}
		})
	}
	for _, dir := range []string{"none", "worktree/.git"} {
		if repo, err := ladder.FindRepository(filepath.Join(top, dir)); err == nil {
			t.Errorf("%s: got %s, want an error", dir, repo.Root)
		}
	}
}
