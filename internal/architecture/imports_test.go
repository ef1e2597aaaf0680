// Package architecture holds no code: its test holds the direction of imports that
// docs/design/layout.md describes.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/envladder/envladder"

// onlyImporters says which packages of ours may import a dependency themselves.
var onlyImporters = []struct {
	dependency string
	importers  []string
	reason     string
}{
	{
		"helm.sh/helm",
		[]string{"internal/chart"},
		"one place decides what equals `helm template`, and one place follows Helm's releases",
	},
	{
		"github.com/google/go-containerregistry",
		[]string{"internal/registry", "internal/evidence/legacy"},
		"every byte from a registry is bounded in one place; policy-controller's functions take its references",
	},
	{
		"github.com/sigstore/sigstore-go",
		[]string{"internal/evidence"},
		"one place decides what counts as a valid signature",
	},
	{
		"github.com/sigstore/policy-controller",
		[]string{"internal/evidence/legacy"},
		"it pulls in over 600 packages, needed for cosign v2 signatures alone",
	},
	{
		"github.com/argoproj",
		[]string{"plugin", "appset-generator"},
		"it pulls in over 1,000 packages; the tests of what speaks its protocols are driven by its own clients",
	},
	{
		"code.gitea.io/sdk",
		[]string{"internal/scm"},
		"what a forge answers is bounded, and the token hidden, in one place",
	},
	{
		"github.com/google/go-github",
		[]string{"internal/scm"},
		"what a forge answers is bounded, and the token hidden, in one place",
	},
	{
		"sigs.k8s.io/controller-runtime",
		[]string{"webhook", "observer"},
		"only what watches a cluster needs a manager and a cache",
	},
}

// leaves are packages that any other may import, even the API and the gate: they import
// the standard library and each other, and do no I/O.
var leaves = []string{"internal/digests", "internal/printable"}

// parts are the five programs' packages: they meet in cmd and in documents, never in
// each other's code, so that a fix in one doesn't roll another.
var parts = []string{"plugin", "webhook", "appset-generator", "observer", "promote"}

// siblings holds the direction within a part: which packages of its part each package may
// import.
var siblings = map[string][]string{
	"observer/window":    {},
	"observer/watch":     {},
	"observer/soakstore": {"observer/window"},
	"observer/engine":    {"observer/window", "observer/watch", "observer/soakstore"},

	"promote/forge":     {},
	"promote/summary":   {},
	"promote/workloads": {},

	"webhook/certs":         {},
	"webhook/rollout":       {},
	"webhook/policycache":   {},
	"webhook/evidencecache": {},
	"webhook/gatestatus":    {"webhook/policycache"},
	"webhook/admission":     {"webhook/rollout", "webhook/policycache", "webhook/evidencecache"},
	"webhook/webhooktest":   {},
}

// importOrders are inner packages of one subject, each of which may import only those
// after it.
var importOrders = [][]string{
	{
		"internal/lint", "internal/chart/chartlint", "internal/chart", "internal/chart/postrender", "internal/chart/manifest",
		"internal/layers", "internal/ladder/infer", "internal/ladder", "internal/valuepath", "internal/strictyaml", "internal/secrets",
	},
}

// bans name what a package must not have among its dependencies, direct or not.
var bans = []struct {
	importer   string
	dependency string
	reason     string
}{
	{"cmd/envladder-plugin", "github.com/sigstore", "a fix in sigstore must not force a roll of the repo-server"},
	{"cmd/envladder-plugin", "github.com/argoproj", "types of our own are a third of its size: docs/design/plugin-types.md"},
	{"cmd/envladder-plugin", "sigs.k8s.io/controller-runtime", "the plugin talks to no cluster"},
	{"cmd/envladder-webhook", "helm.sh/helm", "admission renders no charts"},
	{"cmd/envladder-observer", "helm.sh/helm", "who observes renders no charts"},
	{"cmd/envladder-observer", "github.com/argoproj", "a soak doesn't depend on who deploys"},
	{"cmd/envladder-appset", "github.com/argoproj", "types of our own: the contract is two small JSON documents"},
	{"cmd/envladder-appset", "github.com/sigstore", "a fix in sigstore must not force a roll of the previews"},
	{"cmd/envladder-appset", "helm.sh/helm", "who lists pull requests renders no charts"},
	{"cmd/envladder-webhook", "github.com/argoproj", "admission doesn't depend on who deploys"},
	{"cmd/envladder", "github.com/argoproj", "the command line works without Argo CD"},
	{"cmd/envladder", "sigs.k8s.io/controller-runtime", "it asks a cluster once: client-go's typed clients are enough"},
}

type pkg struct {
	ImportPath string   `json:"ImportPath"`
	Standard   bool     `json:"Standard"`
	Imports    []string `json:"Imports"`
}

func TestImportDirection(t *testing.T) {
	all := listPackages(t)
	ours := slices.Sorted(func(yield func(string) bool) {
		for path := range maps.Keys(all) {
			if within(path, module) && !yield(path) {
				return
			}
		}
	})

	t.Run("a dependency has the importers that it is meant to have", func(t *testing.T) {
		for _, rule := range onlyImporters {
			for _, path := range ours {
				// A benchmark runs what it compares with, and no program imports it.
				if within(path, module+"/bench") || slices.ContainsFunc(rule.importers, func(i string) bool { return within(path, module+"/"+i) }) {
					continue
				}
				for _, imported := range all[path].Imports {
					if within(imported, rule.dependency) {
						t.Errorf("%s imports %s: %s may, because %s", path, imported, strings.Join(rule.importers, " and "), rule.reason)
					}
				}
			}
		}
	})

	t.Run("the parts don't import each other, and nothing inner imports them", func(t *testing.T) {
		for _, path := range ours {
			for _, imported := range all[path].Imports {
				part := partOf(imported)
				if part == "" || partOf(path) == part || within(path, module+"/cmd") || within(path, module+"/bench") {
					continue
				}
				t.Errorf("%s imports %s: only cmd and bench import a part", path, imported)
			}
			for _, imported := range all[path].Imports {
				if within(imported, module+"/cmd") {
					t.Errorf("%s imports the program %s", path, imported)
				}
			}
		}
	})

	t.Run("imports within a part run one way", func(t *testing.T) {
		for path, allowed := range siblings {
			p, found := all[module+"/"+path]
			if !found {
				t.Errorf("%s has a rule and doesn't exist", path)
			}
			for _, imported := range p.Imports {
				sibling := strings.TrimPrefix(imported, module+"/")
				if partOf(imported) == partOf(module+"/"+path) && partOf(imported) != "" && !slices.Contains(allowed, sibling) {
					t.Errorf("%s imports %s", path, sibling)
				}
			}
		}
	})

	t.Run("leaves import the standard library and each other", func(t *testing.T) {
		for _, leaf := range leaves {
			for _, imported := range all[module+"/"+leaf].Imports {
				if !all[imported].Standard && !isLeaf(imported) {
					t.Errorf("%s imports %s", leaf, imported)
				}
			}
		}
	})

	t.Run("packages of one subject import in one direction", func(t *testing.T) {
		for _, order := range importOrders {
			for i, importer := range order {
				if _, ok := all[module+"/"+importer]; !ok {
					t.Errorf("the order names %s, which doesn't exist", importer)
				}
				for _, higher := range order[:i] {
					if slices.Contains(all[module+"/"+importer].Imports, module+"/"+higher) {
						t.Errorf("%s imports %s: the direction is %s", importer, higher, strings.Join(order, " -> "))
					}
				}
			}
		}
	})

	t.Run("the gate is pure: it imports the API, leaves and the standard library", func(t *testing.T) {
		for _, imported := range all[module+"/internal/gate"].Imports {
			if imported != module+"/api/v1alpha1" && !all[imported].Standard && !isLeaf(imported) {
				t.Errorf("internal/gate imports %s", imported)
			}
		}
		for _, pure := range append([]string{"internal/gate"}, leaves...) {
			for _, impure := range []string{"net", "net/http", "os", "os/exec", "io/fs", "math/rand", "math/rand/v2"} {
				if slices.Contains(all[module+"/"+pure].Imports, impure) {
					t.Errorf("%s imports %s: it does no I/O and rolls no dice", pure, impure)
				}
			}
		}
	})

	t.Run("the API imports apimachinery and leaves", func(t *testing.T) {
		for _, imported := range all[module+"/api/v1alpha1"].Imports {
			if !all[imported].Standard && !isLeaf(imported) && !within(imported, "k8s.io/apimachinery") && !within(imported, "sigs.k8s.io/yaml") && !within(imported, "sigs.k8s.io/json") {
				t.Errorf("api/v1alpha1 imports %s: anyone who uses the types would get it too", imported)
			}
		}
	})

	t.Run("a program is free of what its neighbours need", func(t *testing.T) {
		for _, ban := range bans {
			if chain := chainTo(all, module+"/"+ban.importer, ban.dependency); chain != nil {
				t.Errorf("%s depends on %s, which it must not: %s\n\t%s", ban.importer, ban.dependency, ban.reason, strings.Join(chain, "\n\t-> "))
			}
		}
	})
}

// listPackages asks the go command for all packages of the module and what they
// depend on.
func listPackages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, stderr.String())
	}
	all := map[string]pkg{}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading the go command's list: %v", err)
		}
		all[p.ImportPath] = p
	}
	if _, ok := all[module+"/internal/gate"]; !ok {
		t.Fatalf("the list of %d packages lacks internal/gate: the test would see nothing", len(all))
	}
	return all
}

// within reports whether path is dependency or below it.
func within(path, dependency string) bool {
	return path == dependency || strings.HasPrefix(path, dependency+"/")
}

// isLeaf reports whether a package is one of the leaves.
func isLeaf(path string) bool {
	return slices.Contains(leaves, strings.TrimPrefix(path, module+"/"))
}

// partOf is the part that a package belongs to, or empty.
func partOf(path string) string {
	for _, part := range parts {
		if within(path, module+"/"+part) {
			return part
		}
	}
	return ""
}

// chainTo is a shortest chain of imports from a package to a dependency, or nil.
func chainTo(all map[string]pkg, from, dependency string) []string {
	cameFrom := map[string]string{from: ""}
	queue := []string{from}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if within(path, dependency) {
			var chain []string
			for p := path; p != ""; p = cameFrom[p] {
				chain = append(chain, p)
			}
			slices.Reverse(chain)
			return chain
		}
		for _, imported := range all[path].Imports {
			if _, seen := cameFrom[imported]; !seen {
				cameFrom[imported] = path
				queue = append(queue, imported)
			}
		}
	}
	return nil
}
