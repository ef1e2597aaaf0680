// Command envladder-plugin is Argo CD's config management plugin for ladders: a sidecar
// of the repo-server that renders one environment of a ladder.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/plugin"
	"github.com/envladder/envladder/plugin/worker"
)

func main() {
	cli.Main(newRootCommand)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "envladder-plugin",
		Short: "Render ladders for Argo CD",
		Long: `envladder-plugin is a config management plugin of Argo CD. An Application whose
path is the folder of a ladder.yaml names it and an environment:

  source:
    path: shop
    plugin:
      name: envladder
      parameters:
      - {name: environment, string: prod}
      - {name: target, string: eu}

As a sidecar of the repo-server it serves on the plugin's socket (serve). Alternatively,
argocd-cmp-server runs it as the plugin's program (generate).`,
	}
	root.AddCommand(newServeCommand(), newGenerateCommand(), newWorkerCommand())
	return root
}

func newServeCommand() *cobra.Command {
	var (
		logs   cli.LogFlags
		suffix string
		charts chartFlags

		registries []string
	)
	config := plugin.DefaultConfig()
	config.Folder = socketFolder()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer the repo-server on the plugin's socket",
		Long: `serve answers the repo-server on <folder>/<name>[-<suffix>].sock; Applications
name the plugin by <name>[-<suffix>].

Argo CD caches manifests by revision and source for 24 hours, whatever the
plugin's version. With a suffix that changes with the version, Applications
move from one version to the next when they change the plugin's name.`,
		Example: `  envladder-plugin serve
  envladder-plugin serve --version-suffix v1 --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			config.Log, err = logs.Logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if suffix != "" {
				config.Name += "-" + suffix
			}
			config.Charts = charts.puller()
			config.Charts.AllowHosts(registries)
			config.Log.Info("starting", "program", cmd.Root().Name(), "version", cli.Version())
			return plugin.Serve(cmd.Context(), config)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Name, "name", "envladder", "`name` of the plugin")
	flags.StringVar(&suffix, "version-suffix", "", "`suffix` of the name")
	flags.StringVar(&config.Folder, "folder", config.Folder, "`folder` of the plugins' sockets; $"+plugin.FolderVariable+" sets the default")
	flags.Int64Var(&config.Limits.Archive, "max-archive", config.Limits.Archive, "maximum `bytes` of a repository's archive, packed")
	flags.Int64Var(&config.Limits.Unpacked, "max-unpacked", config.Limits.Unpacked, "maximum `bytes` of a repository, unpacked")
	flags.Int64Var(&config.Limits.File, "max-file", config.Limits.File, "maximum `bytes` of a file of a repository; larger files are skipped")
	flags.IntVar(&config.Limits.Ratio, "max-ratio", config.Limits.Ratio, "maximum `ratio` of unpacked to packed size of a repository of more than 16 MiB")
	flags.IntVar(&config.Limits.PathLength, "max-path-length", config.Limits.PathLength, "maximum `bytes` of a path in a repository")
	flags.IntVar(&config.Limits.Entries, "max-entries", config.Limits.Entries, "maximum `number` of files and folders of a repository")
	flags.IntVar(&config.MaxRequests, "max-requests", config.MaxRequests, "maximum `number` of requests in progress at once, each with a repository in memory; others wait")
	flags.Int64Var(&config.RenderMemory, "max-render-memory", config.RenderMemory, "maximum `bytes` of memory of one render; a template that needs more is an error")
	flags.DurationVar(&config.RenderTimeout, "render-timeout", config.RenderTimeout, "maximum `time` of one render; less if the request's deadline is earlier")
	flags.Int64Var(&config.ResultCache, "result-cache", config.ResultCache, "`bytes` of manifests to cache for equal requests; 0 for none")
	flags.StringVar(&config.MetricsListen, "metrics-bind-address", "", "`address` to serve Prometheus metrics on, such as :8082")
	charts.addTo(flags)
	flags.StringSliceVar(&registries, "chart-registries", nil, "`hosts` of registries that charts may be pulled from, separated by commas; none if empty")
	logs.AddTo(flags)
	cli.SetGrace(cmd, plugin.DrainTime+5*time.Second)
	return cmd
}

// newWorkerCommand returns the command of the processes that serve renders in.
func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    worker.Command + " MEMORY",
		Short:  "Render the requests of serve on standard input",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			memory, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("parsing MEMORY: %w", err)
			}
			return worker.Work(cmd.InOrStdin(), cmd.OutOrStdout(), memory)
		},
	}
}

// socketFolder returns the folder of the plugins' sockets.
func socketFolder() string {
	if folder := os.Getenv(plugin.FolderVariable); folder != "" {
		return folder
	}
	return plugin.DefaultFolder
}

// chartFlags configure the cache of charts from registries.
type chartFlags struct {
	folder string
	limit  int64
}

// defaultChartCache is the size of some hundred charts, in bytes.
const defaultChartCache = 256 << 20

func (f *chartFlags) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&f.folder, "chart-cache", filepath.Join(os.TempDir(), "envladder-charts"), "`folder` to cache charts from registries in; empty for none")
	flags.Int64Var(&f.limit, "chart-cache-size", defaultChartCache, "maximum `bytes` of the chart cache")
}

func (f *chartFlags) puller() *chart.Puller {
	return chart.NewPuller(registry.NewClient(), f.folder, f.limit)
}

func newGenerateCommand() *cobra.Command {
	var charts chartFlags
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Print the manifests that Argo CD's environment variables request",
		Long: `generate prints the manifests of the Application whose folder it runs in, as
argocd-cmp-server's environment variables request them: ARGOCD_APP_NAME,
ARGOCD_APP_NAMESPACE, ARGOCD_APP_PARAMETERS (or PARAM_ENVIRONMENT, PARAM_TARGET,
PARAM_RELEASENAME), KUBE_VERSION, KUBE_API_VERSIONS, ARGOCD_APP_SOURCE_PATH.
serve returns the same manifests.`,
		Example: `  cd shop && PARAM_ENVIRONMENT=prod PARAM_TARGET=eu envladder-plugin generate`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return fmt.Errorf("finding the Application's folder: %w", err)
			}
			return plugin.Exec(cmd.Context(), dir, charts.puller(), os.Getenv, cmd.OutOrStdout())
		},
	}
	charts.addTo(cmd.Flags())
	return cmd
}
