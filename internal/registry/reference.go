package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/envladder/envladder/internal/digests"
)

// Reference is a normalised image reference: a name without a host is on docker.io, and its
// one-element names are library/….
type Reference struct {
	// Repository is host[:port]/path.
	Repository string
	// Tag is empty where the reference has none; there is no implied `latest`.
	Tag string
	// Digest is sha256:<64 hex digits>, or empty.
	Digest string
}

// String returns the reference in full.
func (r Reference) String() string {
	s := r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// tagPattern is the distribution specification's.
var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// maxReference bounds what is parsed: 255 for the repository (distribution's own
// bound), 128 for the tag, 71 for the digest, two separators.
const maxReference = 255 + 128 + 71 + 2

// ParseReference parses [host[:port]/]path[:tag][@sha256:<64 hex digits>].
func ParseReference(s string) (Reference, error) {
	if len(s) > maxReference {
		return Reference{}, fmt.Errorf("parsing image reference %q…: longer than %d bytes", s[:64], maxReference)
	}
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !digests.Valid(digest) {
		return Reference{}, fmt.Errorf("parsing image reference %q: %q isn't sha256: and 64 lowercase hex digits", s, digest)
	}
	base, tag := cutTag(rest)
	if tag != nil && !tagPattern.MatchString(*tag) {
		return Reference{}, fmt.Errorf("parsing image reference %q: bad tag %q", s, *tag)
	}
	repository, err := ParseRepository(base)
	if err != nil {
		return Reference{}, fmt.Errorf("parsing image reference %q: %w", s, err)
	}
	reference := Reference{Repository: repository, Digest: digest}
	if tag != nil {
		reference.Tag = *tag
	}
	return reference, nil
}

// cutTag splits at the colon of the last path element; an earlier one is a port's.
func cutTag(s string) (string, *string) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, '/') {
		return s, nil
	}
	tag := s[colon+1:]
	return s[:colon], &tag
}

// ParseRepository parses [host[:port]/]path, without tag or digest, and normalises it.
func ParseRepository(s string) (string, error) {
	repository, err := parseRepository(s)
	if err != nil {
		return "", err
	}
	// The client has its own name for docker.io; people write this one.
	if path, ok := strings.CutPrefix(repository.Name(), name.DefaultRegistry+"/"); ok {
		return "docker.io/" + path, nil
	}
	return repository.Name(), nil
}

func parseRepository(s string) (name.Repository, error) {
	if s == "" {
		return name.Repository{}, fmt.Errorf("parsing repository %q: it is empty", s)
	}
	// An empty, `.` or `..` element would let two strings be one repository.
	for element := range strings.SplitSeq(s, "/") {
		if element == "" || element == "." || element == ".." {
			return name.Repository{}, fmt.Errorf("parsing repository %q: an element is %q", s, element)
		}
	}
	repository, err := name.NewRepository(s)
	if err != nil {
		return name.Repository{}, fmt.Errorf("parsing repository %q: %w", s, err)
	}
	return repository, nil
}
