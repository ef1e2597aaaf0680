package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
)

func newValuesCommand() *cobra.Command {
	var dir, target, output string
	cmd := &cobra.Command{
		Use:   "values ENVIRONMENT",
		Short: "Print an environment's merged values",
		Long: `values prints what the chart's templates see as .Values in an environment: the
chart's values.yaml and its subcharts', the layers in their order, and the pins.
Helm's built-in objects (.Release, .Chart, .Capabilities, .Files) are no part of it.`,
		Example: `  envladder values dev
  envladder values prod --target eu -o json | jq .image`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := valuesPrinter(output)
			if err != nil {
				return err
			}
			values, err := mergedValues(cmd.Context(), dir, args[0], target)
			if err != nil {
				return err
			}
			return write(cmd.OutOrStdout(), values)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&dir, "dir", "C", ".", "`folder` of ladder.yaml")
	flags.StringVar(&target, "target", "", "`target` of the environment")
	flags.StringVarP(&output, "output", "o", "yaml", "`format`: yaml or json")
	return cmd
}

func mergedValues(ctx context.Context, dir, environment, target string) (map[string]any, error) {
	repository, err := ladder.FindRepository(dir)
	if err != nil {
		return nil, err
	}
	defer repository.Close()
	document, err := ladder.Open(repository.FS(), repository.Dir)
	if err != nil {
		return nil, err
	}
	step, err := document.Step(environment, target)
	if err != nil {
		return nil, err
	}
	values, err := chart.Merge(ctx, repository.FS(), step)
	if err != nil {
		return nil, err
	}
	loaded, err := chart.Load(repository.FS(), step.Chart)
	if err != nil {
		return nil, err
	}
	return loaded.Values(values)
}

func valuesPrinter(format string) (func(io.Writer, map[string]any) error, error) {
	switch format {
	case "yaml":
		return printYAML, nil
	case "json":
		return printJSON, nil
	default:
		return nil, fmt.Errorf("--output %q: use yaml or json", format)
	}
}

func printYAML(w io.Writer, values map[string]any) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return fmt.Errorf("printing values: %w", err)
	}
	_, err = w.Write(text)
	return err
}

func printJSON(w io.Writer, values map[string]any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(values)
}
