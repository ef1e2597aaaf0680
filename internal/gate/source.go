package gate

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// sourceCode is a repository of source code as host/path, which is the same however a
// forge lets people spell it, and a ref of it. The repository is never empty in one that
// was parsed, so that two unreadable spellings can't compare as equal.
type sourceCode struct{ repository, ref string }

// maxSource bounds the spelling of a repository with its ref.
const maxSource = 1024

// parseSource parses the spellings of Git, forges and builders: https://HOST/PATH,
// ssh://git@HOST/PATH, git@HOST:PATH and HOST/PATH, each optionally after git+ and before
// @REF or #REF. It rejects ambiguous spellings: other schemes (http and git don't
// authenticate the host), other users, and queries and escapes in the path.
func parseSource(text string) (sourceCode, error) {
	parsed, err := splitSource(text)
	if err != nil {
		return sourceCode{}, fmt.Errorf("parsing source repository %s: %w", quote(text), err)
	}
	return parsed, nil
}

func splitSource(text string) (sourceCode, error) {
	if len(text) > maxSource {
		return sourceCode{}, fmt.Errorf("longer than %d bytes", maxSource)
	}
	host, rest, err := splitHost(strings.TrimPrefix(text, "git+"))
	if err != nil {
		return sourceCode{}, err
	}
	path, ref, err := splitRef(rest)
	if err != nil {
		return sourceCode{}, err
	}
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git")
	for element := range strings.SplitSeq(path, "/") {
		if !sourceElement.MatchString(element) || element == "." || element == ".." {
			return sourceCode{}, fmt.Errorf("%s is not an element of a repository's path (letters, digits and . _ ~ + -)", quote(element))
		}
	}
	return sourceCode{repository: host + "/" + path, ref: ref}, nil
}

var sourceElement = regexp.MustCompile(`^[A-Za-z0-9._~+-]+$`)

var errSourceForm = errors.New("write https://HOST/PATH, ssh://git@HOST/PATH, git@HOST:PATH or HOST/PATH")

// splitHost returns the host in its normal form, and the path with what follows it.
func splitHost(text string) (host, rest string, err error) {
	scheme, behind, isURL := strings.Cut(text, "://")
	if !isURL {
		if behind, isSCP := strings.CutPrefix(text, "git@"); isSCP {
			host, rest, found := strings.Cut(behind, ":")
			if !found || strings.Contains(host, "/") {
				return "", "", errSourceForm
			}
			host, err = sourceHost(host, "")
			return host, strings.TrimPrefix(rest, "/"), err
		}
		host, rest, _ := strings.Cut(text, "/")
		if host != "localhost" && !strings.ContainsAny(host, ".:") {
			return "", "", errSourceForm
		}
		host, err = sourceHost(host, "443")
		return host, rest, err
	}
	host, rest, _ = strings.Cut(behind, "/")
	switch scheme = strings.ToLower(scheme); scheme {
	case "https":
		host, err = sourceHost(host, "443")
	case "ssh":
		host, err = sourceHost(strings.TrimPrefix(host, "git@"), "22")
	default:
		err = errSourceForm
	}
	return host, rest, err
}

// sourceHost returns a host in lower case and without the default port.
func sourceHost(host, defaultPort string) (string, error) {
	if !hostSyntax.MatchString(host) || !hasPort(host) {
		return "", fmt.Errorf("%s is not a host: %w", quote(host), errSourceForm)
	}
	if defaultPort != "" {
		host = strings.TrimSuffix(host, ":"+defaultPort)
	}
	return strings.ToLower(host), nil
}

// splitRef cuts off a ref: @REF as SLSA and SPDX write it, #REF[:DIRECTORY] as BuildKit does.
func splitRef(text string) (path, ref string, err error) {
	i := strings.IndexAny(text, "@#")
	if i < 0 {
		return text, "", nil
	}
	path, ref = text[:i], text[i+1:]
	if text[i] == '#' {
		ref, _, _ = strings.Cut(ref, ":")
	}
	if ref == "" {
		return "", "", errors.New("the ref is empty")
	}
	return path, ref, nil
}

// agree returns the one source that all of these state; a source without a ref agrees with
// one that has it.
func agree(stated ...sourceCode) (sourceCode, error) {
	var one sourceCode
	for i, s := range stated {
		switch {
		case i == 0:
			one = s
		case s.repository != one.repository:
			return sourceCode{}, fmt.Errorf("states two repositories, %s and %s", quote(one.repository), quote(s.repository))
		case s.ref != "" && one.ref != "" && s.ref != one.ref:
			return sourceCode{}, fmt.Errorf("states two refs of %s, %s and %s", quote(one.repository), quote(one.ref), quote(s.ref))
		}
		one.ref = cmp.Or(one.ref, s.ref)
	}
	return one, nil
}

// requiredSource returns the source that a Gate requires.
func requiredSource(s *v1alpha1.ProvenanceSource) (sourceCode, error) {
	required, err := parseSource(s.Repository)
	if err != nil {
		return sourceCode{}, err
	}
	return agree(required, sourceCode{required.repository, s.Ref})
}
