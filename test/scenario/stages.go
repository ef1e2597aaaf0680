package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/programs"
)

// registryParts returns the parts that building and signing an image needs.
func registryParts() bed.Parts {
	return bed.Parts{
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
		Programs:   []string{"cosign"},
	}
}

// clusterParts returns the parts that deploying needs. Argo CD is in the first cluster.
func (o Options) clusterParts() bed.Parts {
	parts := bed.Parts{ArgoCD: o.ArgoCD, Gitea: true, Clusters: []bed.ClusterOptions{{Name: bed.Staging}}}
	if o.Story != Adopt {
		parts.Clusters = append(parts.Clusters, bed.ClusterOptions{Name: bed.Prod})
	}
	return parts
}

// Programs returns the programs that the story needs, in the order in which it needs them.
func (o Options) Programs() ([]string, error) {
	var names []string
	for _, parts := range []bed.Parts{registryParts(), o.clusterParts()} {
		needed, err := parts.Needed()
		if err != nil {
			return nil, err
		}
		names = append(names, needed...)
	}
	return names, nil
}

// startRegistry starts the registry, and generates the signers' keys.
func (s *Scenario) startRegistry(ctx context.Context) error {
	if err := s.bed.Add(ctx, registryParts()); err != nil {
		return err
	}
	if err := s.installPrograms(ctx, map[string]string{"cosign": "cosign"}); err != nil {
		return err
	}
	return s.makeKeys(ctx)
}

// startClusters starts the clusters with Argo CD and Gitea, installs envladder in them, and fills
// the repositories from examples/shop.
func (s *Scenario) startClusters(ctx context.Context) error {
	steps := []func(context.Context) error{
		s.addClusters, s.fillRepositories, s.installPlugin, s.installWebhook, s.applyPlatform,
	}
	if s.options.Story == Climb {
		steps = append(steps, s.installObserver, s.fillSource, s.installGenerator)
	}
	return inOrder(ctx, steps...)
}

// startAdopted starts what story Adopt needs.
func (s *Scenario) startAdopted(ctx context.Context) error {
	return inOrder(ctx, s.startRegistry, s.addClusters, s.fillAdopted, s.installPlugin)
}

// inOrder calls functions until one returns an error.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// addClusters starts the clusters, Argo CD and Gitea.
func (s *Scenario) addClusters(ctx context.Context) error {
	if err := s.bed.Add(ctx, s.options.clusterParts()); err != nil {
		return err
	}
	if err := s.installPrograms(ctx, map[string]string{"kubectl": "kubectl", "helm": "helm", "argocd": "argocd-" + s.options.ArgoCD}); err != nil {
		return err
	}
	return s.writeKubeconfig(ctx)
}

// installPrograms makes programs of the bed available under their usual names.
func (s *Scenario) installPrograms(ctx context.Context, names map[string]string) error {
	for name, program := range names {
		path, err := s.bed.Program(ctx, program)
		if err != nil {
			return err
		}
		if err := s.install(name, path); err != nil {
			return err
		}
	}
	return nil
}

// installOwnPrograms makes envladder's programs available, as soon as they are built.
func (s *Scenario) installOwnPrograms(ctx context.Context) error {
	if s.options.Queue != nil {
		if _, err := s.options.Queue.Wait(ctx, programs.OwnPrograms); err != nil {
			return err
		}
	}
	for _, name := range []string{"envladder", "envladder-plugin", "envladder-webhook", "envladder-observer", "envladder-appset"} {
		path := filepath.Join(s.options.Root, "bin", name)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("finding %s: %w (run `make build`)", name, err)
		}
		if err := s.install(name, path); err != nil {
			return err
		}
	}
	return nil
}
