package ladder

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// repositoryPattern matches HOST[:PORT]/PATH of OCI's distribution spec. The host is
// required, since each tool reads "nginx" as another registry.
const repositoryPattern = `(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?` +
	`(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+`

var repository = regexp.MustCompile(`^` + repositoryPattern + `$`)

func (v *validator) images() {
	names := make([]string, len(v.Spec.Images))
	for i, image := range v.Spec.Images {
		names[i] = image.Name
		at := strictyaml.Index("spec.images", i)
		v.name(at+".name", image.Name)
		if why := wrongRepository(image.Repository); image.Repository != "" && why != "" {
			v.problemf(at+".repository", "is %.300q: %s", image.Repository, why)
		}
		v.imagePaths(i)
	}
	v.ownPaths()
	v.unique(names, func(i int) string { return strictyaml.Index("spec.images", i) + ".name" })
}

// imagePaths checks the value paths of the i-th image, without comparing them with those of
// other images.
func (v *validator) imagePaths(i int) {
	image, at := v.Spec.Images[i], strictyaml.Index("spec.images", i)
	if _, err := valuepath.ParseKeys(image.ValuesPath); image.ValuesPath != "" && err != nil {
		v.problemf(at+".valuesPath", "is %.120q: %v", image.ValuesPath, whyNotKeys(err))
	}
	if !v.positions.Has(at+".valuesPath") && !v.positions.Has(at+".set") && v.positions.Has(at) {
		v.problemf(at, `needs "valuesPath" or "set": name the value that gets the image`)
	}
	digest := image.ValuesPath != "" || v.faulty(at+".set")
	for _, path := range slices.Sorted(maps.Keys(image.Set)) {
		here := strictyaml.Key(at+".set", path)
		if _, err := valuepath.ParseKeys(path); err != nil {
			v.problemf(here, "%v", whyNotKeys(err))
		}
		template, err := parseTemplate(image.Set[path], maxImageTemplate, imageFields)
		if err != nil && image.Set[path] != "" {
			v.problemf(here, "is %.160q: %v", image.Set[path], err)
		}
		digest = digest || err != nil || template.uses(fieldDigest, fieldHex)
	}
	if len(image.Set) > 0 && !digest {
		v.problemf(at+".set", "has no {{.%s}}: the chart wouldn't know which digest to run", fieldDigest)
	}
}

// whyNotKeys returns the error for a path that an image can't have.
func whyNotKeys(err error) error {
	if errors.Is(err, valuepath.ErrIndex) {
		return errors.New("it has an index, and a layer's list replaces the chart's as a whole: add a key for the image to the chart, and name that")
	}
	return err
}

// claim is a value path that belongs to an image.
type claim struct {
	image int
	path  []string
	at    string
	// whole is set for a valuesPath, whose mapping gets several keys.
	whole bool
}

// claims returns the value paths of all images.
func (d *Document) claims() []claim {
	var all []claim
	for i, image := range d.Spec.Images {
		at := strictyaml.Index("spec.images", i)
		if path, err := valuepath.ParseKeys(image.ValuesPath); err == nil {
			all = append(all, claim{i, path, at + ".valuesPath", true})
		}
		for _, text := range slices.Sorted(maps.Keys(image.Set)) {
			if path, err := valuepath.ParseKeys(text); err == nil {
				all = append(all, claim{i, path, strictyaml.Key(at+".set", text), false})
			}
		}
	}
	return all
}

// ownPaths checks that no two paths of images overlap. An image's set may add keys to the
// map at its own valuesPath.
func (v *validator) ownPaths() {
	claims := v.claims()
	first := map[string]claim{}
	for _, c := range claims {
		path := pathID(c.path)
		if other, ok := first[path]; ok {
			v.overwrites(c, other)
			continue
		}
		first[path] = c
	}
	for _, c := range claims {
		id := pathID(c.path)
		for depth := len(c.path) - 1; depth > 0; depth-- {
			id = id[:strings.LastIndex(id, separator)]
			other, taken := first[id]
			if !taken || other.image == c.image && other.whole && !isShortForm(c.path[depth]) {
				continue
			}
			v.overwrites(c, other)
			break
		}
	}
}

func (v *validator) overwrites(c, other claim) {
	v.problemf(c.at, "%.120q is inside of %s: they would overwrite each other", valuepath.Format(c.path), other.at)
}

// separator separates keys: YAML has no NUL.
const separator = "\x00"

// pathID returns a text that is unique to a path.
func pathID(path []string) string { return strings.Join(path, separator) }

// isShortForm reports whether a key in the mapping at a valuesPath is one that it sets.
func isShortForm(key string) bool { return key == keyRepository || key == keyDigest }

// wrongRepository returns why a text isn't an image's repository, or nothing where it is
// one.
func wrongRepository(s string) string {
	name, _, hasDigest := strings.Cut(s, "@")
	lastColon, lastSlash := strings.LastIndex(name, ":"), strings.LastIndex(name, "/")
	switch {
	case hasDigest:
		return "has a digest: the pins set it"
	case lastSlash >= 0 && lastColon > lastSlash:
		return "has a tag: the pins set the digest"
	case strings.Contains(s, "://"):
		return "has a scheme: want HOST/REPOSITORY alone"
	case !hasHost(s):
		return "names no registry: want HOST/REPOSITORY, such as docker.io/library/nginx"
	case !repository.MatchString(s):
		return "isn't a repository: want HOST[:PORT]/REPOSITORY in lowercase"
	}
	return ""
}

// hasHost reports whether a repository starts with a host, by the rule of container
// runtimes.
func hasHost(s string) bool {
	first, _, more := strings.Cut(s, "/")
	return more && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// ImageWarning returns a warning at the position in the Ladder of an image's value paths.
func (d *Document) ImageWarning(name, format string, args ...any) strictyaml.Problem {
	i := slices.IndexFunc(d.Spec.Images, func(image Image) bool { return image.Name == name })
	at := strictyaml.Index("spec.images", i)
	for _, field := range []string{"set", "valuesPath"} {
		if d.positions.Has(at + "." + field) {
			at += "." + field
			break
		}
	}
	problem := d.positions.Problem(at, format, args...)
	problem.Warning = true
	return problem
}
