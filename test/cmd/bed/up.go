package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/test/bed"
)

// parts are the values of --only.
var parts = []string{"etcd", "apiserver", "cluster", "clusters", "argocd", "gitea", "registry", "registries"}

// upCommand returns the command up. restoreSignals restores the default behaviour of signals.
func upCommand(restoreSignals func()) *cobra.Command {
	var (
		only   []string
		argocd string
		state  string
		keep   bool
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a bed, print its state as JSON, and keep it running",
		Long: `Builds missing programs, starts the bed, prints one JSON document to standard output
when everything is ready, and runs until it is interrupted or stopped by 'bed down'.
The state file contains the same document while the bed runs: kubeconfigs, addresses
and passwords.

Parts for --only (default: all):
  apiserver   one cluster with only the API server and etcd ("etcd" is the same)
  cluster     one cluster with controllers, scheduler and KWOK
  clusters    two clusters, "staging" and "prod"
  argocd      Argo CD in the first cluster, with the other one registered
  gitea       Gitea
  registry    a registry with the referrers API, "main"
  registries  that registry, and one without the referrers API, "plain"`,
		Example: `  bed up
  bed up --only clusters,argocd --argocd v2
  bed up --only registry > bed.json &`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			parts, err := partsFor(only, argocd)
			if err != nil {
				return usageError{err}
			}
			return up(cmd, bed.Options{Keep: keep, Log: cmd.ErrOrStderr(), Parts: parts}, state, restoreSignals)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&only, "only", nil, "start only these parts")
	flags.StringVar(&argocd, "argocd", "v3", "Argo CD's version: v3 or v2")
	flags.StringVar(&state, "state", defaultStateFile(), "state file")
	flags.BoolVar(&keep, "keep", false, "keep the folder with logs and data after the end")
	return cmd
}

// up runs a bed until it is interrupted.
func up(cmd *cobra.Command, options bed.Options, file string, restoreSignals func()) error {
	claim, err := claimState(file)
	if err != nil {
		return err
	}
	defer claim.release()
	ctx := cmd.Context()
	b, err := bed.Up(ctx, options)
	if err != nil {
		return err
	}
	defer b.Down()
	state := describe(b, options.Parts)
	if err := claim.write(state); err != nil {
		return err
	}
	if err := printJSON(cmd.OutOrStdout(), state); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "the bed is running, press Ctrl-C to stop it")
	<-ctx.Done()
	// A second interrupt ends this process immediately, and its children with it.
	restoreSignals()
	fmt.Fprintln(cmd.ErrOrStderr(), "stopping the bed")
	return b.Down()
}

// partsFor returns the parts for the values of --only.
func partsFor(only []string, argocd string) (bed.Parts, error) {
	for _, part := range only {
		if !slices.Contains(parts, part) {
			return bed.Parts{}, fmt.Errorf("unknown part %q: use %s", part, strings.Join(parts, ", "))
		}
	}
	if argocd != "v2" && argocd != "v3" {
		return bed.Parts{}, fmt.Errorf("unknown version of Argo CD %q: use v3 or v2", argocd)
	}
	if len(only) == 0 {
		only = []string{"clusters", "argocd", "gitea", "registries"}
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(only, name) })
	}
	selected := bed.Parts{Gitea: has("gitea")}
	switch {
	case has("clusters"):
		selected.Clusters = []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}}
	case has("cluster", "argocd"):
		selected.Clusters = []bed.ClusterOptions{{Name: bed.Staging}}
	case has("apiserver", "etcd"):
		selected.Clusters = []bed.ClusterOptions{{Name: bed.Staging, APIServerOnly: true}}
	}
	if has("argocd") {
		selected.ArgoCD = argocd
	}
	if has("registry", "registries") {
		selected.Registries = append(selected.Registries, bed.RegistryOptions{Name: "main", Referrers: true})
	}
	if has("registries") {
		selected.Registries = append(selected.Registries, bed.RegistryOptions{Name: "plain"})
	}
	return selected, nil
}
