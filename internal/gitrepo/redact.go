package gitrepo

import (
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/printable"
)

// credentials are what stands between a URL's scheme and its host, and its query: both
// are places where tokens are kept.
var (
	credentials = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s'"]*@`)
	query       = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s'"?]*)\?[^\s'"]*`)
)

// Redact is text with the credentials in its URLs left out.
func Redact(text string) string {
	return query.ReplaceAllString(credentials.ReplaceAllString(text, "${1}…@"), "${1}?…")
}

// complaint is what git wrote for people, fit for an error: without credentials, control
// characters, progress and hints about commands that nobody typed.
func complaint(text string) string {
	var lines []string
	for line := range strings.Lines(Redact(text)) {
		if cr := strings.LastIndexByte(strings.TrimRight(line, "\r\n"), '\r'); cr >= 0 {
			line = line[cr+1:] // what a terminal would show of it
		}
		line = strings.TrimSpace(printable.Lines(line))
		if line != "" && !strings.HasPrefix(line, "hint:") && line != "remote:" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
