// Package e2e has the end-to-end tests: the demo's steps, each asserted, against every
// Argo CD that is supported.
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
			tell(t, options)
		})
	}
}

// TestClimb: one change goes from a pull request to production; and again with envladder's
// own programs killed and started before each step.
func TestClimb(t *testing.T) {
	for name, options := range map[string]scenario.Options{
		"Argo CD v3":                {ArgoCD: "v3"},
		"Argo CD v2":                {ArgoCD: "v2"},
		"Argo CD v3, with restarts": {ArgoCD: "v3", Restarts: true},
	} {
		t.Run(name, func(t *testing.T) {
			options.Story = scenario.Climb
			tell(t, options)
		})
	}
}

// TestAdopt: whoever comes from Argo CD's own Helm source changes nothing that is live.
func TestAdopt(t *testing.T) {
	for name, options := range map[string]scenario.Options{
		"Argo CD v3": {ArgoCD: "v3"},
		"Argo CD v2": {ArgoCD: "v2"},
	} {
		t.Run(name, func(t *testing.T) {
			options.Story = scenario.Adopt
			tell(t, options)
		})
	}
}

// tell asserts each step of a story.
func tell(t *testing.T, options scenario.Options) {
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
			t.Errorf("taking the bed down: %v", err)
		}
	}()
	for n, step := range s.Steps() {
		// Each step builds on those before.
		if !t.Run(step.Title, func(t *testing.T) {
			if err := s.Run(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}) {
			t.Fatalf("the logs end:\n%s", s.Bed().LogTails())
		}
	}
}

// narrator logs what the demo prints.
type narrator struct{ t *testing.T }

func (n narrator) Step(number int, title string) { n.t.Logf("%d. %s", number, title) }
func (n narrator) Explain(text string)           { n.t.Logf("# %s", text) }
func (n narrator) Command(line string)           { n.t.Logf("$ %s", line) }
func (n narrator) Output(text string)            { n.t.Logf("%s", text) }
