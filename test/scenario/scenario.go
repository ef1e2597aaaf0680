// Package scenario is the main job, step by step, on real parts: `make demo` shows it
// and `make e2e` asserts it. A step that doesn't come out as told is an error, in the
// demo as in the test.
//
// It uses envladder as a user does: the built programs, the documents of
// examples/shop, kubectl, git, cosign and Argo CD's own command line.
package scenario

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/envladder/envladder/test/bed"
)

// Options of a scenario.
type Options struct {
	// Root is the folder of the repository: bin/ has the programs, examples/shop
	// the documents.
	Root string
	// ArgoCD is "v3" or "v2".
	ArgoCD string
	// Story is what is told, FirstDeploy where it isn't set.
	Story Story
	// Restarts has envladder's own programs killed and started again before each step.
	Restarts bool
	// Exec has argocd-cmp-server run the plugin once for each render, in place of the
	// plugin that serves.
	Exec bool
	// Say is told what happens.
	Say Narrator
	// Log gets the bed's progress.
	Log io.Writer
	// Keep leaves the bed's folder in place after Close.
	Keep bool
}

// Scenario is a running bed and where the story stands.
type Scenario struct {
	*shell
	options Options
	bed     *bed.Bed

	// own are envladder's programs that run, by their names.
	own map[string]*bed.Running

	gitops, platform *checkout

	// The images of the story, each pushed once.
	release image // built and signed by CI
	laptop  image // pushed by hand, unsigned
	rebuilt image // pushed over the release's tag

	climb climb
}

// image is repository and digest.
type image struct {
	bed.Pushed
	tag string
}

// Step is one scene.
type Step struct {
	Title string
	run   func(context.Context) error
}

// A Story is a sequence of steps; each builds on those before.
type Story string

// The stories.
const (
	// FirstDeploy: Argo CD renders through the plugin, the cluster refuses what isn't
	// proven.
	FirstDeploy Story = "first-deploy"
	// Climb: one change goes from a pull request to production.
	Climb Story = "climb"
	// Adopt: a service that Argo CD deploys by its Helm source comes to envladder.
	Adopt Story = "adopt"
)

// Stories are all of them.
var Stories = []Story{FirstDeploy, Climb, Adopt}

// Steps of the story, in order.
func (s *Scenario) Steps() []Step {
	switch s.options.Story {
	case Climb:
		return s.climbSteps()
	case Adopt:
		return s.adoptSteps()
	}
	return []Step{
		{"CI builds the image once, signs it and attaches its SBOM", s.build},
		{"dev, staging and prod render one chart through the plugin", s.render},
		{"dev and staging run the digest", s.lowerEnvironments},
		{"prod refuses a digest that nobody signed", s.unsigned},
		{"prod refuses a signed digest that hasn't soaked", s.unsoaked},
		{"the proof is complete: the same sync succeeds", s.proven},
		{"a recalled digest doesn't start again", s.recalled},
		{"a rebuilt image under the same tag is refused", s.rebuild},
	}
}

// Run runs step n, counted from 0.
func (s *Scenario) Run(ctx context.Context, n int) error {
	step := s.Steps()[n]
	if s.options.Restarts && n > 0 {
		if err := s.killAndStart(ctx); err != nil {
			return fmt.Errorf("restarting before step %d: %w", n+1, err)
		}
	}
	s.say.Step(n+1, step.Title)
	if err := step.run(ctx); err != nil {
		return fmt.Errorf("step %d, %q: %w", n+1, step.Title, err)
	}
	return nil
}

// Bed is what the scenario runs on.
func (s *Scenario) Bed() *bed.Bed { return s.bed }

// Start brings up two clusters, Argo CD, Gitea, a registry, the plugin and the
// webhook, and fills the repositories from examples/shop.
func Start(ctx context.Context, o Options) (*Scenario, error) {
	b, err := bed.Up(ctx, bed.Options{
		Keep:       o.Keep,
		Log:        o.Log,
		Clusters:   clusters(o.Story),
		ArgoCD:     o.ArgoCD,
		Gitea:      true,
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
		Programs:   []string{"cosign"},
	})
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

// clusters of a story: Argo CD is in the first.
func clusters(story Story) []bed.ClusterOptions {
	if story == Adopt {
		return []bed.ClusterOptions{{Name: bed.Staging}}
	}
	return []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}}
}

// Close takes everything down.
func (s *Scenario) Close() error { return s.bed.Down() }

func (s *Scenario) prepare(ctx context.Context) error {
	dir := filepath.Join(s.bed.Dir, "demo")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	if s.shell, err = newShell(dir, s.options.Say); err != nil {
		return err
	}
	steps := []func(context.Context) error{s.installPrograms, s.writeKubeconfig}
	if s.options.Story == Adopt {
		steps = append(steps, s.fillAdopted, s.installPlugin)
	} else {
		steps = append(steps, s.makeKeys, s.fillRepositories, s.installPlugin, s.installWebhook, s.applyPlatform)
	}
	if s.options.Story == Climb {
		steps = append(steps, s.installObserver, s.fillSource, s.installGenerator)
	}
	for _, prepare := range steps {
		if err := prepare(ctx); err != nil {
			return err
		}
	}
	return nil
}

// HowToLook says how to reach a scenario that is kept running.
func (s *Scenario) HowToLook() string {
	return fmt.Sprintf(`Everything is running. To look around, in another terminal:

  cd %[1]s
  source ./env

  kubectl --context staging -n argocd get applications
  kubectl --context prod get gates,recalls
  kubectl --context prod -n shop get pods,events
  argocd app get %[2]s
  curl -s %[3]s/api/v1/applications/%[2]s

The folder has both Git checkouts (gitops, platform), the signers' keys, and the Gate.
Git repositories: %[4]s, user %[5]s, password %[6]s
Registry:         %[7]s
Logs:             %[8]s

Ctrl-C takes it all down.
`, s.dir, appProd, s.bed.ArgoCD.URL, s.bed.Gitea.URL, s.bed.Gitea.User, s.bed.Gitea.Password,
		s.bed.Registry("main").Host, filepath.Join(s.bed.Dir, "logs"))
}
