// Package e2e contains the end-to-end tests: they assert each step of the demo with every
// supported version of Argo CD.
package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/envladder/envladder/test/scenario"
)

func TestFirstDeploy(t *testing.T) {
	for name, options := range map[string]scenario.Options{
		"Argo CD v3":                         {ArgoCD: "v3"},
		"Argo CD v2":                         {ArgoCD: "v2"},
		"Argo CD v3, with argocd-cmp-server": {ArgoCD: "v3", Exec: true},
	} {
		t.Run(name, func(t *testing.T) {
			options.Story = scenario.FirstDeploy
			runStory(t, options)
		})
	}
}

// TestClimb takes one change from a pull request to production. One case kills and restarts
// envladder's own programs before each step.
func TestClimb(t *testing.T) {
	for name, options := range map[string]scenario.Options{
		"Argo CD v3":                {ArgoCD: "v3"},
		"Argo CD v2":                {ArgoCD: "v2"},
		"Argo CD v3, with restarts": {ArgoCD: "v3", Restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			options.Story = scenario.Climb
			runStory(t, options)
		})
	}
}

// TestAdopt moves a service from Argo CD's own Helm source to envladder and checks that no live
// object changes.
func TestAdopt(t *testing.T) {
	for name, options := range map[string]scenario.Options{
		"Argo CD v3": {ArgoCD: "v3"},
		"Argo CD v2": {ArgoCD: "v2"},
	} {
		t.Run(name, func(t *testing.T) {
			options.Story = scenario.Adopt
			runStory(t, options)
		})
	}
}

// runStory asserts each step of a story.
func runStory(t *testing.T, options scenario.Options) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	options.Root, options.Say, options.Log = root, narrator{t}, os.Stderr
	s, err := scenario.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("stopping the bed: %v", err)
		}
	}()
	for n, step := range s.Steps() {
		// Each step builds on the previous ones.
		if !t.Run(step.Title, func(t *testing.T) {
			if err := s.Run(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}) {
			t.Fatalf("ends of the logs:\n%s", s.Bed().LogTails())
		}
	}
}

// narrator logs the demo's output.
type narrator struct{ t *testing.T }

func (n narrator) Step(number int, title string) { n.t.Logf("%d. %s", number, title) }
func (n narrator) Explain(text string)           { n.t.Logf("# %s", text) }
func (n narrator) Command(line string)           { n.t.Logf("$ %s", line) }
func (n narrator) Output(text string)            { n.t.Logf("%s", text) }
