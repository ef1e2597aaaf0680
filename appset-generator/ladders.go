package appset

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// folder is the folder of the ladders that are served, as NAME.yaml or NAME/ladder.yaml. It
// is read at each request, so that changes of a ConfigMap are noticed.
type folder string

// plan is a ladder's configuration of previews.
type plan struct {
	ladder string
	source ladder.Source
	images []ladder.Image
	tag    ladder.Tag
	// ttl and max are 0 where there is none.
	ttl   time.Duration
	max   int
	forks bool
}

// ladderName matches names, so that no path is read.
var ladderName = regexp.MustCompile(ladder.NamePattern)

func (f folder) plan(name string) (plan, error) {
	if !ladderName.MatchString(name) {
		return plan{}, &httpError{http.StatusBadRequest, fmt.Errorf("finding ladder %.80q: not a ladder's name", name)}
	}
	l, err := f.read(name)
	if err != nil {
		return plan{}, err
	}
	return newPlan(l)
}

func newPlan(l *ladder.Ladder) (plan, error) {
	refuse := func(format string, arguments ...any) (plan, error) {
		return plan{}, &httpError{http.StatusUnprocessableEntity, fmt.Errorf("reading spec.preview of ladder %q: %w", l.Metadata.Name, fmt.Errorf(format, arguments...))}
	}
	preview := l.Spec.Preview
	switch {
	case preview == nil:
		return refuse("there is none: the ladder has no previews")
	case preview.Source == nil:
		return refuse("source is missing: set where the pull requests are")
	case preview.Tag == "" && len(l.Spec.Images) > 0:
		return refuse("tag is missing: set the tag of a pull request's images")
	}
	p := plan{
		ladder: l.Metadata.Name, source: *preview.Source, images: l.Spec.Images,
		max: preview.Max, forks: preview.Forks == ladder.ForksAllow,
	}
	var err error
	if preview.TTL != "" {
		if p.ttl, err = time.ParseDuration(preview.TTL); err != nil {
			return refuse("ttl: %w", err)
		}
	}
	if preview.Tag != "" {
		if p.tag, err = ladder.ParseTag(preview.Tag); err != nil {
			return refuse("tag: %w", err)
		}
	}
	return p, nil
}

// read reads a ladder.
func (f folder) read(name string) (*ladder.Ladder, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, fmt.Errorf("opening the folder of ladders: %w", err)
	}
	defer root.Close()
	file, data, err := f.find(root.FS(), name)
	if err != nil {
		return nil, err
	}
	l, err := ladder.Parse(file, data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading ladder %q: %w", name, err)
	case l.Metadata.Name != name:
		return nil, fmt.Errorf("reading ladder %q: %s has the ladder %q: rename the file", name, file, l.Metadata.Name)
	}
	return l, nil
}

func (f folder) find(fsys fs.FS, name string) (file string, data []byte, err error) {
	for _, candidate := range []string{name + ".yaml", name + "/" + ladder.FileName} {
		read, err := strictyaml.ReadFile(fsys, candidate)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", nil, fmt.Errorf("reading ladder %q: %w", name, err)
		case file != "":
			return "", nil, fmt.Errorf("reading ladder %q: both %s and %s exist: remove one", name, file, candidate)
		default:
			file, data = candidate, read
		}
	}
	if file == "" {
		names, _ := namesIn(fsys) // for the message only
		return "", nil, &httpError{http.StatusNotFound, fmt.Errorf("finding ladder %q: this service has no %s.yaml (it has %s)", name, name, listNames(names))}
	}
	return file, data, nil
}

// names returns the names of all ladders.
func (f folder) names() ([]string, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, fmt.Errorf("opening the folder of ladders: %w", err)
	}
	defer root.Close()
	return namesIn(root.FS())
}

func namesIn(fsys fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("listing the folder of ladders: %w", err)
	}
	var names []string
	for _, entry := range entries {
		name, isFile := strings.CutSuffix(entry.Name(), ".yaml")
		if !isFile {
			if _, err := fs.Stat(fsys, name+"/"+ladder.FileName); err != nil {
				continue // a ConfigMap's own folders, and others
			}
		}
		if ladderName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// maxNamed is how many names a message lists.
const maxNamed = 20

func listNames(names []string) string {
	switch more := len(names) - maxNamed; {
	case len(names) == 0:
		return "none"
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	default:
		return strings.Join(names, ", ")
	}
}
