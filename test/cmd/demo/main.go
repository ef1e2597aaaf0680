// Command demo shows the main use cases with real programs: one change goes from a pull request
// to production, and the prod cluster denies unproven digests. The command builds missing
// programs in the order in which the story needs them, and tells the story in the meantime. It
// starts everything on loopback, and stops it at the end.
package main

import (
	"bufio"
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

	"github.com/envladder/envladder/test/programs"
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

// flags are the flags of the command line.
type flags struct {
	keep, pause, update bool
	argocd, story       string
}

// parseFlags parses the command line, and prints its usage for -help.
func parseFlags(args []string, stderr io.Writer) (f flags, err error) {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.BoolVar(&f.keep, "keep", false, "leave everything running after the last step, and print how to explore it")
	set.BoolVar(&f.pause, "pause", false, "wait for Enter before each step")
	set.BoolVar(&f.update, "update", false, "write the output to the story's page below docs/")
	set.StringVar(&f.argocd, "argocd", "v3", "Argo CD's `version`: v3 or v2")
	set.StringVar(&f.story, "story", string(scenario.Climb), fmt.Sprintf("`name` of the story: one of %v", scenario.Stories))
	set.Usage = func() {
		fmt.Fprint(stderr, "Shows the main use cases with real programs. Usually run as `make demo`, `make demo PAUSE=1` or `make demo KEEP=1`.\n\n")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if !slices.Contains(scenario.Stories, scenario.Story(f.story)) {
		return f, fmt.Errorf("unknown -story %q: use one of %v", f.story, scenario.Stories)
	}
	return f, nil
}

func run(ctx context.Context, args []string, stdout, stderr *os.File) (err error) {
	f, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := repository()
	if err != nil {
		return err
	}
	options := scenario.Options{
		Root: root, ArgoCD: f.argocd, Story: scenario.Story(f.story), Log: stderr,
		Say:   scenario.NewPrinter(stdout, programs.IsTerminal(stdout) && os.Getenv("NO_COLOR") == ""),
		Queue: programs.NewQueue(ctx, stderr),
	}
	defer options.Queue.Close()
	recorder := scenario.NewRecorder()
	if f.update {
		options.Say = scenario.Narrators{options.Say, recorder}
	}
	if err := enqueue(options); err != nil {
		return err
	}
	s, err := scenario.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := tell(ctx, s, f, stdout); err != nil {
		if f.keep && ctx.Err() == nil {
			fmt.Fprintf(stderr, "\ndemo: %v\n\n%s", err, s.AccessInfo())
			<-ctx.Done()
		}
		return err
	}
	if f.update {
		if err := updatePage(filepath.Join(root, "docs", scenario.Pages[options.Story]), recorder); err != nil {
			return err
		}
	}
	if f.keep {
		fmt.Fprintf(stdout, "\n%s", s.AccessInfo())
		<-ctx.Done()
	}
	return nil
}

// enqueue starts to build everything that the story needs, in the order in which it needs it.
func enqueue(o scenario.Options) error {
	o.Queue.Add(programs.Own(o.Root))
	names, err := o.Programs()
	if err != nil {
		return err
	}
	return o.Queue.AddPrograms(names...)
}

// tell runs the steps of the story.
func tell(ctx context.Context, s *scenario.Scenario, f flags, stdout *os.File) error {
	var enter *bufio.Reader
	if f.pause {
		enter = bufio.NewReader(os.Stdin)
	}
	begin := time.Now()
	for n := range s.Steps() {
		if enter != nil && n > 0 {
			fmt.Fprint(stdout, "\n(press Enter to continue) ")
			if err := waitForLine(ctx, enter); err != nil {
				return err
			}
		}
		if err := s.Run(ctx, n); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "\nAll steps succeeded in %s.\n", time.Since(begin).Round(time.Second))
	return nil
}

// waitForLine waits for a line of input, or for its end.
func waitForLine(ctx context.Context, in *bufio.Reader) error {
	read := make(chan error, 1)
	go func() {
		_, err := in.ReadString('\n')
		read <- err
	}()
	select {
	case err := <-read:
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// updatePage writes the recorded output to a page of the documentation.
func updatePage(path string, recorder *scenario.Recorder) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	updated, err := recorder.UpdatePage(string(page))
	if err != nil {
		return fmt.Errorf("updating %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(updated), 0o644)
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
