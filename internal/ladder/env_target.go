package ladder

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/envladder/envladder/internal/strictyaml"
)

// EnvTarget is an environment or one of its targets, with its pins, for promotions. Unlike a
// Resolved it may have no pins yet.
type EnvTarget struct {
	Environment Environment
	// Target is empty in an environment without targets.
	Target Target
	// PinsFile is the path of its pins in the repository, whether the file exists or not;
	// empty where it has no pins of its own.
	PinsFile string
	Pins     Pins
	// GateFile is the Gate's path in the repository; empty where the Ladder names none.
	GateFile string
}

// Name returns the name, such as prod or prod/eu.
func (p EnvTarget) Name() string {
	if p.Target.Name == "" {
		return p.Environment.Name
	}
	return p.Environment.Name + "/" + p.Target.Name
}

// EnvTargets returns the environment's targets, or the environment itself where it has none.
// The error is a strictyaml.Problems where a document is invalid.
func (d *Document) EnvTargets(environment string) ([]EnvTarget, error) {
	e, err := d.environment(environment)
	if err != nil {
		return nil, err
	}
	var targets []EnvTarget
	var problems strictyaml.Problems
	for _, t := range targetIndexes(d.Spec.Environments[e]) {
		target, more := d.envTarget(e, t)
		targets = append(targets, target)
		problems = append(problems, more...)
	}
	return targets, problems.Err()
}

// EnvTarget returns the environment's target; target is empty where the environment has
// none.
func (d *Document) EnvTarget(environment, target string) (EnvTarget, error) {
	e, err := d.environment(environment)
	if err != nil {
		return EnvTarget{}, err
	}
	t, err := d.target(e, target)
	if err != nil {
		return EnvTarget{}, err
	}
	found, problems := d.envTarget(e, t)
	return found, problems.Err()
}

// envTarget returns target t of environment e.
func (d *Document) envTarget(e, t int) (EnvTarget, strictyaml.Problems) {
	p := EnvTarget{Environment: d.Spec.Environments[e]}
	if t != noTarget {
		p.Target = p.Environment.Targets[t]
	}
	var problems strictyaml.Problems
	if p.Environment.Gate != "" {
		at := strictyaml.Key(environmentPath(e), "gate")
		file, err := resolve(d.dir, p.Environment.Gate)
		if err != nil {
			problems = append(problems, d.positions.Problem(at, "%q %v", p.Environment.Gate, err))
		}
		p.GateFile = file // may be missing if the caller has another Gate
	}
	own := d.pinsEntry(e, t)
	if own.path == "" {
		return p, problems
	}
	file, problem := d.pinsFile(own)
	if problem != nil {
		return p, append(problems, *problem)
	}
	p.PinsFile = file
	data, err := strictyaml.ReadFile(d.repo, file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first promotion creates it
		return p, problems
	case err != nil:
		return p, append(problems, d.unreadable(own, err))
	}
	pins, err := d.ParsePins(file, data)
	p.Pins = pins
	return p, append(problems, strictyaml.ProblemsOf(err)...)
}

// PinsSource returns the environment or target whose digests p runs without pins of its own:
// local runs those of dev, of its first target. ok is false where there is none.
func (d *Document) PinsSource(p EnvTarget) (source EnvTarget, ok bool) {
	if p.PinsFile != "" || p.Environment.Name != localName {
		return EnvTarget{}, false
	}
	dev := d.index(devName)
	if dev < 0 {
		return EnvTarget{}, false
	}
	source, problems := d.envTarget(dev, targetIndexes(d.Spec.Environments[dev])[0])
	return source, len(problems) == 0 && source.PinsFile != ""
}

// ParsePins parses a pins file. It may lack images that haven't been promoted yet; those that
// it has must be valid. The error is a strictyaml.Problems.
func (d *Document) ParsePins(file string, data []byte) (Pins, error) {
	root, err := strictyaml.ParseMapping(file, data)
	problems := strictyaml.ProblemsOf(err)
	if root == nil {
		return Pins{}, problems.Err()
	}
	p := pinned{file: file}
	positions, more := strictyaml.Decode(file, root, &p.Pins)
	p.positions = positions
	problems = append(problems, more...)
	return p.Pins, append(problems, p.invalid(d.Spec.Images)...).Err()
}

// Image returns the Ladder's image of that name.
func (d *Document) Image(name string) (Image, error) {
	names := make([]string, len(d.Spec.Images))
	for i, image := range d.Spec.Images {
		if image.Name == name {
			return image, nil
		}
		names[i] = image.Name
	}
	if len(names) == 0 {
		return Image{}, fmt.Errorf("choosing image %q: ladder %q has no images", name, d.Metadata.Name)
	}
	return Image{}, fmt.Errorf("choosing image %q: ladder %q has %s%s", name, d.Metadata.Name, ListNames(names), strictyaml.DidYouMean(name, names))
}

// Chart returns the chart that an environment or target renders: that of its pins, or else
// the Ladder's.
func (d *Document) Chart(p EnvTarget) (string, error) {
	chart, problems := d.chart(pinned{Pins: p.Pins, file: p.PinsFile})
	return chart, problems.Err()
}
