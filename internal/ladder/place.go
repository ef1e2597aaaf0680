package ladder

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/envladder/envladder/internal/strictyaml"
)

// Place is an environment, or one of its targets, as promotions see it: where its pins
// are and what they say. Unlike a Step it may have no pins yet.
type Place struct {
	Environment Environment
	// Target is empty in an environment without targets.
	Target Target
	// PinsFile is its path in the repository, whether it is there or not; empty where
	// the place has no pins of its own.
	PinsFile string
	Pins     Pins
	// GateFile is the Gate's path in the repository; empty where the Ladder names none.
	GateFile string
}

// Name is prod, or prod/eu.
func (p Place) Name() string {
	if p.Target.Name == "" {
		return p.Environment.Name
	}
	return p.Environment.Name + "/" + p.Target.Name
}

// Places are the environment's targets, or the environment itself where it has none. The
// error is a strictyaml.Problems where a document is invalid.
func (d *Document) Places(environment string) ([]Place, error) {
	e, err := d.environment(environment)
	if err != nil {
		return nil, err
	}
	var places []Place
	var problems strictyaml.Problems
	for _, t := range targetIndexes(d.Spec.Environments[e]) {
		place, more := d.place(e, t)
		places = append(places, place)
		problems = append(problems, more...)
	}
	return places, problems.Err()
}

// Place is the environment's target; target is empty where the environment has none.
func (d *Document) Place(environment, target string) (Place, error) {
	e, err := d.environment(environment)
	if err != nil {
		return Place{}, err
	}
	t, err := d.target(e, target)
	if err != nil {
		return Place{}, err
	}
	place, problems := d.place(e, t)
	return place, problems.Err()
}

func (d *Document) place(e, t int) (Place, strictyaml.Problems) {
	p := Place{Environment: d.Spec.Environments[e]}
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
		p.GateFile = file // whether it can be read matters where no other Gate is given
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
	case errors.Is(err, fs.ErrNotExist): // the first promotion makes it
		return p, problems
	case err != nil:
		return p, append(problems, d.unreadable(own, err))
	}
	pins, err := d.ParsePins(file, data)
	p.Pins = pins
	return p, append(problems, strictyaml.ProblemsOf(err)...)
}

// Lender is the place whose digests a place runs that has no pins of its own: local runs
// dev's, of its first target. ok is false where there is none.
func (d *Document) Lender(p Place) (lender Place, ok bool) {
	if p.PinsFile != "" || p.Environment.Name != localName {
		return Place{}, false
	}
	dev := d.index(devName)
	if dev < 0 {
		return Place{}, false
	}
	lender, problems := d.place(dev, targetIndexes(d.Spec.Environments[dev])[0])
	return lender, len(problems) == 0 && lender.PinsFile != ""
}

// ParsePins reads a pins file that may lack images: those that haven't come so far. What
// is there must be right. The error is a strictyaml.Problems.
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
	return p.Pins, append(problems, p.wrong(d.Spec.Images)...).Err()
}

// Image is the Ladder's image of that name.
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
	return Image{}, fmt.Errorf("choosing image %q: ladder %q has %s%s", name, d.Metadata.Name, some(names), strictyaml.DidYouMean(name, names))
}

// ChartOf is the chart that a place renders: that of its pins, else the Ladder's.
func (d *Document) ChartOf(p Place) (string, error) {
	chart, problems := d.chart(pinned{Pins: p.Pins, file: p.PinsFile})
	return chart, problems.Err()
}
