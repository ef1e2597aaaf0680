// Command plugin compares the plugin with the alternatives that teams have: a config
// management plugin that runs `helm template`, and the repo-server's own Helm source. All of
// them render the same repositories in one run, called by Argo CD's own client code.
//
// `make bench-plugin` runs it. It prints a table for docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/envladder/envladder/bench/internal/harness"
)

type options struct {
	plugin, helm, argocd string
	charts               string
	clients              []int
	time                 time.Duration
	cold                 int
}

func main() {
	var o options
	var clients string
	flag.StringVar(&o.plugin, "plugin", "bin/envladder-plugin", "`program` of the plugin")
	flag.StringVar(&o.helm, "helm", "", "`program` of helm")
	flag.StringVar(&o.argocd, "argocd", "", "`program` of Argo CD, v2")
	flag.StringVar(&o.charts, "charts", "shop,cilium,kyverno", "charts to render")
	flag.StringVar(&clients, "clients", "1,8,64", "numbers of clients at once")
	flag.DurationVar(&o.time, "time", 6*time.Second, "`time` of each measurement; each client makes at least one render")
	flag.IntVar(&o.cold, "cold", 3, "`number` of starts to measure the first render of each contender")
	flag.Parse()
	var err error
	if o.clients, err = harness.Counts(clients); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -clients:", err)
		os.Exit(2)
	}
	harness.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) error {
	folder, err := os.MkdirTemp("", "envladder-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	var results []result
	for name := range strings.SplitSeq(o.charts, ",") {
		fmt.Fprintf(os.Stderr, "preparing %s\n", name)
		c, err := prepare(ctx, name, folder)
		if err != nil {
			return fmt.Errorf("preparing chart %q: %w", name, err)
		}
		for _, contender := range contenders(o, c, folder) {
			measured, err := measure(ctx, o, c, contender)
			if err != nil {
				return fmt.Errorf("%s with %s: %w", contender.name(), c.name, err)
			}
			results = append(results, measured...)
		}
	}
	return report(os.Stdout, results)
}
