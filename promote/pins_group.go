package promote

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
)

// pinsGroup is the targets that share a pins file, which a promotion writes: an
// environment, a target, or several targets.
type pinsGroup struct {
	environment string
	// targets is empty for an environment without targets.
	targets []string
	file    string
	// shared is set where the pins are the environment's and not a target's.
	shared bool
}

// name returns prod, or prod/eu.
func (g pinsGroup) name() string {
	if g.shared {
		return g.environment
	}
	return g.environment + "/" + g.targets[0]
}

// target returns the target whose stamps are checked, or "".
func (g pinsGroup) target() string {
	if len(g.targets) == 0 {
		return ""
	}
	return g.targets[0]
}

// branch returns the branch of the pull request. A base other than the remote's default
// branch is part of its name, so that two bases never share a branch: no environment's
// name contains @.
func (g pinsGroup) branch(document *ladder.Document, base, defaultBranch string) string {
	name := "envladder/" + document.Metadata.Name + "/" + strings.ReplaceAll(g.name(), "/", "-")
	if base == defaultBranch {
		return name
	}
	return name + "@" + base
}

// groupByPins groups targets by their pins file.
func groupByPins(targets []ladder.EnvTarget) []pinsGroup {
	var groups []pinsGroup
	for _, t := range targets {
		i := slices.IndexFunc(groups, func(g pinsGroup) bool { return g.file == t.PinsFile })
		if i < 0 {
			groups = append(groups, pinsGroup{environment: t.Environment.Name, file: t.PinsFile, shared: t.Target.Pins == ""})
			i = len(groups) - 1
		}
		if t.Target.Name != "" {
			groups[i].targets = append(groups[i].targets, t.Target.Name)
		}
	}
	return groups
}

// chooseGroups returns the groups that a promotion writes: the target's, or those of the
// first wave that lacks the candidate. There are none where all targets have it.
func chooseGroups(document *ladder.Document, environment, target string, c candidate) ([]pinsGroup, error) {
	targets, err := document.EnvTargets(environment)
	if err != nil {
		return nil, err
	}
	if target != "" {
		chosen, err := document.EnvTarget(environment, target)
		if err != nil {
			return nil, err
		}
		targets = slices.DeleteFunc(targets, func(t ladder.EnvTarget) bool { return t.PinsFile != chosen.PinsFile })
	}
	for _, t := range targets {
		if err := checkPinnable(t); err != nil {
			return nil, err
		}
	}
	if target == "" {
		targets = nextWave(targets, c)
	}
	return groupByPins(targets), nil
}

// nextWave returns the targets of the first wave that lack the candidate.
func nextWave(targets []ladder.EnvTarget, c candidate) []ladder.EnvTarget {
	next := len(targets)
	for _, t := range targets {
		if !c.matches(t.Pins) {
			next = min(next, waveOf(targets, t))
		}
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t ladder.EnvTarget) bool {
		return c.matches(t.Pins) || waveOf(targets, t) != next
	})
}

// waveOf returns how many targets precede a target, one after the other. The ladder has no
// cycles: it was validated.
func waveOf(targets []ladder.EnvTarget, t ladder.EnvTarget) int {
	n := 0
	for t.Target.After != "" && n < len(targets) {
		i := slices.IndexFunc(targets, func(o ladder.EnvTarget) bool { return o.Target.Name == t.Target.After })
		if i < 0 {
			break
		}
		t = targets[i]
		n++
	}
	return n
}

// tooEarlyReasons returns why a group isn't next: it comes after targets that lack the
// candidate.
func tooEarlyReasons(document *ladder.Document, g pinsGroup, c candidate) ([]Reason, error) {
	var reasons []Reason
	for _, name := range g.targets {
		target, err := document.EnvTarget(g.environment, name)
		if err != nil {
			return nil, err
		}
		if target.Target.After == "" {
			continue
		}
		first, err := document.EnvTarget(g.environment, target.Target.After)
		if err != nil {
			return nil, err
		}
		if first.PinsFile == g.file || c.matches(first.Pins) {
			continue
		}
		reasons = append(reasons, Reason{
			Code:    CodeTooEarly,
			Message: fmt.Sprintf("%s comes after %s, which has %s", target.Name(), first.Name(), pinnedDigests(first.Pins, c)),
			Remedy:  fmt.Sprintf("promote %s first: envladder promote %s --target %s", first.Name(), g.environment, target.Target.After),
		})
	}
	return reasons, nil
}

// pinnedDigests lists the pinned digests of a candidate's images.
func pinnedDigests(p ladder.Pins, c candidate) string {
	var parts []string
	for _, name := range sortedKeys(c.images) {
		parts = append(parts, name+" at "+shortOrNothing(p.Images[name]))
	}
	return strings.Join(parts, ", ")
}
