// Command demo shows the main use cases with real programs: one change goes from a pull request
// to production, and the prod cluster denies unproven digests. The command builds missing
// programs, starts everything on loopback, and stops it at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/envladder/envladder/test/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	keep := flags.Bool("keep", false, "leave everything running after the last step, and print how to explore it")
	argocd := flags.String("argocd", "v3", "Argo CD's `version`: v3 or v2")
	story := flags.String("story", string(scenario.Climb), fmt.Sprintf("`name` of the story: one of %v", scenario.Stories))
	flags.Usage = func() {
		fmt.Fprint(stderr, "Shows the main use cases with real programs. Usually run as `make demo` or `make demo KEEP=1`.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if !slices.Contains(scenario.Stories, scenario.Story(*story)) {
		return fmt.Errorf("unknown -story %q: use one of %v", *story, scenario.Stories)
	}
	root, err := repository()
	if err != nil {
		return err
	}
	s, err := scenario.Start(ctx, scenario.Options{
		Root: root, ArgoCD: *argocd, Story: scenario.Story(*story), Say: scenario.NewPrinter(stdout), Log: stderr,
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	begin := time.Now()
	for n := range s.Steps() {
		if err := s.Run(ctx, n); err != nil {
			if *keep && ctx.Err() == nil {
				fmt.Fprintf(stderr, "\ndemo: %v\n\n%s", err, s.AccessInfo())
				<-ctx.Done()
			}
			return err
		}
	}
	fmt.Fprintf(stdout, "\nAll steps succeeded in %s.\n", time.Since(begin).Round(time.Second))
	if *keep {
		fmt.Fprintf(stdout, "\n%s", s.AccessInfo())
		<-ctx.Done()
	}
	return nil
}

// repository returns the folder above the one that contains this program.
func repository() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	root := filepath.Dir(filepath.Dir(path))
	if _, err := os.Stat(filepath.Join(root, "examples", "shop")); err != nil {
		return "", fmt.Errorf("finding the repository: %w (run bin/demo, built by `make build`)", err)
	}
	return root, nil
}
