// Command demo shows the main job on real parts: one change goes from a pull request to
// production, and the prod cluster refuses what isn't proven. It builds what is missing,
// starts everything on loopback, and takes it down.
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
	keep := flags.Bool("keep", false, "leave it running after the last step, and say how to look")
	argocd := flags.String("argocd", "v3", "Argo CD's `version`: v3 or v2")
	story := flags.String("story", string(scenario.Climb), fmt.Sprintf("`what` is told, of %v", scenario.Stories))
	flags.Usage = func() {
		fmt.Fprint(stderr, "Shows the main job on real parts. Most people run it as `make demo` or `make demo KEEP=1`.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if !slices.Contains(scenario.Stories, scenario.Story(*story)) {
		return fmt.Errorf("-story %q: there are %v", *story, scenario.Stories)
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
				fmt.Fprintf(stderr, "\ndemo: %v\n\n%s", err, s.HowToLook())
				<-ctx.Done()
			}
			return err
		}
	}
	fmt.Fprintf(stdout, "\nAll steps came out as told, in %s.\n", time.Since(begin).Round(time.Second))
	if *keep {
		fmt.Fprintf(stdout, "\n%s", s.HowToLook())
		<-ctx.Done()
	}
	return nil
}

// repository is the folder above the one that this program was built into.
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
