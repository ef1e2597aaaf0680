package webhook

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThePageNamesTests: each test that the threat model points to is there.
func TestThePageNamesTests(t *testing.T) {
	page, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{
		"webhook": ".", "admission": "admission", "plain": "../hack/plain", "gate": "../internal/gate", "observer": "../observer", "engine": "../observer/engine",
		"evidence": "../internal/evidence", "registry": "../internal/registry", "verdict": "../internal/verdict",
	}
	code := map[string]string{}
	for name, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code[name] += string(content)
		}
	}
	named := regexp.MustCompile("`([a-z]+)\\.(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) == 0 {
		t.Fatal("the page names no test")
	}
	for _, one := range named {
		if !strings.Contains(code[one[1]], "\nfunc "+one[2]+"(t *testing.T)") {
			t.Errorf("there is no %s in package %s", one[2], one[1])
		}
	}
}
