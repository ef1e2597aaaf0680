package webhook

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModelNamesTests checks that each test that the threat model names exists.
func TestThreatModelNamesTests(t *testing.T) {
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
		t.Fatal("the threat model names no test")
	}
	for _, match := range named {
		if !strings.Contains(code[match[1]], "\nfunc "+match[2]+"(t *testing.T)") {
			t.Errorf("package %s has no %s", match[1], match[2])
		}
	}
}
