package architecture

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestModulesShareVersions checks that the module test has the root module's versions of the
// modules that both require. With other versions, a cold `make demo` would compile most of its
// packages twice.
func TestModulesShareVersions(t *testing.T) {
	root, test := moduleVersions(t, "go.mod"), moduleVersions(t, filepath.Join("test", "go.mod"))
	shared := 0
	for path, version := range test {
		want, ok := root[path]
		if !ok {
			continue
		}
		shared++
		if version != want {
			t.Errorf("test/go.mod has %s %s, and go.mod has %s: run `go get %s@%s` in test", path, version, want, path, want)
		}
	}
	if shared < 20 {
		t.Errorf("the modules share %d modules, want more: are the files read correctly?", shared)
	}
}

// moduleVersions returns the version of each module that a go.mod file requires or replaces.
func moduleVersions(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, r := range file.Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range file.Replace {
		if _, ok := versions[r.Old.Path]; ok {
			versions[r.Old.Path] = r.New.Version
		}
	}
	return versions
}
