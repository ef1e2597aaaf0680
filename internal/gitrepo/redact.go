package gitrepo

import (
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/printable"
)

// credentials matches the user information of a URL, query its query: both may contain
// tokens.
var (
	credentials = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'"]*@`)
	query       = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s'"?]*)\?[^\s'"]*`)
)

// Redact returns text without the credentials in its URLs.
func Redact(text string) string {
	return query.ReplaceAllString(credentials.ReplaceAllString(text, "${1}…@"), "${1}?…")
}

// errorText returns git's error output for an error: without credentials, control characters,
// progress, and hints about commands that the user didn't run.
func errorText(text string) string {
	var lines []string
	for line := range strings.Lines(Redact(text)) {
		if cr := strings.LastIndexByte(strings.TrimRight(line, "\r\n"), '\r'); cr >= 0 {
			line = line[cr+1:] // what a terminal would show
		}
		line = strings.TrimSpace(printable.Lines(line))
		if line != "" && !strings.HasPrefix(line, "hint:") && line != "remote:" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
