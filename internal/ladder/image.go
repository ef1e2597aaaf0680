package ladder

import (
	"fmt"
	"regexp"
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
		if image.ValuesPath != "" && !valuesPath.MatchString(image.ValuesPath) {
			v.faultf(at+".valuesPath", "is %.120q: want keys of letters, digits, - and _ with dots between them, such as image or web.image", image.ValuesPath)
		}
		v.ownValuesPath(i)
	}
	v.unique(names, func(i int) string { return strictyaml.Index("spec.images", i) + ".name" })
}

// ownValuesPath checks that the i-th image doesn't write where another one does, or
// inside of that.
func (v *validator) ownValuesPath(i int) {
	here := v.Spec.Images[i].ValuesPath
	for j, other := range v.Spec.Images {
		there := other.ValuesPath
		if j == i || here == "" || there == "" {
			continue
		}
		if strings.HasPrefix(here, there+".") || here == there && j < i {
			v.faultf(strictyaml.Index("spec.images", i)+".valuesPath",
				"%.120q is inside of %s: they would overwrite each other", here, strictyaml.Index("spec.images", j)+".valuesPath")
			return
		}
	}
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
var valuesPath = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// patternElement is one element of a pattern of mayDiffer, but for `**`.
var patternElement = regexp.MustCompile(`^(\*|[A-Za-z0-9_-]+)$`)

// wrongPattern says what is wrong with a pattern of mayDiffer.
func wrongPattern(pattern string) string {
	elements := strings.Split(pattern, ".")
	for i, element := range elements {
		switch {
		case element == "":
			return "has an empty element"
		case element == "**" && i < len(elements)-1:
			return "has ** before its end: ** stands for all below, * for one element"
		case element == "**" && i == 0:
			return "lets everything differ: name the paths"
		case element == "**", patternElement.MatchString(element):
		default:
			return fmt.Sprintf("has the element %.60q: want a key, * (any one) or a last **", element)
		}
	}
	return ""
}
