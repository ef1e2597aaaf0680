package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/secrets"
	"github.com/envladder/envladder/internal/valuepath"
)

func newValuesCommand() *cobra.Command {
	var (
		dir, output, explain string
		envTarget            envTargetFlags
	)
	cmd := &cobra.Command{
		Use:   "values ENVIRONMENT",
		Short: "Print an environment's merged values, and where they come from",
		Long: `values prints what the chart's templates see as .Values in an environment: the
chart's values.yaml and its subcharts', the layers in their order, and the pins.
Helm's built-in objects (.Release, .Chart, .Capabilities, .Files) are not included.
values reads only files of the repository, and a chart in a registry if the ladder names one.

With --explain PATH it prints instead, for each value at the path and below, every layer
that sets it, in order, and which one wins. A null in a layer removes the chart's value.
-o table without --explain does so for all values.

Values that look like secrets are masked.`,
		Example: `  envladder values dev
  envladder values prod --target eu -o json | jq .image

  # Where does it come from?
  envladder values prod --target eu --explain autoscaling`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			explained := cmd.Flags().Changed("explain")
			if explained && !cmd.Flags().Changed("output") {
				output = "table"
			}
			path, err := parseExplained(explain)
			if err != nil {
				return fmt.Errorf("--explain %q: %w", explain, err)
			}
			write, err := valuesPrinter(output)
			if err != nil {
				return err
			}
			v, err := valuesOf(cmd.Context(), dir, args[0], envTarget)
			if err != nil {
				return err
			}
			if !explained && output != "table" {
				return write(cmd.OutOrStdout(), v.final)
			}
			explanations, err := v.explain(path)
			if err != nil {
				return fmt.Errorf("explaining %q in environment %q: %w", explain, args[0], err)
			}
			return write(cmd.OutOrStdout(), explanations)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&dir, "dir", "C", ".", "`folder` of ladder.yaml")
	flags.StringVar(&envTarget.target, "target", "", "`target` of the environment")
	flags.IntVar(&envTarget.pullRequest, "pull-request", 0, "`number` of the pull request, for environment preview")
	flags.StringArrayVar(&envTarget.images, "image", nil, "`NAME@DIGEST` of an image of the pull request, for environment preview (repeat it for each)")
	flags.StringVarP(&output, "output", "o", "yaml", "`format`: yaml, json or table (default with --explain: table)")
	flags.StringVar(&explain, "explain", "", "`path` of values, such as image.digest; . for all")
	envTarget.set.add(flags)
	return cmd
}

// parseExplained parses the path of --explain. "." and the empty path stand for all values.
func parseExplained(text string) ([]string, error) {
	if text == "" || text == "." {
		return nil, nil
	}
	return valuepath.Parse(text)
}

// envTargetFlags select the target or the preview of an environment.
type envTargetFlags struct {
	target      string
	pullRequest int
	images      []string
	set         valueFlags
}

// overrides returns the values of the flags.
func (f envTargetFlags) overrides() (map[string]any, error) {
	values, texts, err := f.set.parse()
	if err != nil {
		return nil, err
	}
	return chart.ParseOverrides(values, texts)
}

// resolve resolves the environment with its target or pull request.
func (f envTargetFlags) resolve(document *ladder.Document, environment string) (ladder.Resolved, error) {
	switch {
	case ladder.IsPreview(environment) && f.target != "":
		return ladder.Resolved{}, errors.New("--target: environment preview has no targets")
	case !ladder.IsPreview(environment) && (f.pullRequest != 0 || len(f.images) > 0):
		return ladder.Resolved{}, fmt.Errorf("--pull-request and --image are for environment preview: what %q runs is in its pins", environment)
	case !ladder.IsPreview(environment) || f.pullRequest == 0:
		return document.Resolve(environment, f.target)
	}
	images, err := parseImages(f.images)
	if err != nil {
		return ladder.Resolved{}, err
	}
	return document.ResolvePreview(f.pullRequest, images)
}

// valueFlags are the values that an Application's parameters would set.
type valueFlags struct {
	values, strings []string
}

func (f *valueFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.values, "value", nil, "`PATH=VALUE` of the Application's parameter values, read as helm --set does (repeat it for each)")
	flags.StringArrayVar(&f.strings, "string-value", nil, "`PATH=TEXT` of the Application's parameter stringValues, read as helm --set-string does (repeat it for each)")
}

// parse reads both flags.
func (f *valueFlags) parse() (values, texts map[string]string, err error) {
	if values, err = parseValues("--value", f.values); err != nil {
		return nil, nil, err
	}
	texts, err = parseValues("--string-value", f.strings)
	return values, texts, err
}

// parseValues parses PATH=VALUE pairs. It rejects a path that occurs twice.
func parseValues(flag string, texts []string) (map[string]string, error) {
	values := map[string]string{}
	for _, text := range texts {
		path, value, ok := valuepath.Cut(text)
		if !ok {
			return nil, fmt.Errorf("%s %q: want PATH=VALUE, such as replicaCount=3", flag, text)
		}
		if _, twice := values[path]; twice {
			return nil, fmt.Errorf("%s: %q has a value already", flag, path)
		}
		values[path] = value
	}
	return values, nil
}

// envTargetValues are the values of one environment or target, masked.
type envTargetValues struct {
	// final are the values that templates see.
	final  map[string]any
	merged *layers.Merged
	// relativePath returns a path of the repository relative to the working directory. It
	// returns the address of a chart in a registry unchanged.
	relativePath func(file string) string
}

// valuesOf merges the values of an environment.
func valuesOf(ctx context.Context, dir, environment string, envTarget envTargetFlags) (envTargetValues, error) {
	overrides, err := envTarget.overrides()
	if err != nil {
		return envTargetValues{}, err
	}
	repository, err := ladder.FindSources(dir)
	if err != nil {
		return envTargetValues{}, err
	}
	defer repository.Close()
	document, err := ladder.Open(repository.FS(), repository.Dir)
	if err != nil {
		return envTargetValues{}, err
	}
	resolved, err := envTarget.resolve(document, environment)
	if err != nil {
		return envTargetValues{}, err
	}
	if resolved, err = resolved.Override(overrides); err != nil {
		return envTargetValues{}, err
	}
	merged, err := layers.Merge(ctx, repository.FS(), resolved)
	if err != nil {
		return envTargetValues{}, err
	}
	source, err := chart.NewPuller(registry.NewClient(), "", 0).Read(ctx, repository.FS(), resolved.Chart, document.Owns)
	if err != nil {
		return envTargetValues{}, err
	}
	loaded, err := source.Load()
	if err != nil {
		return envTargetValues{}, err
	}
	final, err := loaded.Values(merged.Values)
	return envTargetValues{
		final: masked(final), merged: loaded.WithDefaults(merged).Shown(masked),
		relativePath: func(file string) string {
			if chart.InRegistry(file) {
				return file
			}
			return relativePath(repository, file)
		},
	}, err
}

// masked returns the values with secrets masked.
func masked(values map[string]any) map[string]any {
	shown, _ := secrets.Masked(nil, values)
	m, _ := shown.(map[string]any)
	return m
}

// valuesPrinter returns the printer of a format.
func valuesPrinter(format string) (func(io.Writer, any) error, error) {
	switch format {
	case "yaml":
		return printYAML, nil
	case "json":
		return printJSON, nil
	case "table":
		return printTable, nil
	default:
		return nil, fmt.Errorf("--output %q: use yaml, json or table", format)
	}
}

func printYAML(w io.Writer, values any) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return fmt.Errorf("printing values: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func printJSON(w io.Writer, values any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(values)
}
