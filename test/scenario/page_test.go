package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecorderUpdatePage(t *testing.T) {
	r := NewRecorder()
	n := Narrators{r}
	n.Step(1, "build once")
	n.Explain("Why.")
	n.Command("make")
	n.Step(2, "deploy")
	n.Output("done\n")
	const page = "# Demo\n\n## 7. Build once\n\nText.\n\n```\nold\n```\n\nMore.\n\n## 8. Deploy\n```\nold\n```\n\n## Next\n"
	const want = "# Demo\n\n## 1. Build once\n\nText.\n\n```\n# Why.\n$ make\n```\n\nMore.\n\n## 2. Deploy\n```\ndone\n```\n\n## Next\n"
	got, err := r.UpdatePage(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unexpected page (-want +got):\n%s", diff)
	}
	t.Run("rejects a page with other sections", func(t *testing.T) {
		for _, other := range []string{strings.Replace(page, "## 8. Deploy", "## 8. Destroy", 1), "# Demo\n"} {
			if _, err := r.UpdatePage(other); err == nil {
				t.Errorf("no error for %q", other)
			}
		}
	})
}

// TestPagesHaveSections checks that each page of the documentation with a story's output has the
// story's sections.
func TestPagesHaveSections(t *testing.T) {
	for story, name := range Pages {
		data, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecorder()
		s := &Scenario{options: Options{Story: story}}
		for n, step := range s.Steps() {
			r.Step(n+1, step.Title)
		}
		if _, err := r.UpdatePage(string(data)); err != nil {
			t.Errorf("docs/%s: %v", name, err)
		}
	}
}
