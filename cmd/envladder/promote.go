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

// promoteGrace is for git to end, and for asking the remote what became of a push.
const promoteGrace = 20 * time.Second

func newPromoteCommand() *cobra.Command {
	var flags promoteFlags
	cmd := &cobra.Command{
		Use:   "promote ENVIRONMENT",
		Short: "Move digests into the next environment, by a commit or a pull request",
		Long: `Move digests into an environment of the ladder: those that the environment before it has
pinned, or those that --image names. As the ladder's "promotion" says, that is a commit
on the base branch, or (the default) a pull request from a branch of its own. Run again,
the command updates the same pull request.

It starts from the remote's base branch and checks nothing out: your work tree, its index
and its branches stay as they are. Git runs with your configuration: credentials, identity,
signing. Of your hooks, prepare-commit-msg and commit-msg run; those that check a work tree
or an index don't.

The Gate that the ladder names (or --gate) is asked first: about each image that moves, or
about all of them where the packaged chart moves. What the cluster would refuse isn't
promoted, unless --allow-unproven makes a draft of it; nor is, without a Gate to ask, what
an environment with "data: Real" would get. Of an environment with targets it is the next
wave that is promoted: the first targets, in the order of "after", that haven't got the
digests.

The forge's token is read from $` + forge.TokenVariable + `, or $GITHUB_TOKEN or $GITEA_TOKEN.

With --output json it prints a list with one object for each place; docs/promotion.md has
its fields.

Exit codes: 0 done, or nothing to do; 1 refused by a Gate, for want of one, or by the order
of the targets, in a dry run too; 2 it couldn't be done, or not all of it (a wave's later targets, a draft
that the forge didn't make one): what was done is printed, the reason is on stderr.`,
		Example: `  # CI, after a build: into dev
  envladder promote dev --image web@sha256:… -C shop

  # What dev runs, into staging; then, once it is proven, into prod's first wave
  envladder promote staging -C shop
  envladder promote prod --gate ../platform/gates/shop-prod.yaml -C shop

  # Only look
  envladder promote prod --target eu --dry-run -C shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.Environment = args[0]
			flags.Flags = tellFlags(cmd.Flags(), flags.Dir)
			return flags.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cli.SetGrace(cmd, promoteGrace)
	f := cmd.Flags()
	f.StringVarP(&flags.Dir, "dir", "C", ".", "`folder` of ladder.yaml")
	f.StringVar(&flags.Target, "target", "", "`target` of the environment (default: the next wave)")
	f.StringArrayVar(&flags.Images, "image", nil, "`NAME@DIGEST` to promote; may be repeated (default: what the environment before has)")
	f.StringVar(&flags.Base, "base", "", "`branch` to promote on (default: the remote's)")
	f.StringVar(&flags.Remote, "remote", "origin", "`name` of the remote to fetch from and push to")
	f.StringArrayVar(&flags.gateFiles, "gate", nil, "`file` of a Gate to ask in place of the ladder's; may be repeated")
	f.StringVar(&flags.recallFile, "recalls", "", "`file` of Recalls")
	flags.sources.addTo(f)
	f.BoolVar(&flags.AllowUnproven, "allow-unproven", false, "promote what the cluster would refuse; a pull request becomes a draft")
	f.BoolVar(&flags.DryRun, "dry-run", false, "print the change and the pull request's text, and change nothing")
	f.StringVar(&flags.forge, "forge", "", "`kind` of forge: Gitea or GitHub (default: told from the remote)")
	f.StringVar(&flags.Forge.URL, "forge-url", "", "`URL` of the forge, of GitHub its API's (default: told from the remote)")
	f.StringVar(&flags.Forge.Repository, "forge-repository", "", "`OWNER/NAME` on the forge (default: told from the remote)")
	f.StringVar(&flags.Forge.CAFile, "forge-ca-file", "", "PEM `file` with the CA that signed the forge's certificate (default: the system's CAs)")
	f.DurationVar(&flags.timeout, "timeout", 5*time.Minute, "`time` that all of it may take")
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
	if f.Gates, f.Recalls, err = readJudges(f.gateFiles, f.recallFile); err != nil {
		return err
	}
	f.Forge.Getenv, f.Now = os.Getenv, time.Now
	if f.Judge, err = f.sources.judge(); err != nil {
		return err
	}
	if f.Charts, err = f.sources.charts(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("it took longer than --timeout %v", f.timeout))
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

// tellFlags are the flags that were given, as the pull request's text tells them: without
// those that say where to look at the result, and with paths relative to the ladder's
// folder. The environment's target the text has by itself: it is of one target.
func tellFlags(flags *pflag.FlagSet, dir string) []string {
	var told []string
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
				told = append(told, "--"+f.Name)
				continue
			case f.Value.Type() == "bool": // given as =false: as if it weren't
				continue
			case f.Name == "gate", f.Name == "recalls", f.Name == "forge-ca-file":
				value = relative(dir, value)
			}
			told = append(told, "--"+f.Name, gitrepo.Redact(value)) // URLs shouldn't contain tokens, but some do
		}
	})
	return told
}

// relative is a path as one has it who is in dir. Where there is none, it is the file's
// name alone: where files are on this machine is private.
func relative(dir, path string) string {
	from, err := resolved(dir)
	if err != nil {
		return filepath.Base(path)
	}
	to, err := resolved(path)
	if err != nil {
		return filepath.Base(path)
	}
	name, err := filepath.Rel(from, to)
	if err != nil {
		return filepath.Base(path)
	}
	return filepath.ToSlash(name)
}

// resolved is an absolute path without symbolic links, behind which ../ is another folder.
func resolved(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(absolute)
}

func forgeKind(text string) (scm.Forge, error) {
	for _, kind := range []scm.Forge{"", scm.Gitea, scm.GitHub} {
		if strings.EqualFold(text, string(kind)) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("--forge %q: use %s or %s", text, scm.Gitea, scm.GitHub)
}

// readJudges reads Gates and Recalls.
func readJudges(gates []string, recalls string) (read []verdict.Gate, recalled []v1alpha1.Recall, err error) {
	for _, path := range gates {
		guard, err := readGate(path)
		if err != nil {
			return nil, nil, err
		}
		read = append(read, guard)
	}
	if recalls != "" {
		recalled, err = readRecalls(recalls)
	}
	return read, recalled, err
}

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

// promoted begins with what became of it; then come the change, the verdicts, the notes.
func (p *printer) promoted(r promote.Result) {
	switch r.Outcome {
	case promote.UpToDate:
		p.linef("%s: has the digests already; nothing to do", r.EnvTarget)
	case promote.Refused:
		p.linef("%s: refused; --allow-unproven would promote it all the same", r.EnvTarget)
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

func requestState(r promote.Result) string {
	state := strings.ToLower(string(r.Outcome))
	if r.PullRequest.Draft {
		state += " as a draft"
	}
	return state
}
