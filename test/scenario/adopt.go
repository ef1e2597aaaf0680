package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/envladder/envladder/test/bed"
)

// adoptSteps returns the steps that move a service from Argo CD's own Helm source to envladder
// without changing it in the cluster.
func (s *Scenario) adoptSteps() []Step {
	return []Step{
		{"Argo CD deploys a chart with its own Helm source", s.startAdopted, s.deployWithHelmSource},
		{"envladder init writes a ladder for the existing files", nil, s.initLadder},
		{"envladder renders the same output as helm", nil, s.compareRendering},
		{"the Application's source is switched without changing any object", nil, s.switchSource},
	}
}

// fillAdopted pushes the repository of a team that doesn't use envladder yet: a chart and a
// folder of values.
func (s *Scenario) fillAdopted(ctx context.Context) error {
	s.logInToGit()
	folder := filepath.Join(s.bed.Dir, "adopted")
	for to, from := range map[string]string{"": "examples/adopt/gitops", "shop/chart": "examples/shop/gitops/shop/chart"} {
		if err := os.CopyFS(filepath.Join(folder, to), os.DirFS(filepath.Join(s.options.Root, from))); err != nil {
			return fmt.Errorf("filling the repository: %w", err)
		}
	}
	pushed, err := s.bed.Registry("main").Push(ctx, "shop/web", "1.4.2", "built by CI")
	if err != nil {
		return err
	}
	remote, err := s.bed.Gitea.CreateRepository(ctx, "team/gitops")
	if err != nil {
		return err
	}
	s.gitops, err = newCheckout(ctx, s.shell, "gitops", folder, remote, func(text string) (string, error) {
		text = strings.ReplaceAll(text, "sha256:"+strings.Repeat("0", 64), pushed.Digest)
		return strings.ReplaceAll(text, exampleRegistry, s.bed.Registry("main").Host), nil
	})
	if err != nil {
		return err
	}
	application, err := os.ReadFile(filepath.Join(s.options.Root, "examples", "adopt", appDev+".yaml"))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(application), exampleGit, s.bed.Gitea.URL)
	return os.WriteFile(filepath.Join(s.dir, appDev+".yaml"), []byte(text), 0o644)
}

func (s *Scenario) deployWithHelmSource(ctx context.Context) error {
	s.say.Explain("The repository has a chart and a values file for each environment.")
	if _, err := s.show(ctx, "ls", "gitops/shop", "gitops/shop/values"); err != nil {
		return err
	}
	if _, err := s.show(ctx, "sed", "-n", "/^  source:/,/^  destination:/p", appDev+".yaml"); err != nil {
		return err
	}
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "apply", "-f", appDev+".yaml"); err != nil {
		return err
	}
	head, err := s.gitops.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, appDev, strings.TrimSpace(head)); err != nil {
		return err
	}
	_, err = s.showLiveObjects(ctx)
	return err
}

// showLiveObjects shows and returns the live objects with UID and generation, which change when
// an object is recreated or changed.
func (s *Scenario) showLiveObjects(ctx context.Context) (string, error) {
	return s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "shop-dev", "get", "deployments,services,ingresses,configmaps,pods",
		"-l", "app.kubernetes.io/name=shop", "-o", "custom-columns=KIND:.kind,NAME:.metadata.name,UID:.metadata.uid,GENERATION:.metadata.generation")
}

// initLadder writes a ladder with `envladder init`.
func (s *Scenario) initLadder(ctx context.Context) error {
	if _, err := s.show(ctx, "envladder", "init", "-C", "gitops/shop"); err != nil {
		return err
	}
	if _, err := s.show(ctx, "cat", "gitops/shop/ladder.yaml"); err != nil {
		return err
	}
	if _, err := s.show(ctx, "envladder", "lint", "-C", "gitops/shop"); err != nil {
		return err
	}
	if _, err := s.show(ctx, "git", "-C", "gitops", "add", "shop/ladder.yaml"); err != nil {
		return err
	}
	_, err := s.gitops.commit(ctx, "Add a ladder")
	return err
}

// compareRendering compares the output of envladder with that of helm.
func (s *Scenario) compareRendering(ctx context.Context) error {
	s.say.Explain("diff prints nothing: envladder and Helm render the same output.")
	for _, environment := range []string{"dev", "prod"} {
		release := "shop-" + environment
		out, err := s.showDiff(ctx, fmt.Sprintf("diff <(helm template %[2]s gitops/shop/chart --namespace %[2]s -f gitops/shop/values/common.yaml -f gitops/shop/values/%[1]s.yaml --kube-version 1.33.0) <(envladder render %[1]s -C gitops/shop --release-name %[2]s --namespace %[2]s --kube-version 1.33.0)", environment, release))
		if err != nil {
			return err
		}
		if out != "" {
			return errors.New("envladder and helm render different output")
		}
	}
	return nil
}

// switchSource switches the Application to the plugin and checks that nothing changes.
func (s *Scenario) switchSource(ctx context.Context) error {
	before, err := s.application(ctx, appDev)
	if err != nil {
		return err
	}
	objects, err := s.showLiveObjects(ctx)
	if err != nil {
		return err
	}
	s.say.Explain("The Application's source is switched to the plugin. Argo CD compares the rendered objects with the live ones.")
	patch := fmt.Sprintf(`{"spec":{"source":{"path":"shop","helm":null,"plugin":{"name":%q,"parameters":[{"name":"environment","string":"dev"}]}}}}`, s.pluginName())
	if _, err := s.show(ctx, "kubectl", "--context", bed.Staging, "-n", "argocd", "patch", "application", appDev, "--type=merge", "--patch="+patch); err != nil {
		return err
	}
	if err := s.refresh(ctx, appDev); err != nil {
		return err
	}
	if err := s.await(ctx, appDev, "rendered by the plugin, and Synced", func(a application) bool {
		return a.sourceType == "Plugin" && a.sync == "Synced" && a.health == "Healthy"
	}); err != nil {
		return err
	}
	if out, err := s.show(ctx, "argocd", "app", "diff", appDev, "--refresh"); err != nil || strings.TrimSpace(out) != "" {
		return fmt.Errorf("argocd app diff reports a difference: %w", errors.Join(err, errors.New(out)))
	}
	s.say.Explain("There is no difference, so Argo CD syncs nothing and writes nothing.")
	after, err := s.application(ctx, appDev)
	if err != nil {
		return err
	}
	if after.finished != before.finished {
		return fmt.Errorf("unexpected sync: %s", after)
	}
	now, err := s.showLiveObjects(ctx)
	if err != nil {
		return err
	}
	if now != objects {
		return errors.New("live objects have changed")
	}
	return nil
}
