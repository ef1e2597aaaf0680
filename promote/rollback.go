package promote

import (
	"context"
	"fmt"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
)

// recentChanges bounds the search for a rollback, in changes of the pins file.
const recentChanges = 50

// rollback is a change of an environment's pins back to an earlier value.
type rollback struct {
	// from is the value that was replaced, and commit what replaced it.
	from, commit string
}

// dropRolledBack removes the changes that the environment was rolled back from, with a
// note for each. A rollback holds until the environment before has another candidate, or
// the digest is named: otherwise the next scheduled promotion would undo it.
func (p *promotion) dropRolledBack(ctx context.Context, base *snapshot, file string, changes []Change) (remaining []Change, notes []string, err error) {
	if p.candidate.from == "" { // it was named
		return changes, nil, nil
	}
	history := &pinsHistory{promotion: p, base: base, file: file}
	remaining = []Change{}
	for _, c := range changes {
		last, err := history.lastRollback(ctx, c.value)
		if err != nil {
			return nil, nil, err
		}
		rolledBack := !c.CarriedOver && last.from == c.New
		if rolledBack {
			if rolledBack, err = p.wasOffered(base, last.commit, c); err != nil {
				return nil, nil, err
			}
		}
		if !rolledBack {
			remaining = append(remaining, c)
			continue
		}
		notes = append(notes, fmt.Sprintf("%s %s isn't proposed: %s was rolled back from it by commit %.12s, and %s still has it; name it to promote it again (--image)",
			c.name(), shortOrNothing(c.New), p.Environment, last.commit, p.candidate.from))
	}
	return remaining, notes, nil
}

// wasOffered reports whether the environment before had a change's value at a commit.
// Where that one had gone back too, nothing was rolled back: the value is promoted again
// like any other.
func (p *promotion) wasOffered(base *snapshot, commit string, c Change) (bool, error) {
	targets, err := targetsBefore(base.document, p.Environment)
	if err != nil {
		return false, err
	}
	var pinned []ladder.Pins
	for _, target := range targets {
		pins, err := p.pinsAt(base, commit, target.PinsFile)
		if err != nil {
			return false, err
		}
		pinned = append(pinned, pins)
	}
	return slices.ContainsFunc(pinned, func(pins ladder.Pins) bool { return c.value(pins) == c.New }), nil
}

// pinsHistory is the recent history of a pins file. It is listed once and each commit is
// read once, for all images of the file.
type pinsHistory struct {
	*promotion

	base *snapshot
	file string

	listed  bool
	commits []string // from the newest to the oldest
	pins    map[string]ladder.Pins
}

// lastRollback returns the newest change of a value if it went back to an earlier one, and
// nothing otherwise. The history of a shallow clone is extended once where it is too short.
func (h *pinsHistory) lastRollback(ctx context.Context, value func(ladder.Pins) string) (rollback, error) {
	found, complete, err := h.findRollback(ctx, value)
	if err != nil || complete {
		return found, err
	}
	if more, err := h.quarantine.Deepen(ctx, h.Base); err != nil || !more {
		return rollback{}, err
	}
	h.listed = false
	found, _, err = h.findRollback(ctx, value)
	return found, err
}

// findRollback reads the pins from the newest to the oldest commit until it is known
// whether the last change of a value was a rollback.
func (h *pinsHistory) findRollback(ctx context.Context, value func(ladder.Pins) string) (found rollback, complete bool, err error) {
	if err := h.list(ctx); err != nil {
		return rollback{}, false, err
	}
	var now string
	for i, commit := range h.commits {
		pins, err := h.pinsOf(commit)
		if err != nil {
			return rollback{}, false, err
		}
		switch v := value(pins); {
		case i == 0:
			now, found.commit = v, commit
		case found.from == "" && v == now:
			found.commit = commit
		case found.from == "":
			found.from = v
		case v == now:
			return found, true, nil
		}
	}
	return rollback{}, len(h.commits) == recentChanges, nil
}

// list lists the commits, unless they are known.
func (h *pinsHistory) list(ctx context.Context) (err error) {
	if h.listed {
		return nil
	}
	h.commits, err = h.quarantine.Recent(ctx, h.base.commit, h.file, recentChanges)
	h.listed = err == nil
	return err
}

// pinsOf returns the pins at a commit.
func (h *pinsHistory) pinsOf(commit string) (ladder.Pins, error) {
	if pins, known := h.pins[commit]; known {
		return pins, nil
	}
	pins, err := h.pinsAt(h.base, commit, h.file)
	if err != nil {
		return ladder.Pins{}, err
	}
	if h.pins == nil {
		h.pins = map[string]ladder.Pins{}
	}
	h.pins[commit] = pins
	return pins, nil
}
