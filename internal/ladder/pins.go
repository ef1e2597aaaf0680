package ladder

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/strictyaml"
)

// pinned is a pins file in the repository.
type pinned struct {
	Pins

	// file is its path in the repository.
	file      string
	positions strictyaml.Positions
}

// inject returns the pins to inject, in the order of the Ladder's images.
func (p pinned) inject(images []Image) []Pin {
	var pins []Pin
	for _, image := range images {
		if digest := p.Images[image.Name]; digest != "" {
			pins = append(pins, Pin{Image: image, Digest: digest, Source: p.file, Line: p.positions.Line(strictyaml.Key("images", image.Name))})
		}
	}
	return pins
}

// pins returns the pins of environment e and target t. An environment without pins is a
// problem if the Ladder has images.
func (d *Document) pins(e, t int) (pinned, strictyaml.Problems) {
	own := d.pinsEntry(e, t)
	if own.path != "" {
		return d.readPins(own)
	}
	if len(d.Spec.Images) == 0 {
		return pinned{}, nil
	}
	if d.Spec.Environments[e].Name == localName {
		return d.devPins(e)
	}
	at := environmentPath(e)
	if t != noTarget {
		at = targetPath(e, t)
	}
	return pinned{}, strictyaml.Problems{d.positions.Problem(at, `needs "pins", since the ladder has images: which digests does it run?`)}
}

// pinsEntry returns the entry that names the pins of environment e and target t. A target
// without pins of its own shares its environment's. The path is empty where there are none.
func (d *Document) pinsEntry(e, t int) entry {
	environment := d.Spec.Environments[e]
	if t != noTarget && environment.Targets[t].Pins != "" {
		return entry{at: strictyaml.Key(targetPath(e, t), "pins"), path: environment.Targets[t].Pins}
	}
	return entry{at: strictyaml.Key(environmentPath(e), "pins"), path: environment.Pins}
}

// devPins returns the digests for local, environment e: those of dev, of its first target
// where it has several. They have no chart, since local renders the working copy's.
func (d *Document) devPins(e int) (pinned, strictyaml.Problems) {
	dev := d.index(devName)
	if dev < 0 {
		return pinned{}, strictyaml.Problems{d.positions.Problem(environmentPath(e),
			`needs "pins", since the ladder has images and there is no environment %q whose digests it could run`, devName)}
	}
	t := noTarget
	if len(d.Spec.Environments[dev].Targets) > 0 {
		t = 0
	}
	own := d.pinsEntry(dev, t)
	if own.path == "" {
		return pinned{}, strictyaml.Problems{d.positions.Problem(environmentPath(e),
			`needs "pins", since the ladder has images and environment %q, whose digests it would run, has none`, devName)}
	}
	p, problems := d.readPins(own)
	p.Chart = ""
	return p, problems
}

// pinsFile returns the path of a pins file in the repository, whether it exists or not. It
// rejects a path with symbolic links: two of them could be one file, and a promotion to one
// environment would change the other.
func (d *Document) pinsFile(e entry) (string, *strictyaml.Problem) {
	file, err := resolve(d.dir, e.path)
	if err != nil {
		problem := d.positions.Problem(e.at, "%q %v", e.path, err)
		return "", &problem
	}
	target, err := FollowLinks(d.repo, file)
	switch {
	case err != nil:
		problem := d.positions.Problem(e.at, "%q %v", e.path, err)
		return "", &problem
	case target != file:
		problem := d.positions.Problem(e.at, "%q leads through a symbolic link to %q of the repository: name that file itself, since each environment has pins of its own", e.path, target)
		return "", &problem
	}
	return file, nil
}

// readPins reads and checks the pins file that an entry names.
func (d *Document) readPins(e entry) (pinned, strictyaml.Problems) {
	if _, problem := d.pinsFile(e); problem != nil {
		return pinned{}, strictyaml.Problems{*problem}
	}
	file, problem := d.file(e)
	if problem != nil {
		return pinned{}, strictyaml.Problems{*problem}
	}
	data, err := strictyaml.ReadFile(d.repo, file)
	if err != nil {
		return pinned{}, strictyaml.Problems{d.unreadable(e, err)}
	}
	root, err := strictyaml.ParseMapping(file, data)
	problems := strictyaml.ProblemsOf(err)
	if root == nil {
		return pinned{}, problems
	}
	p := pinned{file: file}
	positions, more := strictyaml.Decode(file, root, &p.Pins)
	p.positions = positions
	problems = append(problems, more...)
	if slices.ContainsFunc(more, func(f strictyaml.Problem) bool { return f.Path == "images" }) {
		return p, problems // an invalid list can't show which image is missing
	}
	return p, append(problems, p.check(d.Spec.Images)...)
}

// check checks the pins against the Ladder's images: no unknown one, none missing, each
// with a digest.
func (p pinned) check(images []Image) strictyaml.Problems {
	var problems strictyaml.Problems
	for _, image := range images {
		if !p.positions.Has(strictyaml.Key("images", image.Name)) {
			problems = append(problems, p.positions.Problem("images", "has no digest for image %q", image.Name))
		}
	}
	return append(problems, p.invalid(images)...)
}

// invalid returns the problems of the pins in the file, without missing ones.
func (p pinned) invalid(images []Image) strictyaml.Problems {
	var problems strictyaml.Problems
	names := make([]string, len(images))
	for i, image := range images {
		names[i] = image.Name
	}
	for _, name := range slices.Sorted(maps.Keys(p.Images)) {
		at, digest := strictyaml.Key("images", name), p.Images[name]
		if !slices.Contains(names, name) {
			problems = append(problems, p.positions.Problem(at, "unknown image%s", knownImages(name, names)))
		}
		if why := wrongDigest(digest); digest != "" && why != "" {
			problems = append(problems, p.positions.Problem(at, "%s", why))
		}
	}
	if err := checkChart(p.Chart); err != nil {
		problems = append(problems, p.positions.Problem("chart", "%.300q %v", p.Chart, err))
	}
	return problems
}

func knownImages(name string, names []string) string {
	if len(names) == 0 {
		return ": the ladder has no images"
	}
	if hint := strictyaml.DidYouMean(name, names); hint != "" {
		return hint
	}
	return ": the ladder has " + ListNames(names)
}

// wrongDigest returns why a text isn't a digest, or nothing where it is one.
func wrongDigest(digest string) string {
	switch {
	case digests.Valid(digest):
		return ""
	case strings.Contains(digest, "@"):
		return fmt.Sprintf("is %.120q: want the digest alone, the repository is in %s", digest, FileName)
	case strings.HasPrefix(digest, "sha256:"):
		return fmt.Sprintf("is %.120q: want 64 lowercase hex digits after sha256:", digest)
	default:
		return fmt.Sprintf("is %.120q: want a digest (sha256:…), not a tag, which can move", digest)
	}
}
