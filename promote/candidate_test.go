package promote_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/promote"
)

// Two images may share a repository, which then doesn't identify either.
func TestParseImageSharedRepository(t *testing.T) {
	document, err := ladder.Open(fstest.MapFS{
		"ladder.yaml": {Data: []byte("apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec:\n  chart: chart\n  images:\n" +
			"  - {name: job, repository: registry.example.com/shop/job, valuesPath: job}\n" +
			"  - {name: stable, repository: registry.example.com/shop/web, valuesPath: image}\n" +
			"  - {name: canary, repository: registry.example.com/shop/web, valuesPath: canary}\n" +
			"  environments: [{name: dev, pins: dev.yaml}]\n")},
	}, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stable", "canary"} {
		if image, _, err := promote.ParseImage(document, name+"@"+digest("a")); err != nil || image.Name != name {
			t.Errorf("%s is image %q, error %v", name, image.Name, err)
		}
	}
	if image, _, err := promote.ParseImage(document, "registry.example.com/shop/job@"+digest("a")); err != nil || image.Name != "job" {
		t.Errorf("the job's repository is image %q, error %v", image.Name, err)
	}
	_, _, err = promote.ParseImage(document, "registry.example.com/shop/web@"+digest("a"))
	if err == nil || !strings.Contains(err.Error(), "several images of this repository, among them stable and canary: use the name, as in stable@"+digest("a")) {
		t.Errorf("error %v", err)
	}
}
