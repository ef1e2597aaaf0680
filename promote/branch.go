package promote

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
)

// trailer marks the commits of promotions, with the environment and its pins: a promotion
// into the same pins may replace marked commits, and no others.
const trailer = "Envladder-Promotion"

// markLine matches a mark, which isn't always among the trailers of a message: hooks and
// people add paragraphs.
var markLine = regexp.MustCompile(`(?m)^` + trailer + `: (.+?)\r?$`)

// markOf returns the last mark of a commit's message: empty if it has none.
func markOf(message string) string {
	found := markLine.FindAllStringSubmatch(message, -1)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1][1]
}

// marksPins reports whether a mark is of a promotion into these pins. Environments may
// share a branch name (two ladders of the same name, prod-eu and prod/eu), but no pins.
func marksPins(mark, file string) bool {
	_, pins, _ := strings.Cut(mark, " ")
	return pins == file
}

// proposal is the pins that a promotion's branch has, and those that it started from.
type proposal struct {
	// commit is the branch's tip, empty where there is no branch; fork is where it left
	// the base.
	commit, fork string
	before, now  ladder.Pins
	// since is the pins that the base has had after the fork.
	since []ladder.Pins
	// source is the environment before.
	source source
	// pullRequest is the branch's open pull request; its number is 0 where there is none,
	// or none is needed.
	pullRequest scm.PullRequest
}

// disposition is how a promotion treats a value that it found on its branch.
type disposition int

const (
	// settled: the base has the value, or the branch doesn't change it.
	settled disposition = iota
	// carriedOver into the promotion that recreates the branch.
	carriedOver
	// takenBack: the base has had it since, and has another value now. Proposing it again
	// would undo what came after.
	takenBack
	// overtaken: the base got another value while it was proposed.
	overtaken
	// withdrawn: the environment before has had it, and has gone back from it.
	withdrawn
)

// disposition returns the branch's value of the pins, and how to treat it.
func (o proposal) disposition(valueIn func(ladder.Pins) string, base ladder.Pins) (value string, d disposition) {
	before, now := valueIn(o.before), valueIn(o.now)
	switch {
	case now == "", now == before, now == valueIn(base):
		return now, settled
	case slices.ContainsFunc(o.since, func(p ladder.Pins) bool { return valueIn(p) == now }):
		return now, takenBack
	case valueIn(base) != before:
		return now, overtaken
	case o.source.withdrew(valueIn, now):
		return now, withdrawn
	}
	return now, carriedOver
}

// proposed reads a promotion's branch. It fails for one with changes of others: the push
// would drop them. For a shallow clone it fetches as much history as that needs.
func (p *promotion) proposed(ctx context.Context, base *snapshot, branch string, target ladder.EnvTarget) (proposal, error) {
	commit, err := p.quarantine.FetchWithParent(ctx, branch)
	if err != nil || commit == "" {
		return proposal{}, err
	}
	for {
		found, unexpected, err := p.examine(ctx, base, commit, target.PinsFile)
		if err == nil && unexpected == "" {
			if found.since, err = p.pinsSince(ctx, base, found.fork, target.PinsFile); err != nil {
				return found, err
			}
			found.source, err = p.readSource(ctx, base, found.fork)
			return found, err
		}
		if err != nil {
			return proposal{}, fmt.Errorf("reading branch %q: %w", branch, err)
		}
		// Where history is cut, commits of the base may look unexpected.
		more, err := p.quarantine.Deepen(ctx, p.Base, branch)
		switch {
		case err != nil:
			return proposal{}, err
		case !more:
			return proposal{}, p.errWouldDrop(branch, unexpected)
		}
	}
}

// examine reads what the branch proposes, and returns a description of what it has that
// no promotion into these pins made, or that can't be distinguished from that.
func (p *promotion) examine(ctx context.Context, base *snapshot, commit, file string) (found proposal, unexpected string, err error) {
	found.commit = commit
	if found.fork, err = p.quarantine.MergeBase(ctx, base.commit, commit); err != nil {
		return found, "", err
	}
	if found.fork == "" {
		return found, fmt.Sprintf("no history in common with %s", p.Base), nil
	}
	cut, err := p.quarantine.Cut(ctx, base.commit, commit)
	if err != nil {
		return found, "", err
	}
	if cut {
		return found, "commits whose parents can't be fetched", nil
	}
	if found.before, err = p.pinsAt(base, found.fork, file); err != nil {
		return found, "", err
	}
	if found.now, err = p.pinsAt(base, commit, file); err != nil {
		return found, "", err
	}
	unexpected, err = p.findUnexpected(ctx, base, found, file)
	return found, unexpected, err
}

// valuesBetween returns the values of the pins that differ between two commits.
func (p *promotion) valuesBetween(base *snapshot, from, to, file string) ([]Change, error) {
	before, err := p.pinsAt(base, from, file)
	if err != nil {
		return nil, err
	}
	after, err := p.pinsAt(base, to, file)
	if err != nil {
		return nil, err
	}
	var values []Change
	add := func(c Change) {
		if c.Old != c.New {
			values = append(values, c)
		}
	}
	for _, image := range base.document.Spec.Images {
		add(Change{Image: image.Name, Old: before.Images[image.Name], New: after.Images[image.Name]})
	}
	add(Change{Old: before.Chart, New: after.Chart})
	return values, nil
}

// pinsSince returns the pins that the base has had after a commit.
func (p *promotion) pinsSince(ctx context.Context, base *snapshot, fork, file string) ([]ladder.Pins, error) {
	commits, err := p.quarantine.Touching(ctx, fork, base.commit, file)
	if err != nil {
		return nil, err
	}
	var since []ladder.Pins
	for _, commit := range commits {
		pins, err := p.pinsAt(base, commit, file)
		if err != nil {
			return nil, err
		}
		since = append(since, pins)
	}
	return since, nil
}

// pinsAt returns the pins at a commit. Errors in them are ignored: they belong to an older
// ladder, and what is written is validated.
func (p *promotion) pinsAt(base *snapshot, commit, file string) (ladder.Pins, error) {
	data, err := p.pinsFileAt(commit, file)
	if err != nil || data == nil {
		return ladder.Pins{}, err
	}
	pins, _ := base.document.ParsePins(file, data)
	return pins, nil
}

// pinsFileAt returns the pins file at a commit, or nil.
func (p *promotion) pinsFileAt(commit, file string) ([]byte, error) {
	tree, err := p.quarantine.Tree(commit)
	if err != nil {
		return nil, err
	}
	return readPins(tree, file)
}
