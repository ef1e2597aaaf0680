package main

import (
	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/plugin"
)

func newRenderCommand() *cobra.Command {
	var (
		dir     string
		request plugin.Request
	)
	cmd := &cobra.Command{
		Use:   "render ENVIRONMENT",
		Short: "Print an environment's manifests, as Argo CD gets them",
		Long: `render prints the manifests of an environment: the ladder's chart with the
environment's layers and pins, as the plugin gives them to Argo CD. It reads
files of the repository only.`,
		Example: `  envladder render dev
  envladder render prod --target eu -C shop | kubectl diff -f -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := ladder.FindRepository(dir)
			if err != nil {
				return err
			}
			defer repository.Close()
			request.Repository, request.Dir = repository.FS(), repository.Dir
			request.Environment = args[0]
			manifests, err := plugin.Generate(cmd.Context(), request)
			if err != nil {
				return err
			}
			return manifests.Print(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&dir, "dir", "C", ".", "`folder` of ladder.yaml")
	flags.StringVar(&request.Target, "target", "", "`target` of the environment")
	flags.StringVar(&request.ReleaseName, "release-name", "", "Helm's release `name`; Argo CD uses the Application's name (default: the ladder's)")
	flags.StringVar(&request.Namespace, "namespace", "default", "`namespace` of the release")
	flags.StringVar(&request.KubeVersion, "kube-version", "", "Kubernetes `version` that templates see (default: "+chart.DefaultKubeVersion+", as with helm template)")
	flags.StringSliceVar(&request.APIVersions, "api-versions", nil, "API `versions` that templates see, beside those that Helm knows")
	return cmd
}
