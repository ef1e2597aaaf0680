package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/forge"
)

// promoteFlags are the flags of promote.
type promoteFlags struct {
	promote.Options

	gateFiles  []string
	recallFile string
	forge      string
	timeout    time.Duration
	output     string
	sources    sourceFlags
}

// promoteGrace is the time for git to end, and to query the remote for the result of a push.
const promoteGrace = 20 * time.Second

func newPromoteCommand() *cobra.Command {
	var flags promoteFlags
	cmd := &cobra.Command{
		Use:   "promote ENVIRONMENT",
		Short: "Move digests into the next environment, by a commit or a pull request",
		Long: `Move digests into an environment of the ladder: the digests that the previous environment
has pinned, or those of --image. The ladder's "promotion" selects a commit on the base
branch or (the default) a pull request from a separate branch. If you run the command again,
it updates the same pull request.

The command starts from the remote's base branch and checks nothing out: it doesn't change
your work tree, its index or its branches. Git uses your configuration: credentials,
identity, signing. It runs your hooks prepare-commit-msg and commit-msg, but not those that
check a work tree or an index.

The command first checks the Gate that the ladder names (or --gate) for each image that
moves, or for all images if the packaged chart moves. It doesn't promote images that the
cluster would deny, unless --allow-unproven makes the pull request a draft. It doesn't
promote to an environment with "data: Real" without a Gate either. In an environment with
targets it promotes the next wave: the first targets, in the order of "after", that don't
have the digests yet.

The forge's token is read from $` + forge.TokenVariable + `, or $GITHUB_TOKEN or $GITEA_TOKEN.

With --output json it prints a list with one object for each environment or target;
docs/promotion.md has its fields.

Exit codes: 0 done, or nothing to do; 1 refused by a Gate, because there is no Gate, or by
the order of the targets, also in a dry run; 2 failed, entirely or in part (a wave's later
targets, a draft that the forge didn't create as one): the command prints what was done, and
the reason on stderr.`,
		Example: `  # CI, after a build: into dev
  envladder promote dev --image web@sha256:… -C shop

  # What dev runs, into staging; then, once it is proven, into prod's first wave
  envladder promote staging -C shop
  envladder promote prod --gate ../platform/gates/shop-prod.yaml -C shop

  # Print the change only
  envladder promote prod --target eu --dry-run -C shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.Environment = args[0]
			flags.Flags = reproducibleFlags(cmd.Flags(), flags.Dir)
			return flags.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cli.SetGrace(cmd, promoteGrace)
	f := cmd.Flags()
	f.StringVarP(&flags.Dir, "dir", "C", ".", "`folder` of ladder.yaml")
	f.StringVar(&flags.Target, "target", "", "`target` of the environment (default: the next wave)")
	f.StringArrayVar(&flags.Images, "image", nil, "`NAME@DIGEST` to promote; may be repeated (default: the digests of the previous environment)")
	f.StringVar(&flags.Base, "base", "", "`branch` to promote on (default: the remote's)")
	f.StringVar(&flags.Remote, "remote", "origin", "`name` of the remote to fetch from and push to")
	f.StringArrayVar(&flags.gateFiles, "gate", nil, "`file` of a Gate to use instead of the ladder's; may be repeated")
	f.StringVar(&flags.recallFile, "recalls", "", "`file` of Recalls")
	flags.sources.addTo(f)
	f.BoolVar(&flags.AllowUnproven, "allow-unproven", false, "promote images that the cluster would deny; a pull request becomes a draft")
	f.BoolVar(&flags.DryRun, "dry-run", false, "print the change and the pull request's text, and change nothing")
	f.StringVar(&flags.forge, "forge", "", "`kind` of forge: Gitea or GitHub (default: derived from the remote)")
	f.StringVar(&flags.Forge.URL, "forge-url", "", "`URL` of the forge; for GitHub that of its API (default: derived from the remote)")
	f.StringVar(&flags.Forge.Repository, "forge-repository", "", "`OWNER/NAME` on the forge (default: derived from the remote)")
	f.StringVar(&flags.Forge.CAFile, "forge-ca-file", "", "PEM `file` with the CA that signed the forge's certificate (default: the system's CAs)")
	f.DurationVar(&flags.timeout, "timeout", 5*time.Minute, "`time` limit for the whole command")
	f.StringVarP(&flags.output, "output", "o", "text", "`format`: text or json")
	return cmd
}

func (f *promoteFlags) run(ctx context.Context, stdout io.Writer) error {
	show, err := promotedPrinter(f.output)
	if err != nil {
		return err
	}
	if f.Forge.Kind, err = forgeKind(f.forge); err != nil {
		return err
	}
	if f.Gates, f.Recalls, err = readGatesAndRecalls(f.gateFiles, f.recallFile); err != nil {
		return err
	}
	f.Forge.Getenv, f.Now = os.Getenv, time.Now
	if f.Judge, err = f.sources.judge(); err != nil {
		return err
	}
	if f.Charts, err = f.sources.charts(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("timed out after %v (--timeout)", f.timeout))
	defer cancel()
	results, err := promote.Run(ctx, f.Options)
	if len(results) > 0 || err == nil {
		if printErr := show(stdout, results); printErr != nil {
			err = errors.Join(err, fmt.Errorf("printing what was done: %w", printErr))
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(r promote.Result) bool { return r.Outcome == promote.Refused }) {
		return cli.ErrNo
	}
	return nil
}

// reproducibleFlags returns the flags that were set, for the command in the pull request's
// text. It omits flags that don't affect the result, and makes paths relative to the ladder's
// folder. It also omits the target, which the text always contains.
func reproducibleFlags(flags *pflag.FlagSet, dir string) []string {
	var arguments []string
	flags.Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "dir", "target", "dry-run", "timeout", "output":
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			switch {
			case f.Value.Type() == "bool" && value == "true":
				arguments = append(arguments, "--"+f.Name)
				continue
			case f.Value.Type() == "bool": // =false is the default
				continue
			case f.Name == "gate", f.Name == "recalls", f.Name == "forge-ca-file":
				value = relative(dir, value)
			}
			arguments = append(arguments, "--"+f.Name, gitrepo.Redact(value)) // URLs shouldn't contain tokens, but some do
		}
	})
	return arguments
}

// relative returns a path relative to dir. Where that isn't possible it returns only the
// file's name, since the paths of this machine are private.
func relative(dir, path string) string {
	from, err := resolvePath(dir)
	if err != nil {
		return filepath.Base(path)
	}
	to, err := resolvePath(path)
	if err != nil {
		return filepath.Base(path)
	}
	name, err := filepath.Rel(from, to)
	if err != nil {
		return filepath.Base(path)
	}
	return filepath.ToSlash(name)
}

// resolvePath returns an absolute path without symbolic links: below a link, ../ leads to
// another folder.
func resolvePath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

// forgeKind parses a kind of forge in any case.
func forgeKind(text string) (scm.Forge, error) {
	for _, kind := range []scm.Forge{"", scm.Gitea, scm.GitHub} {
		if strings.EqualFold(text, string(kind)) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("--forge %q: use %s or %s", text, scm.Gitea, scm.GitHub)
}

// readGatesAndRecalls reads the files of Gates, and the file of Recalls if it is set.
func readGatesAndRecalls(gateFiles []string, recallFile string) (gates []verdict.Gate, recalls []v1alpha1.Recall, err error) {
	for _, path := range gateFiles {
		loaded, err := readGate(path)
		if err != nil {
			return nil, nil, err
		}
		gates = append(gates, loaded)
	}
	recalls, err = readFlagFile("--recalls", recallFile, v1alpha1.DecodeRecalls)
	return gates, recalls, err
}

// promotedPrinter returns the printer of a format.
func promotedPrinter(format string) (func(io.Writer, []promote.Result) error, error) {
	switch format {
	case "text":
		return printPromoted, nil
	case "json":
		return func(w io.Writer, results []promote.Result) error {
			return writeJSON(w, append([]promote.Result{}, results...)) // [] rather than null
		}, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

func printPromoted(w io.Writer, results []promote.Result) error {
	p := printer{w: w}
	for _, r := range results {
		p.promoted(r)
	}
	return p.err
}

// promoted prints the outcome, and then the changes, the verdicts and the notes.
func (p *printer) promoted(r promote.Result) {
	switch r.Outcome {
	case promote.UpToDate:
		p.linef("%s: has the digests already; nothing to do", r.EnvTarget)
	case promote.Refused:
		p.linef("%s: refused; --allow-unproven would promote it anyway", r.EnvTarget)
	case promote.Planned:
		p.linef("%s: would be promoted", r.EnvTarget)
	case promote.Committed:
		p.linef("%s: promoted by commit %.12s on %s", r.EnvTarget, r.Commit, r.Base)
	case promote.Pushed:
		p.linef("%s: commit %.12s is pushed to branch %s; its pull request isn't opened or updated", r.EnvTarget, r.Commit, r.Branch)
	case promote.RolledBack:
		p.linef("%s: was rolled back; nothing to do", r.EnvTarget)
	case promote.Withdrawn:
		p.linef("%s: has the digests already; pull request %d is closed: %s", r.EnvTarget, r.PullRequest.Number, r.PullRequest.URL)
	default:
		p.linef("%s: pull request %d %s: %s", r.EnvTarget, r.PullRequest.Number, requestState(r), r.PullRequest.URL)
	}
	for _, c := range r.Changes {
		name := c.Image
		if name == "" {
			name = "chart"
		}
		p.linef("  %s: %s -> %s", name, orNone(c.Old), c.New)
	}
	for _, reason := range r.Reasons {
		p.linef("  %s: %s", reason.Code, reason.Message)
		p.linef("    to do: %s", reason.Remedy)
	}
	for _, judged := range r.Verdicts {
		p.verdict(judged.Verdict, v1alpha1.Action(judged.Action), judged.Environment)
	}
	for _, note := range r.Notes {
		p.linef("note: %s", note)
	}
	if r.Diff != "" {
		p.linef("\n%s\ntitle: %s\n\n%s", strings.TrimRight(r.Diff, "\n"), r.Title, strings.TrimRight(r.Body, "\n"))
	}
}

// requestState returns the outcome of a pull request in lower case.
func requestState(r promote.Result) string {
	state := strings.ToLower(string(r.Outcome))
	if r.PullRequest.Draft {
		state += " as a draft"
	}
	return state
}
