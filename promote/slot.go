package promote

import (
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
)

// slot is a pins file that a promotion writes: that of an environment, or of a target,
// or the one that several targets share.
type slot struct {
	environment string
	// targets that it is of; none in an environment without targets.
	targets []string
	file    string
	// shared is set where the pins are the environment's own and not a target's.
	shared bool
}

// name is prod, or prod/eu.
func (s slot) name() string {
	if s.shared {
		return s.environment
	}
	return s.environment + "/" + s.targets[0]
}

// target is the one whose stamps are judged.
func (s slot) target() string {
	if len(s.targets) == 0 {
		return ""
	}
	return s.targets[0]
}

// branch returns the branch of the pull request. A base that isn't the remote's default
// branch is a part of its name, so that two bases never share one: no environment's name
// has an @.
func (s slot) branch(document *ladder.Document, base, defaultBranch string) string {
	name := "envladder/" + document.Metadata.Name + "/" + strings.ReplaceAll(s.name(), "/", "-")
	if base == defaultBranch {
		return name
	}
	return name + "@" + base
}

// slotsOf groups places by their pins.
func slotsOf(places []ladder.Place) []slot {
	var slots []slot
	for _, p := range places {
		i := slices.IndexFunc(slots, func(s slot) bool { return s.file == p.PinsFile })
		if i < 0 {
			slots = append(slots, slot{environment: p.Environment.Name, file: p.PinsFile, shared: p.Target.Pins == ""})
			i = len(slots) - 1
		}
		if p.Target.Name != "" {
			slots[i].targets = append(slots[i].targets, p.Target.Name)
		}
	}
	return slots
}

// choose is which slots a promotion writes: those of the target, or of the first wave
// that isn't on the candidate yet. There are none where all are.
func choose(document *ladder.Document, environment, target string, c candidate) ([]slot, error) {
	places, err := document.Places(environment)
	if err != nil {
		return nil, err
	}
	if target != "" {
		place, err := document.Place(environment, target)
		if err != nil {
			return nil, err
		}
		places = slices.DeleteFunc(places, func(p ladder.Place) bool { return p.PinsFile != place.PinsFile })
	}
	for _, p := range places {
		if err := pinnable(p); err != nil {
			return nil, err
		}
	}
	if target == "" {
		places = nextWave(places, c)
	}
	return slotsOf(places), nil
}

// nextWave are the places of the first wave that has some which aren't on the candidate.
func nextWave(places []ladder.Place, c candidate) []ladder.Place {
	next := len(places)
	for _, p := range places {
		if !c.matches(p.Pins) {
			next = min(next, wave(places, p))
		}
	}
	return slices.DeleteFunc(slices.Clone(places), func(p ladder.Place) bool {
		return c.matches(p.Pins) || wave(places, p) != next
	})
}

// wave is how many targets come before this one, each after another. The ladder has been
// checked: there are no circles.
func wave(places []ladder.Place, p ladder.Place) int {
	n := 0
	for p.Target.After != "" && n < len(places) {
		i := slices.IndexFunc(places, func(o ladder.Place) bool { return o.Target.Name == p.Target.After })
		if i < 0 {
			break
		}
		p = places[i]
		n++
	}
	return n
}

// tooEarly are the reasons why a slot isn't next: targets that it comes after and that
// haven't got the candidate.
func tooEarly(document *ladder.Document, s slot, c candidate) ([]Reason, error) {
	var reasons []Reason
	for _, name := range s.targets {
		place, err := document.Place(s.environment, name)
		if err != nil {
			return nil, err
		}
		if place.Target.After == "" {
			continue
		}
		first, err := document.Place(s.environment, place.Target.After)
		if err != nil {
			return nil, err
		}
		if first.PinsFile == s.file || c.matches(first.Pins) {
			continue
		}
		reasons = append(reasons, Reason{
			Code:    CodeTooEarly,
			Message: fmt.Sprintf("%s comes after %s, which has %s", place.Name(), first.Name(), pinned(first.Pins, c)),
			Remedy:  fmt.Sprintf("promote %s first: envladder promote %s --target %s", first.Name(), s.environment, place.Target.After),
		})
	}
	return reasons, nil
}

// pinned are the digests of a candidate's images in pins.
func pinned(p ladder.Pins, c candidate) string {
	var parts []string
	for _, name := range sortedKeys(c.images) {
		parts = append(parts, name+" at "+short(p.Images[name]))
	}
	return strings.Join(parts, ", ")
}
