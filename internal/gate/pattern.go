package gate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Pattern is a repository, or, where its last element is `*`, all repositories that
// have one element of any name in its place.
type Pattern struct {
	parent string // with its last slash
	last   string // or anyElement
}

const anyElement = "*"

// The syntax is the distribution specification's, with a host in front: a host can be
// told from a path by its dot, its port, or by being localhost.
var (
	hostSyntax    = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(:[0-9]{1,5})?$`)
	elementSyntax = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
)

// ParsePattern parses host/path or host/path/*, without tag or digest.
func ParsePattern(text string) (Pattern, error) {
	text = canonical(text)
	host, path, found := strings.Cut(text, "/")
	switch {
	case !found:
		return Pattern{}, fmt.Errorf("repository %s: write host/path", quote(text))
	case strings.ContainsRune(path, '@'):
		return Pattern{}, fmt.Errorf("repository %s: leave out the digest", quote(text))
	case strings.ContainsRune(path, ':'):
		return Pattern{}, fmt.Errorf("repository %s: leave out the tag", quote(text))
	case !hostSyntax.MatchString(host) || (host != "localhost" && !strings.ContainsAny(host, ".:")):
		return Pattern{}, fmt.Errorf("repository %s: %s isn't a registry's host; write it in full (docker.io/library/…)", quote(text), quote(host))
	case !hasPort(host):
		return Pattern{}, fmt.Errorf("repository %s: the port must be 1 to 65535", quote(text))
	}
	slash := strings.LastIndexByte(text, '/')
	if err := checkPath(path); err != nil {
		return Pattern{}, fmt.Errorf("repository %s: %w", quote(text), err)
	}
	return Pattern{parent: text[:slash+1], last: text[slash+1:]}, nil
}

func checkPath(path string) error {
	elements := strings.Split(path, "/")
	for i, element := range elements {
		last := i == len(elements)-1
		switch {
		case element == anyElement && last:
		case strings.Contains(element, "*"):
			return errors.New("`*` can only be the whole last element")
		case !elementSyntax.MatchString(element):
			return fmt.Errorf("%s isn't an element of a repository's path (lower-case letters, digits, and . _ - between them)", quote(element))
		}
	}
	return nil
}

// canonical is docker.io's repository as references are normalised: some libraries have
// another name for the host, and its one-element names are library/….
func canonical(repository string) string {
	path, ok := strings.CutPrefix(repository, "index.docker.io/")
	if !ok {
		if path, ok = strings.CutPrefix(repository, "docker.io/"); !ok {
			return repository
		}
	}
	if path != "" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return "docker.io/" + path
}

// hasPort reports whether a host has no port or a valid one.
func hasPort(host string) bool {
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.HasSuffix(host, "]") {
		return true
	}
	port, err := strconv.ParseUint(host[colon+1:], 10, 16)
	return err == nil && port > 0
}

// IsWildcard reports whether the pattern ends in `*`.
func (p Pattern) IsWildcard() bool { return p.last == anyElement }

// Match reports whether the pattern matches this repository, and returns the repository's
// last element.
func (p Pattern) Match(repository string) (last string, ok bool) {
	last, ok = strings.CutPrefix(canonical(repository), p.parent)
	if !ok || !elementSyntax.MatchString(last) || !p.IsWildcard() && last != p.last {
		return "", false
	}
	return last, true
}

// Overlaps reports whether a repository can match both.
func (p Pattern) Overlaps(q Pattern) bool {
	return p.parent == q.parent && (p.last == q.last || p.IsWildcard() || q.IsWildcard())
}

// withLast returns the pattern's repository with this last element.
func (p Pattern) withLast(last string) string {
	if p.IsWildcard() {
		return p.parent + last
	}
	return p.parent + p.last
}

// FindImage returns the image, without its digest, that a Gate lists under this name: the
// repository that evidence is fetched from (never a mirror), and the ladder. ok is false if
// the Gate doesn't list it. In a valid Gate at most one entry matches.
func FindImage(spec *v1alpha1.GateSpec, repository string) (Image, bool) {
	for _, image := range spec.Images {
		home, err := ParsePattern(image.Repository)
		if err != nil {
			continue // Check reports it
		}
		for _, name := range append([]string{image.Repository}, image.Mirrors...) {
			pattern, err := ParsePattern(name)
			if err != nil || pattern.IsWildcard() != home.IsWildcard() {
				continue
			}
			if last, ok := pattern.Match(repository); ok {
				return Image{Repository: home.withLast(last), Evidence: evidenceOf(image, last), Ladder: image.Ladder}, true
			}
		}
	}
	return Image{}, false
}

// evidenceOf returns the repository of an image's attestations, where it has one of its own.
func evidenceOf(image v1alpha1.GateImage, last string) string {
	pattern, err := ParsePattern(image.Evidence)
	if image.Evidence == "" || err != nil {
		return "" // Check reports it
	}
	return pattern.withLast(last)
}

// FindExempt returns the entry of `exemptImages` that matches this repository. Images come first:
// images that a Gate judges aren't exempt.
func FindExempt(spec *v1alpha1.GateSpec, repository string) (v1alpha1.ExemptImage, bool) {
	for _, other := range spec.ExemptImages {
		pattern, err := ParsePattern(other.Repository)
		if err != nil {
			continue
		}
		if _, ok := pattern.Match(repository); ok {
			return other, true
		}
	}
	return v1alpha1.ExemptImage{}, false
}
