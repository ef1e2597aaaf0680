package promote

import (
	"context"
	"fmt"
	"slices"

	"github.com/envladder/envladder/internal/ladder"
)

// recentChanges bounds how far back a rollback is looked for, in changes of the pins file.
const recentChanges = 50

// rollback is a change of an environment's pins back to what they had been before.
type rollback struct {
	// from is the value that was replaced, and commit what replaced it.
	from, commit string
}

// withoutRolledBack removes from the changes what the environment was rolled back from,
// with a note for each. A rollback holds until the environment before has another
// candidate, or the digest is named: otherwise the next scheduled promotion would undo it.
func (p *promotion) withoutRolledBack(ctx context.Context, base *snapshot, file string, changes []Change) (kept []Change, notes []string, err error) {
	if p.candidate.from == "" { // it was named
		return changes, nil, nil
	}
	kept = []Change{}
	for _, c := range changes {
		last, err := p.lastRollback(ctx, base, file, c.value)
		if err != nil {
			return nil, nil, err
		}
		rolledBack := !c.CarriedOver && last.from == c.New
		if rolledBack {
			if rolledBack, err = p.offeredAt(base, last.commit, c); err != nil {
				return nil, nil, err
			}
		}
		if !rolledBack {
			kept = append(kept, c)
			continue
		}
		notes = append(notes, fmt.Sprintf("%s %s isn't proposed: %s was rolled back from it by commit %.12s, and %s still has it; name it to promote it again (--image)",
			c.what(), short(c.New), p.Environment, last.commit, p.candidate.from))
	}
	return kept, notes, nil
}

// value returns the value of the pins that the change is about.
func (c Change) value(pins ladder.Pins) string {
	if c.Image == "" {
		return pins.Chart
	}
	return pins.Images[c.Image]
}

// lastRollback returns the newest change of a value if it went back to an earlier one, and
// nothing otherwise. The history of a shallow clone is extended once where it is too short.
func (p *promotion) lastRollback(ctx context.Context, base *snapshot, file string, of func(ladder.Pins) string) (rollback, error) {
	found, complete, err := p.findRollback(ctx, base, file, of)
	if err != nil || complete {
		return found, err
	}
	if more, err := p.quarantine.Deepen(ctx, p.Base); err != nil || !more {
		return rollback{}, err
	}
	found, _, err = p.findRollback(ctx, base, file, of)
	return found, err
}

// findRollback reads the pins from the newest to the oldest commit until it is known
// whether the last change of a value was a rollback.
func (p *promotion) findRollback(ctx context.Context, base *snapshot, file string, of func(ladder.Pins) string) (found rollback, complete bool, err error) {
	commits, err := p.quarantine.Recent(ctx, base.commit, file, recentChanges)
	if err != nil {
		return rollback{}, false, err
	}
	var now string
	for i, commit := range commits {
		pins, err := p.pinsAt(base, commit, file)
		if err != nil {
			return rollback{}, false, err
		}
		switch value := of(pins); {
		case i == 0:
			now, found.commit = value, commit
		case found.from == "" && value == now:
			found.commit = commit
		case found.from == "":
			found.from = value
		case value == now:
			return found, true, nil
		}
	}
	return rollback{}, len(commits) == recentChanges, nil
}

// offeredAt reports whether the environment before had a change's value at a commit. Where
// it had gone back too, nothing was rolled back: the value climbs again like any other.
func (p *promotion) offeredAt(base *snapshot, commit string, c Change) (bool, error) {
	places, err := placesBefore(base.document, p.Environment)
	if err != nil {
		return false, err
	}
	var pinned []ladder.Pins
	for _, place := range places {
		pins, err := p.pinsAt(base, commit, place.PinsFile)
		if err != nil {
			return false, err
		}
		pinned = append(pinned, pins)
	}
	return slices.ContainsFunc(pinned, func(pins ladder.Pins) bool { return c.value(pins) == c.New }), nil
}
