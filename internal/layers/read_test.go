package layers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// bomb is nine aliases of nine aliases, nine levels deep.
func bomb() string {
	b := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		b += fmt.Sprintf("%[1]c: &%[1]c [%[2]s]\n", c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	return b
}

func inUTF16(s string) string {
	var b strings.Builder
	b.WriteString("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

// Each hostile layer results in problems that name the layer.
func TestHostileLayers(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"an alias bomb":         {bomb(), "a.yaml:2:8: b[0]: the aliases from here on repeat more than 10000 nodes"},
		"an alias in itself":    {"a: &a {b: *a}\n", "a.yaml:1:11: a.b: alias *a contains itself"},
		"10,000 mappings deep":  {strings.Repeat("{a: ", 10_000) + strings.Repeat("}", 10_000), "a.yaml:1:257: a" + strings.Repeat(".a", 63) + ": is nested deeper than 64"},
		"65 mappings deep":      {strings.Repeat("{a: ", 64) + "{}" + strings.Repeat("}", 64), "a.yaml:1:257: a" + strings.Repeat(".a", 63) + ": is nested deeper than 64"},
		"several documents":     {"a: 1\n---\na: 2\n", "a.yaml:2:1: has a second document: use a file for each"},
		"a list at the top":     {"- a\n", "a.yaml:1:1: want a mapping, have a list"},
		"a scalar at the top":   {"hunter2\n", "a.yaml:1:1: want a mapping, have a string"},
		"NUL":                   {"a: \x00\n", "a.yaml:1:4: has a NUL character"},
		"UTF-16":                {inUTF16("a: 1\n"), "a.yaml:1:1: isn't UTF-8"},
		"!!binary":              {"a: !!binary aHVudGVyMg==\n", `a.yaml:1:4: a: has the tag "!!binary", which isn't supported`},
		"an object of Python's": {"a: !!python/object:os.system {}\n", `a.yaml:1:4: a: has the tag "!!python/object:os.system", which isn't supported`},
		"NaN and infinity": {
			"a: .nan\nb: [-.inf]\n",
			"a.yaml:1:4: a: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)\n" +
				"a.yaml:2:5: b[0]: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)",
		},
		"whole numbers that a float64 rounds": {
			"a: 9007199254740993\nb: -9_007_199_254_740_993\nc: 0x20000000000001\nd: 123456789012345678901234567890\n",
			"a.yaml:1:4: a: is a whole number above 2^53, whose last digits Helm changes: quote it to make it a string\n" +
				"a.yaml:2:4: b: is a whole number above 2^53, whose last digits Helm changes: quote it to make it a string\n" +
				"a.yaml:3:4: c: is a whole number above 2^53, whose last digits Helm changes: quote it to make it a string\n" +
				"a.yaml:4:4: d: is a whole number above 2^53, whose last digits Helm changes: quote it to make it a string",
		},
		"keys that Helm reads otherwise": {
			"on: 1\nx: [{n: 1}]\n0755: 1\n1.0: 1\nTrue: 1\n",
			"a.yaml:1:1: on: is read by Helm as the key \"true\": quote it, or write that\n" +
				"a.yaml:2:6: x[0].n: is read by Helm as the key \"false\": quote it, or write that\n" +
				"a.yaml:3:1: 0755: is read by Helm as the key \"493\": quote it, or write that\n" +
				"a.yaml:4:1: [\"1.0\"]: is read by Helm as the key \"1\": quote it, or write that\n" +
				"a.yaml:5:1: True: is read by Helm as the key \"true\": quote it, or write that",
		},
		"a duplicate key": {"a: {b: 1,\n b: hunter2}\n", "a.yaml:2:2: a.b: duplicate key, the first is in line 1"},
		"more than 1 MiB": {"a: " + strings.Repeat("x", strictyaml.MaxSize), "a.yaml: is larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			repo, resolved := resolvedOf(test.content)
			_, err := layers.Merge(t.Context(), repo, resolved)
			wantProblems(t, test.want, err)
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a value")
			}
			wantProblems(t, test.want, layers.Check("a.yaml", []byte(test.content)))
		})
	}
}

// Odd values are read as Helm's own parser reads them.
func TestMergeReadsOddValuesLikeHelm(t *testing.T) {
	m := merge(t, "\ufeffa: on\nb: off\nc: yes\nd: 0755\ne: 0o17\nf: 1_000\ng: 1:30\nh: 2020-01-01\ni: 1e999\nj: 9007199254740992\nk: \"9007199254740993\"\nl: 1.10\nm: ~\n\"on\": 1\n1: one\n\"y\": 2\n<<: {o: 1}\n")
	want := map[string]any{
		"a": true, "b": false, "c": true, "d": 493.0, "e": 15.0, "f": 1000.0, "g": "1:30", "h": "2020-01-01", "i": "1e999",
		"j": 9007199254740992.0, "k": "9007199254740993", "l": 1.1, "m": nil, "on": 1.0, "1": "one", "y": 2.0, "o": 1.0,
	}
	if diff := cmp.Diff(want, m.Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a layer's path may do. The repository is a real one, by the operating system's
// own rules for links; next to it are files that must not be read.
func TestHostilePaths(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "repo")
	put := func(name, content string) {
		t.Helper()
		file := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("secret.yaml", "password: hunter2\n")
	put("repo/.git/HEAD", "")
	put("repo/org/values.yaml", "org: true\n")
	put("repo/shop/chart/Chart.yaml", "name: shop\n")
	put("repo/shop/real.yaml", "real: true\n")
	link("../../secret.yaml", "repo/shop/out.yaml")
	link(filepath.Join(base, "secret.yaml"), "repo/shop/absolute.yaml")
	link("../..", "repo/shop/up")
	link("loop.yaml", "repo/shop/loop.yaml")
	link("b", "repo/shop/a")
	link("a", "repo/shop/b")
	link("real.yaml", "repo/shop/inside.yaml")
	link("gone.yaml", "repo/shop/dangling.yaml")
	if err := os.Mkdir(filepath.Join(root, "shop", "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct{ layer, want string }{
		"out by ../":                  {"../../secret.yaml", `"../../secret.yaml" leads outside the repository`},
		"out by ../ in the middle":    {"chart/../../../secret.yaml", `leads outside the repository`},
		"an absolute path":            {filepath.Join(base, "secret.yaml"), `is absolute: write it relative to the folder of ladder.yaml`},
		"a link that leads out":       {"out.yaml", `spec.layers[0]: "out.yaml" can't be read inside the repository`},
		"an absolute link":            {"absolute.yaml", `spec.layers[0]: "absolute.yaml" can't be read inside the repository`},
		"a folder's link out":         {"up/secret.yaml", `spec.layers[0]: "up/secret.yaml" can't be read inside the repository`},
		"a link to itself":            {"loop.yaml", `spec.layers[0]: "loop.yaml" can't be read inside the repository`},
		"links in a circle":           {"a/x.yaml", `spec.layers[0]: "a/x.yaml" can't be read inside the repository`},
		"a link to nothing":           {"dangling.yaml", `spec.layers[0]: "dangling.yaml" doesn't exist`},
		"a folder":                    {"folder.yaml", `spec.layers[0]: "folder.yaml" isn't a file`},
		"a glob over links out":       {"ou*.yaml", `spec.layers[0]: "out.yaml" can't be read inside the repository`},
		"a glob in a folder's link":   {"up/*.yaml", `spec.layers[0]: the folder of "up/*.yaml" can't be read inside the repository`},
		"optional, and it leads out":  {"{path: out.yaml, optional: true}", `spec.layers[0]: "out.yaml" can't be read inside the repository`},
		"a file system's own":         {"/proc/self/environ", `is absolute`},
		"a link inside":               {"inside.yaml", ""},
		"the organisation's, by ../":  {"../org/values.yaml", ""},
		"a glob of what is inside":    {"../org/*.yaml", ""},
		"a missing one that may be":   {"{path: none.yaml, optional: true}", ""},
		"a folder's link that may be": {"{path: dangling.yaml, optional: true}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			layer := test.layer
			if !strings.HasPrefix(layer, "{") {
				layer = fmt.Sprintf("%q", layer)
			}
			put("repo/shop/ladder.yaml", "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec:\n  chart: chart\n  layers: ["+layer+"]\n  environments: [{name: dev}]\n")
			repository, err := ladder.FindRepository(filepath.Join(root, "shop"))
			if err != nil {
				t.Fatal(err)
			}
			defer repository.Close()
			err = func() error {
				document, err := ladder.Open(repository.FS(), repository.Dir)
				if err != nil {
					return err
				}
				resolved, err := document.Resolve("dev", "")
				if err != nil {
					return err
				}
				_, err = layers.Merge(t.Context(), repository.FS(), resolved)
				return err
			}()
			if test.want == "" {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "shop/ladder.yaml:6:12: ") {
				t.Errorf("error %v\nwant one of shop/ladder.yaml:6:12 with %s", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), root)) {
				t.Errorf("the error shows too much: %v", err)
			}
		})
	}
}

// FuzzLayers checks that two layers of any bytes result in either problems, each a line that begins with its
// layer, or values that are explained: what a leaf's setting says is what is merged.
func FuzzLayers(f *testing.F) {
	for _, seed := range [][2]string{
		{"a: {b: 1}\n", "a:\n  b: null\n  c: [1, {d: 2}]\n"},
		{"x: &x {a: 1}\ny: *x\n", "y: {<<: {b: 2}}\n"},
		{"a: 1\n", "a: {b: 1}\n"},
		{"on: 1\n", "image: {tag: v1}\n"},
		{"a: 9007199254740993\n", "a: .nan\n"},
		{bomb(), "- a\n"},
		{"\ufeffa: !!str 1\n", "a: 0755\n---\n"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, low, high []byte) {
		resolved := ladder.Resolved{
			Layers: []ladder.Layer{{Path: "low.yaml", Origin: "layers"}, {Path: "high.yaml", Origin: "environment dev"}},
			Pins:   []ladder.Pin{{Image: ladder.Image{Name: "web", Repository: "registry.example.com/web", ValuesPath: "image"}, Digest: digest, Source: "pins.yaml"}},
		}
		m, err := layers.Merge(t.Context(), fstest.MapFS{"low.yaml": {Data: low}, "high.yaml": {Data: high}}, resolved)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "low.yaml") && !strings.HasPrefix(line, "high.yaml") && !strings.HasPrefix(line, `parsing layer "`) {
					t.Fatalf("a line without its layer: %q", line)
				}
			}
			return
		}
		if image, _ := m.Values["image"].(map[string]any); image["digest"] != digest {
			t.Fatalf("the digest isn't the pins': %v", m.Values["image"])
		}
		leaves := 0
		layers.Leaves(m.Values, func(path []string, value any) {
			if leaves++; leaves > 100 {
				return // explaining costs as much as the path is long
			}
			s, ok := m.Setting(path)
			if _, isMap := value.(map[string]any); !ok || s.Path != valuepath.Format(path) || !isMap && !cmp.Equal(s.Value, value) {
				t.Fatalf("%q is %v, and explained by %+v", path, value, s)
			}
			if s.Kind == layers.KindLayer && s.Line == 0 {
				t.Fatalf("%q of %s has no line", path, s.File)
			}
		})
	})
}
