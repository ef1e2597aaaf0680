package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// nextPage returns the query of the next page in the Link headers (RFC 8288), and ignores the
// rest of the URL: a registry must not choose the host. It is empty on the last page. An
// invalid header is an error, since it could name pages with proof.
func nextPage(header http.Header) (query string, err error) {
	for _, field := range header.Values("Link") {
		for rest := field; strings.Trim(rest, " \t,") != ""; {
			var l link
			if l, rest, err = parseLink(rest); err != nil {
				return "", fmt.Errorf("the list goes on, but its Link header can't be read: %w", err)
			}
			if !l.next {
				continue
			}
			u, err := url.Parse(l.target)
			if err != nil || u.RawQuery == "" {
				return "", errors.New("the list goes on, but its Link header names no query of the next page")
			}
			return u.RawQuery, nil
		}
	}
	return "", nil
}

// link is a target with the parameters that matter here.
type link struct {
	target string
	next   bool
}

// parseLink parses the first link of a list: <target>; name=value; name="value", ….
func parseLink(text string) (l link, rest string, err error) {
	text, opened := strings.CutPrefix(strings.TrimLeft(text, " \t,"), "<")
	l.target, rest, _ = strings.Cut(text, ">")
	if !opened || len(l.target) == len(text) {
		return link{}, "", errors.New("there is no <target>")
	}
	relation := false // the first `rel` counts, others are ignored
	for {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" || rest[0] == ',' {
			return l, rest, nil
		}
		if rest[0] != ';' {
			return link{}, "", errors.New("a parameter doesn't begin with a semicolon")
		}
		var name, value string
		if name, value, rest, err = parseParameter(rest[1:]); err != nil {
			return link{}, "", err
		}
		if strings.EqualFold(name, "rel") && !relation {
			relation = true
			for one := range strings.FieldsSeq(value) {
				l.next = l.next || strings.EqualFold(one, "next")
			}
		}
	}
}

// parseParameter parses name, name=token or name="text".
func parseParameter(text string) (name, value, rest string, err error) {
	end := strings.IndexAny(text, "=;,")
	if end < 0 {
		return strings.TrimSpace(text), "", "", nil
	}
	name, rest = strings.TrimSpace(text[:end]), text[end:]
	if rest[0] != '=' {
		return name, "", rest, nil
	}
	rest = strings.TrimLeft(rest[1:], " \t")
	quoted, ok := strings.CutPrefix(rest, `"`)
	if !ok {
		if end = strings.IndexAny(rest, ";,"); end < 0 {
			end = len(rest)
		}
		return name, strings.TrimSpace(rest[:end]), rest[end:], nil
	}
	var unquoted strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch quoted[i] {
		case '"':
			return name, unquoted.String(), quoted[i+1:], nil
		case '\\':
			if i++; i == len(quoted) {
				continue
			}
		}
		unquoted.WriteByte(quoted[i])
	}
	return "", "", "", errors.New("a quote isn't closed")
}
