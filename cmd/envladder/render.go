package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/plugin"
)

func newRenderCommand() *cobra.Command {
	var (
		dir     string
		images  []string
		set     valueFlags
		release releaseFlags
		request plugin.Request
	)
	cmd := &cobra.Command{
		Use:   "render ENVIRONMENT",
		Short: "Print an environment's manifests, as Argo CD gets them",
		Long: `render prints the manifests of an environment: the ladder's chart with the
environment's layers and pins, as the plugin gives them to Argo CD. It reads
files of the repository only, and a chart in a registry where the ladder names one.`,
		Example: `  envladder render dev
  envladder render prod --target eu -C shop | kubectl diff -f -

  # The preview of a pull request
  envladder render preview --pull-request 7 --image web@sha256:… -C shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repository, err := ladder.FindSources(dir)
			if err != nil {
				return err
			}
			defer repository.Close()
			request.Repository, request.Dir = repository.FS(), repository.Dir
			request.Charts = chart.NewPuller(registry.NewClient(), "", 0)
			request.Environment = args[0]
			request.ReleaseName, request.Namespace = release.release.Name, release.release.Namespace
			request.KubeVersion, request.APIVersions = release.release.KubeVersion, release.release.APIVersions
			request.AllowEmpty = release.allowEmpty
			if request.Images, err = parseImages(images); err != nil {
				return err
			}
			if request.Values, request.Strings, err = set.parse(); err != nil {
				return err
			}
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
	flags.StringVar(&request.PullRequest, "pull-request", "", "`number` of the pull request, for environment preview")
	flags.StringArrayVar(&images, "image", nil, "`NAME@DIGEST` of an image of the pull request, for environment preview (repeat it for each)")
	set.add(flags)
	release.addTo(flags)
	return cmd
}

// parseImages parses NAME@DIGEST pairs. It rejects a name that occurs twice.
func parseImages(texts []string) (map[string]string, error) {
	images := map[string]string{}
	for _, text := range texts {
		name, digest, ok := strings.Cut(text, "@")
		if !ok {
			return nil, fmt.Errorf("--image %q: want NAME@DIGEST, such as web@sha256:…", text)
		}
		if _, twice := images[name]; twice {
			return nil, fmt.Errorf("--image %q: image %q has a digest already", text, name)
		}
		images[name] = digest
	}
	return images, nil
}
