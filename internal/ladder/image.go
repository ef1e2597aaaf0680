package ladder

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

// repositoryPattern is HOST[:PORT]/PATH as OCI's distribution spec has it, with a host,
// since "nginx" means another registry to each reader.
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
			v.faultf(at+".repository", "is %.300q: %s", image.Repository, why)
		}
		v.imagePaths(i)
	}
	v.ownPaths()
	v.unique(names, func(i int) string { return strictyaml.Index("spec.images", i) + ".name" })
}

// wantPath is what a value path looks like.
const wantPath = "want keys of letters, digits, - and _ with dots between them, such as image or web.image"

// imagePaths checks where the i-th image goes in the values, by itself.
func (v *validator) imagePaths(i int) {
	image, at := v.Spec.Images[i], strictyaml.Index("spec.images", i)
	if image.ValuesPath != "" && !isValuesPath(image.ValuesPath) {
		v.faultf(at+".valuesPath", "is %.120q: %s", image.ValuesPath, wantPath)
	}
	if !v.positions.Has(at+".valuesPath") && !v.positions.Has(at+".set") && v.positions.Has(at) {
		v.faultf(at, `needs "valuesPath" or "set": where in the values does the image go?`)
	}
	digest := image.ValuesPath != "" || v.faulty(at+".set")
	for _, path := range slices.Sorted(maps.Keys(image.Set)) {
		here := strictyaml.Key(at+".set", path)
		switch {
		case strings.Contains(path, "["):
			v.faultf(here, "has an index, and a layer's list replaces the chart's as a whole: let the chart have a key for the image, and name that")
		case !isValuesPath(path):
			v.faultf(here, "isn't a value path: %s", wantPath)
		}
		template, err := parseFields(image.Set[path], maxImageTemplate, imageFields)
		if err != nil && image.Set[path] != "" {
			v.faultf(here, "is %.160q: %v", image.Set[path], err)
		}
		digest = digest || err != nil || template.uses(fieldDigest, fieldHex)
	}
	if len(image.Set) > 0 && !digest {
		v.faultf(at+".set", "has no {{.%s}}: the chart wouldn't know which digest to run", fieldDigest)
	}
}

// claim is a value path that an image has for itself.
type claim struct {
	image int
	path  string
	at    string
}

// claims are the paths of all images.
func (d *Document) claims() []claim {
	var all []claim
	for i, image := range d.Spec.Images {
		at := strictyaml.Index("spec.images", i)
		if isValuesPath(image.ValuesPath) {
			all = append(all, claim{i, image.ValuesPath, at + ".valuesPath"})
		}
		for _, path := range slices.Sorted(maps.Keys(image.Set)) {
			if isValuesPath(path) {
				all = append(all, claim{i, path, strictyaml.Key(at+".set", path)})
			}
		}
	}
	return all
}

// ownPaths checks that no two paths of images are the same, or one inside the other. The
// map at an image's own valuesPath may get more by its set.
func (v *validator) ownPaths() {
	claims := v.claims()
	first := map[string]claim{}
	for _, c := range claims {
		if other, ok := first[c.path]; ok {
			v.faultf(c.at, "%.120q is inside of %s: they would overwrite each other", c.path, other.at)
			continue
		}
		first[c.path] = c
	}
	for _, c := range claims {
		for above, ok := parentPath(c.path); ok; above, ok = parentPath(above) {
			other, taken := first[above]
			if !taken || other.image == c.image && strings.HasSuffix(other.at, ".valuesPath") && !isShortForm(strings.TrimPrefix(c.path, above+".")) {
				continue
			}
			v.faultf(c.at, "%.120q is inside of %s: they would overwrite each other", c.path, other.at)
			break
		}
	}
}

// isShortForm says whether a path below a valuesPath is one of those that it sets, or
// inside of them.
func isShortForm(below string) bool {
	first, _, _ := strings.Cut(below, ".")
	return first == keyRepository || first == keyDigest
}

func parentPath(path string) (string, bool) {
	last := strings.LastIndexByte(path, '.')
	return path[:max(last, 0)], last > 0
}

// wrongRepository says what is wrong with an image's repository, nothing where it is
// one.
func wrongRepository(s string) string {
	name, _, hasDigest := strings.Cut(s, "@")
	lastColon, lastSlash := strings.LastIndex(name, ":"), strings.LastIndex(name, "/")
	switch {
	case hasDigest:
		return "has a digest: the pins say which"
	case lastSlash >= 0 && lastColon > lastSlash:
		return "has a tag: the pins say which digest"
	case strings.Contains(s, "://"):
		return "has a scheme: want HOST/REPOSITORY alone"
	case !hasHost(s):
		return "names no registry: want HOST/REPOSITORY, such as docker.io/library/nginx"
	case !repository.MatchString(s):
		return "isn't a repository: want HOST[:PORT]/REPOSITORY in lowercase"
	}
	return ""
}

// hasHost tells a host from the first folder of a repository as container runtimes do.
func hasHost(s string) bool {
	first, _, more := strings.Cut(s, "/")
	return more && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// valuesPath is a dotted path into the values.
var valuesPath = regexp.MustCompile(ValuesPathPattern)

// maxValuesPath in bytes bounds what comparing paths costs; charts nest a few keys.
const maxValuesPath = 300

func isValuesPath(s string) bool { return len(s) <= maxValuesPath && valuesPath.MatchString(s) }

// ImageWarning is a warning of where the Ladder says what becomes of an image's digest.
func (d *Document) ImageWarning(name, format string, args ...any) strictyaml.Fault {
	i := slices.IndexFunc(d.Spec.Images, func(image Image) bool { return image.Name == name })
	at := strictyaml.Index("spec.images", i)
	for _, field := range []string{"set", "valuesPath"} {
		if d.positions.Has(at + "." + field) {
			at += "." + field
			break
		}
	}
	fault := d.positions.Fault(at, format, args...)
	fault.Warning = true
	return fault
}
