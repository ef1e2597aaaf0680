// Package scenario runs the main use cases step by step with real programs: `make demo` shows
// them and `make e2e` asserts them. A step with an unexpected result is an error, in the demo
// and in the test.
//
// The package uses envladder as a user does: with the built programs, the documents of
// examples/shop, kubectl, git, cosign and Argo CD's own command line.
package scenario

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/programs"
)

// Options configures a scenario.
type Options struct {
	// Root is the folder of the repository. bin/ has the programs, examples/shop the
	// documents.
	Root string
	// ArgoCD is "v3" or "v2".
	ArgoCD string
	// Story selects the steps; the default is FirstDeploy.
	Story Story
	// Restarts kills and restarts envladder's own programs before each step.
	Restarts bool
	// Exec runs the plugin once for each render, by argocd-cmp-server, instead of serving.
	Exec bool
	// Say receives the steps, commands and output.
	Say Narrator
	// Log receives the bed's progress.
	Log io.Writer
	// Queue builds the programs of the bed in the background. If it is set, it has the job
	// programs.Own, for which Start waits.
	Queue *programs.Queue
	// Keep keeps the bed's folder after Close.
	Keep bool
}

// Scenario is a running bed and the state of the story.
type Scenario struct {
	*shell
	options Options
	bed     *bed.Bed

	// own are the running programs of envladder, by name.
	own map[string]*bed.Running

	gitops, platform *checkout

	// Images of the story, each pushed once.
	release image // built and signed by CI
	laptop  image // pushed by hand, unsigned
	rebuilt image // pushed with the release's tag

	climb climb
}

// image is a pushed image and its tag.
type image struct {
	bed.Pushed
	tag string
}

// Step is one step of a story.
type Step struct {
	Title string
	// prepare starts the parts that the step and the following ones need. It may be nil.
	prepare func(context.Context) error
	run     func(context.Context) error
}

// A Story is a sequence of steps; each builds on the previous ones.
type Story string

// The stories.
const (
	// FirstDeploy renders through the plugin and deploys digests that the cluster denies until
	// they are proven.
	FirstDeploy Story = "first-deploy"
	// Climb takes one change from a pull request to production.
	Climb Story = "climb"
	// Adopt moves a service from Argo CD's Helm source to envladder.
	Adopt Story = "adopt"
)

// Stories lists all stories.
var Stories = []Story{FirstDeploy, Climb, Adopt}

// Steps returns the steps of the story, in order.
func (s *Scenario) Steps() []Step {
	switch s.options.Story {
	case Climb:
		return s.climbSteps()
	case Adopt:
		return s.adoptSteps()
	}
	return []Step{
		{"dev, staging and prod render one chart", nil, s.showRendering},
		{"CI builds the image once, signs it and attaches its SBOM", s.startRegistry, s.buildImage},
		{"dev and staging run the digest", s.startClusters, s.deployLower},
		{"prod denies an unsigned digest", nil, s.denyUnsigned},
		{"prod denies a signed digest that hasn't soaked", nil, s.denyUnsoaked},
		{"the proof is complete: the same sync succeeds", nil, s.syncProven},
		{"a recalled digest can't start again", nil, s.denyRecalled},
		{"a rebuilt image under the same tag is denied", nil, s.denyRebuilt},
	}
}

// Run runs step n, counted from 0.
func (s *Scenario) Run(ctx context.Context, n int) error {
	step := s.Steps()[n]
	if s.options.Restarts && len(s.own) > 0 {
		if err := s.killAndStart(ctx); err != nil {
			return fmt.Errorf("restarting before step %d: %w", n+1, err)
		}
	}
	s.say.Step(n+1, step.Title)
	if step.prepare != nil {
		if err := step.prepare(ctx); err != nil {
			return fmt.Errorf("preparing step %d, %q: %w", n+1, step.Title, err)
		}
	}
	if err := step.run(ctx); err != nil {
		return fmt.Errorf("step %d, %q: %w", n+1, step.Title, err)
	}
	return nil
}

// Bed returns the bed that the scenario runs on.
func (s *Scenario) Bed() *bed.Bed { return s.bed }

// Start starts an empty bed and installs envladder's programs. The steps start what they need.
func Start(ctx context.Context, o Options) (*Scenario, error) {
	b, err := bed.Up(ctx, bed.Options{Keep: o.Keep, Log: o.Log, Queue: o.Queue})
	if err != nil {
		return nil, err
	}
	s := &Scenario{options: o, bed: b, own: map[string]*bed.Running{}}
	if err := s.prepare(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("preparing the scenario: %w", err)
	}
	return s, nil
}

// Close stops everything.
func (s *Scenario) Close() error { return s.bed.Down() }

// prepare creates the folder of the story.
func (s *Scenario) prepare(ctx context.Context) error {
	dir := filepath.Join(s.bed.Dir, "demo")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	if s.shell, err = newShell(dir, s.options.Say); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(filepath.Join(s.options.Root, "examples"))); err != nil {
		return fmt.Errorf("copying the examples: %w", err)
	}
	// The folder with .git is the root of the ladder's repository.
	if _, err := s.run(ctx, "git", "init", "--quiet", "examples"); err != nil {
		return err
	}
	return s.installOwnPrograms(ctx)
}

// AccessInfo returns instructions for exploring a scenario that is left running.
func (s *Scenario) AccessInfo() string {
	if s.bed.ArgoCD == nil { // a step failed before the clusters were up
		return fmt.Sprintf("The story's folder is %s, and its logs are in %s.\n\nPress Ctrl-C to stop everything.\n", s.dir, filepath.Join(s.bed.Dir, "logs"))
	}
	return fmt.Sprintf(`Everything is running. To explore it, run in another terminal:

  cd %[1]s
  source ./env

  kubectl --context staging -n argocd get applications
  kubectl --context prod get gates,recalls
  kubectl --context prod -n shop get pods,events
  argocd app get %[2]s
  curl -s %[3]s/api/v1/applications/%[2]s

The folder contains both Git checkouts (gitops, platform), the signers' keys, and the Gate.
Git repositories: %[4]s, user %[5]s, password %[6]s
Registry:         %[7]s
Logs:             %[8]s

Press Ctrl-C to stop everything.
`, s.dir, appProd, s.bed.ArgoCD.URL, s.bed.Gitea.URL, s.bed.Gitea.User, s.bed.Gitea.Password,
		s.bed.Registry("main").Host, filepath.Join(s.bed.Dir, "logs"))
}
