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

// upCommand takes the func that gives signals their usual meaning back.
func upCommand(restoreSignals func()) *cobra.Command {
	var (
		only   []string
		argocd string
		state  string
		keep   bool
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a bed, print JSON about it, and keep it running",
		Long: `Up builds what is missing, starts the bed, prints one JSON document on standard
output when everything is ready, and stays until it is interrupted or taken
down by 'bed down'. The same document is kept in the state file meanwhile; it
has kubeconfigs, addresses and passwords.

The parts for --only (default: everything):
  apiserver   one cluster's API server with its etcd, nothing else ("etcd" is the same)
  cluster     one cluster with controllers, scheduler and KWOK
  clusters    two: "staging" and "prod"
  argocd      Argo CD in the first cluster, any other one registered in it
  gitea       a forge
  registry    a registry with the referrers API, "main"
  registries  it, and one without the referrers API, "plain"`,
		Example: `  bed up
  bed up --only clusters,argocd --argocd v2
  bed up --only registry > bed.json &`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := optionsFor(only, argocd)
			if err != nil {
				return usageError{err}
			}
			options.Keep = keep
			options.Log = cmd.ErrOrStderr()
			return up(cmd, options, state, restoreSignals)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&only, "only", nil, "start only these parts")
	flags.StringVar(&argocd, "argocd", "v3", "Argo CD's version: v3 or v2")
	flags.StringVar(&state, "state", defaultStateFile(), "state file")
	flags.BoolVar(&keep, "keep", false, "keep the folder with logs and data afterwards")
	return cmd
}

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
	state := describe(b, options)
	if err := claim.write(state); err != nil {
		return err
	}
	if err := printJSON(cmd.OutOrStdout(), state); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "the bed is up, interrupt to take it down")
	<-ctx.Done()
	// A second interrupt ends at once; the children die with this process.
	restoreSignals()
	fmt.Fprintln(cmd.ErrOrStderr(), "taking the bed down")
	return b.Down()
}

// optionsFor turns --only into options.
func optionsFor(only []string, argocd string) (bed.Options, error) {
	for _, part := range only {
		if !slices.Contains(parts, part) {
			return bed.Options{}, fmt.Errorf("starting part %q: unknown, want some of %s", part, strings.Join(parts, ", "))
		}
	}
	if argocd != "v2" && argocd != "v3" {
		return bed.Options{}, fmt.Errorf("starting Argo CD %q: unknown, want v3 or v2", argocd)
	}
	if len(only) == 0 {
		only = []string{"clusters", "argocd", "gitea", "registries"}
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(only, name) })
	}
	options := bed.Options{Gitea: has("gitea")}
	switch {
	case has("clusters"):
		options.Clusters = []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}}
	case has("cluster", "argocd"):
		options.Clusters = []bed.ClusterOptions{{Name: bed.Staging}}
	case has("apiserver", "etcd"):
		options.Clusters = []bed.ClusterOptions{{Name: bed.Staging, APIServerOnly: true}}
	}
	if has("argocd") {
		options.ArgoCD = argocd
	}
	if has("registry", "registries") {
		options.Registries = append(options.Registries, bed.RegistryOptions{Name: "main", Referrers: true})
	}
	if has("registries") {
		options.Registries = append(options.Registries, bed.RegistryOptions{Name: "plain"})
	}
	return options, nil
}
